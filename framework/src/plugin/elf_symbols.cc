#include "plugin/elf_symbols.h"

#include <elf.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

static_assert(sizeof(void*) == 8 && std::endian::native == std::endian::little,
              "plugins are 64-bit, little-endian ELF");

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
constexpr const char* kMachineName = "x86-64";
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr const char* kMachineName = "AArch64";
#else
#error "Add this processor's ELF machine number"
#endif

// The largest symbol or string table that is read. libtorch's own, the largest known, are a tenth of it.
constexpr uint64_t kMaxTableBytes = uint64_t{256} << 20;
// A crafted table can name one long string millions of times.
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxMatches = 256;

/// A file of which ranges are read, each checked against the file's length.
class ElfFile {
 public:
  explicit ElfFile(const std::filesystem::path& path)
      : path_(path), file_(std::fopen(path.c_str(), "rb"), &std::fclose) {
    if (!file_) throw Error(ErrorKind::kIo, path.string() + ": cannot be read: " + std::strerror(errno) + ".");
    std::error_code fault;
    size_bytes_ = std::filesystem::file_size(path, fault);
    if (fault) throw Error(ErrorKind::kIo, path.string() + ": cannot be read: " + fault.message() + ".");
  }

  [[noreturn]] void Refuse(const std::string& why) const {
    throw Error(ErrorKind::kPlugin, path_.string() + ": not a shared library: " + why);
  }

  void RequireInside(const char* what, uint64_t offset, uint64_t size) const {
    if (offset <= size_bytes_ && size <= size_bytes_ - offset) return;
    Refuse(std::string(what) + " lies at bytes " + std::to_string(offset) + " + " + std::to_string(size) +
           ", the file has " + std::to_string(size_bytes_) + ". The file is cut off or damaged.");
  }

  template <typename T>
  std::vector<T> Read(const char* what, uint64_t offset, uint64_t count) const {
    if (count > kMaxTableBytes / sizeof(T)) {
      Refuse(std::string(what) + " claims " + std::to_string(count) + " entries. The file is damaged.");
    }
    RequireInside(what, offset, count * sizeof(T));
    std::vector<T> items(count);
    if (std::fseek(file_.get(), static_cast<long>(offset), SEEK_SET) != 0 ||
        std::fread(items.data(), sizeof(T), count, file_.get()) != count) {
      throw Error(ErrorKind::kIo, path_.string() + ": reading stopped: " + std::strerror(errno) + ".");
    }
    return items;
  }

  uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::filesystem::path path_;
  std::unique_ptr<FILE, int (*)(FILE*)> file_;
  uint64_t size_bytes_ = 0;
};

Elf64_Ehdr ReadHeader(const ElfFile& file) {
  if (file.size_bytes() < sizeof(Elf64_Ehdr)) {
    file.Refuse("it has " + std::to_string(file.size_bytes()) + " bytes, fewer than an ELF header.");
  }
  const Elf64_Ehdr header = file.Read<Elf64_Ehdr>("the ELF header", 0, 1).front();
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) file.Refuse("it does not begin with the ELF magic bytes.");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != kMachine) {
    file.Refuse(std::string("it was built for another processor. This bitlaw runs on ") + kMachineName + ".");
  }
  if (header.e_type != ET_DYN) {
    file.Refuse("its ELF type is " + std::to_string(header.e_type) + "; a shared library has type 3 (ET_DYN).");
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_shentsize != sizeof(Elf64_Shdr)) {
    file.Refuse("its header tables have entries of " + std::to_string(header.e_phentsize) + " and " +
                std::to_string(header.e_shentsize) + " bytes instead of 56 and 64. The file is damaged.");
  }
  return header;
}

}  // namespace

std::vector<ExportedSymbol> ReadExportedSymbols(const std::filesystem::path& path, std::string_view prefix) {
  const ElfFile file(path);
  const Elf64_Ehdr header = ReadHeader(file);
  for (const Elf64_Phdr& segment : file.Read<Elf64_Phdr>("the segment table", header.e_phoff, header.e_phnum)) {
    if (segment.p_type == PT_LOAD || segment.p_type == PT_DYNAMIC) {
      file.RequireInside("a segment", segment.p_offset, segment.p_filesz);
    }
  }
  const auto sections = file.Read<Elf64_Shdr>("the section table", header.e_shoff, header.e_shnum);
  std::vector<ExportedSymbol> exported;
  bool seen = false;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    if (std::exchange(seen, true)) file.Refuse("it has two dynamic symbol tables. The file is damaged.");
    if (section.sh_entsize != sizeof(Elf64_Sym) || section.sh_link >= sections.size() ||
        sections[section.sh_link].sh_type != SHT_STRTAB) {
      file.Refuse("its dynamic symbol table has no string table of names. The file is damaged.");
    }
    const Elf64_Shdr& names_section = sections[section.sh_link];
    const auto names = file.Read<char>("the table of symbol names", names_section.sh_offset, names_section.sh_size);
    const auto symbols =
        file.Read<Elf64_Sym>("the dynamic symbol table", section.sh_offset, section.sh_size / sizeof(Elf64_Sym));
    for (const Elf64_Sym& symbol : symbols) {
      const unsigned char visibility = ELF64_ST_VISIBILITY(symbol.st_other);
      const bool is_visible = visibility == STV_DEFAULT || visibility == STV_PROTECTED;
      if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbol.st_info) == STB_LOCAL || !is_visible) continue;
      if (symbol.st_name >= names.size()) {
        file.Refuse("a symbol's name lies at byte " + std::to_string(symbol.st_name) + " of a table of " +
                    std::to_string(names.size()) + ". The file is damaged.");
      }
      const std::string_view rest(names.data() + symbol.st_name, names.size() - symbol.st_name);
      if (!rest.starts_with(prefix)) continue;
      const std::string_view name = rest.substr(0, rest.substr(0, kMaxNameBytes + 1).find('\0'));
      if (name.size() > kMaxNameBytes || exported.size() == kMaxMatches) {
        file.Refuse("it exports over " + std::to_string(kMaxMatches) + " symbols that begin with '" +
                    std::string(prefix) + "', or one of over " + std::to_string(kMaxNameBytes) + " letters.");
      }
      exported.push_back({std::string(name), ELF64_ST_TYPE(symbol.st_info) == STT_FUNC, symbol.st_size});
    }
  }
  return exported;
}

}  // namespace bitlaw
