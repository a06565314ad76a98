#include "plugin/elf_symbols.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

/// A whole shared library of 416 bytes: header, one segment, the symbols of the test, their names, three sections.
struct TinyElf {
  Elf64_Ehdr header{};
  Elf64_Phdr segment{};
  Elf64_Sym symbols[3]{};  // The first one is empty in every ELF file.
  char names[32] = "\0bitlaw_one\0bitlaw_two\0";
  Elf64_Shdr sections[3]{};  // Nothing, dynamic symbols, names.

  TinyElf() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_DYN;
#if defined(__x86_64__)
    header.e_machine = EM_X86_64;
#else
    header.e_machine = EM_AARCH64;
#endif
    header.e_phoff = offsetof(TinyElf, segment);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    header.e_shoff = offsetof(TinyElf, sections);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    segment.p_type = PT_LOAD;
    segment.p_filesz = sizeof(TinyElf);
    symbols[1] = Symbol(1, STT_FUNC, 1);
    symbols[2] = Symbol(12, STT_OBJECT, 1);
    symbols[2].st_size = 32;
    sections[1].sh_type = SHT_DYNSYM;
    sections[1].sh_offset = offsetof(TinyElf, symbols);
    sections[1].sh_size = sizeof(symbols);
    sections[1].sh_entsize = sizeof(Elf64_Sym);
    sections[1].sh_link = 2;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = offsetof(TinyElf, names);
    sections[2].sh_size = sizeof(names);
  }

  static Elf64_Sym Symbol(uint32_t name, unsigned char type, uint16_t section) {
    Elf64_Sym symbol{};
    symbol.st_name = name;
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, type);
    symbol.st_shndx = section;
    return symbol;
  }
};

static_assert(sizeof(TinyElf) == 416);

class ElfSymbols : public testing::Test {
 protected:
  void SetUp() override { path_ = fs::temp_directory_path() / ("bitlaw_elf_" + std::to_string(getpid()) + ".so"); }
  void TearDown() override { fs::remove(path_); }

  std::vector<ExportedSymbol> Read(const TinyElf& elf, std::string_view prefix = "bitlaw_") {
    std::ofstream(path_, std::ios::binary).write(reinterpret_cast<const char*>(&elf), sizeof elf);
    return ReadExportedSymbols(path_, prefix);
  }

  // The refusal of a library in which `lie` changed something, without the path in front.
  std::string Refusal(const std::function<void(TinyElf&)>& lie) {
    TinyElf elf;
    lie(elf);
    try {
      Read(elf);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kPlugin);
      const std::string lead = path_.string() + ": not a shared library: ", text = error.what();
      return text.starts_with(lead) ? text.substr(lead.size()) : text;
    }
  }

  fs::path path_;
};

TEST_F(ElfSymbols, AreReadWithTypeAndSize) {
  const auto symbols = Read(TinyElf());
  ASSERT_EQ(symbols.size(), 2u);
  EXPECT_EQ(symbols[0].name, "bitlaw_one");
  EXPECT_TRUE(symbols[0].is_function);
  EXPECT_EQ(symbols[1].name, "bitlaw_two");
  EXPECT_FALSE(symbols[1].is_function);
  EXPECT_EQ(symbols[1].size_bytes, 32u);
}

TEST_F(ElfSymbols, AreOnlyThoseWithThePrefixThatADlsymWouldFind) {
  EXPECT_EQ(Read(TinyElf(), "bitlaw_t").size(), 1u);
  EXPECT_TRUE(Read(TinyElf(), "other").empty());
  TinyElf elf;
  elf.symbols[1].st_shndx = SHN_UNDEF;  // Wanted from another library.
  elf.symbols[2].st_other = STV_HIDDEN;
  EXPECT_TRUE(Read(elf).empty());
  elf = TinyElf();
  elf.symbols[1].st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC);
  EXPECT_EQ(Read(elf).size(), 1u);
}

TEST_F(ElfSymbols, AreNoneWithoutADynamicSymbolTable) {
  TinyElf elf;
  elf.sections[1].sh_type = SHT_PROGBITS;
  EXPECT_TRUE(Read(elf).empty());
}

TEST_F(ElfSymbols, RefuseALibraryOfAnotherProcessor) {
  const std::string refusal = Refusal([](TinyElf& elf) { elf.header.e_machine = EM_S390; });
  EXPECT_THAT(refusal, testing::StartsWith("it was built for another processor. This bitlaw runs on "));
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.header.e_ident[EI_CLASS] = ELFCLASS32; }), refusal);
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.header.e_ident[EI_DATA] = ELFDATA2MSB; }), refusal);
}

TEST_F(ElfSymbols, RefuseTablesThatLeaveTheFile) {
  const std::string size = std::to_string(sizeof(TinyElf));
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.header.e_shnum = 65535; }),
            "the section table lies at bytes " + std::to_string(offsetof(TinyElf, sections)) +
                " + 4194240, the file has " + size + ". The file is cut off or damaged.");
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.header.e_shoff = ~uint64_t{0} - 7; }),
            "the section table lies at bytes 18446744073709551608 + 192, the file has " + size +
                ". The file is cut off or damaged.");
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.segment.p_filesz = 1 << 20; }),
            "a segment lies at bytes 0 + 1048576, the file has " + size + ". The file is cut off or damaged.");
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.sections[1].sh_size = 2400; }),
            "the dynamic symbol table lies at bytes " + std::to_string(offsetof(TinyElf, symbols)) +
                " + 2400, the file has " + size + ". The file is cut off or damaged.");
}

TEST_F(ElfSymbols, RefuseAHugeClaimWithoutAllocatingIt) {
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.sections[2].sh_size = uint64_t{1} << 62; }),
            "the table of symbol names claims 4611686018427387904 entries. The file is damaged.");
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.sections[1].sh_size = ~uint64_t{0}; }),
            "the dynamic symbol table claims 768614336404564650 entries. The file is damaged.");
}

TEST_F(ElfSymbols, RefuseNamesFromNowhere) {
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.symbols[1].st_name = 32; }),
            "a symbol's name lies at byte 32 of a table of 32. The file is damaged.");
  for (const uint32_t link : {0u, 3u, ~0u}) {
    EXPECT_EQ(Refusal([&](TinyElf& elf) { elf.sections[1].sh_link = link; }),
              "its dynamic symbol table has no string table of names. The file is damaged.");
  }
  EXPECT_EQ(Refusal([](TinyElf& elf) { elf.sections[0] = elf.sections[1]; }),
            "it has two dynamic symbol tables. The file is damaged.");
}

TEST_F(ElfSymbols, ReadANameThatTheTableCutsOff) {
  TinyElf elf;
  elf.sections[2].sh_size = 5;  // "\0bitl"
  elf.symbols[2] = Elf64_Sym{};
  EXPECT_TRUE(Read(elf).empty());
  const auto symbols = Read(elf, "bi");
  ASSERT_EQ(symbols.size(), 1u);
  EXPECT_EQ(symbols[0].name, "bitl");
}

TEST_F(ElfSymbols, SurviveAnyChangedByte) {
  // Every byte set to each of the values that overflow, vanish or point elsewhere: an Error or a list, never a crash.
  size_t refused = 0, read = 0;
  for (size_t at = 0; at < sizeof(TinyElf); ++at) {
    for (const unsigned char value : {0x00, 0x7f, 0xff}) {
      TinyElf elf;
      reinterpret_cast<unsigned char*>(&elf)[at] = value;
      try {
        EXPECT_LE(Read(elf, "").size(), 3u);
        ++read;
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(read, 100u);
}

}  // namespace
}  // namespace bitlaw
