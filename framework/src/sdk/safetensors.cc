#include "bitlaw/sdk/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

namespace {

constexpr std::array<std::pair<const char*, int>, 15> kBits = {{{"BOOL", 8},
                                                                {"U8", 8},
                                                                {"I8", 8},
                                                                {"F8_E4M3", 8},
                                                                {"F8_E5M2", 8},
                                                                {"I16", 16},
                                                                {"U16", 16},
                                                                {"F16", 16},
                                                                {"BF16", 16},
                                                                {"I32", 32},
                                                                {"U32", 32},
                                                                {"F32", 32},
                                                                {"I64", 64},
                                                                {"U64", 64},
                                                                {"F64", 64}}};

class HeaderReader {
 public:
  explicit HeaderReader(const MappedFile& file) : file_(file), where_(file.path().string()) {}

  std::vector<SafetensorsEntry> Read() {
    if (file_.size_bytes() < 8) {
      Fail("the file has " + std::to_string(file_.size_bytes()) +
           " bytes, fewer than the 8 of a header length. The file is cut off or not safetensors.");
    }
    uint64_t header_bytes = 0;
    for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | std::to_integer<uint64_t>(file_.bytes()[i]);
    if (header_bytes > file_.size_bytes() - 8) {
      Fail("header says " + std::to_string(header_bytes) + " bytes, the file has " +
           std::to_string(file_.size_bytes()) + ". The file is cut off or not safetensors.");
    }
    if (header_bytes > kMaxSafetensorsHeaderBytes) {
      Fail("header says " + std::to_string(header_bytes) + " bytes. At most " +
           std::to_string(kMaxSafetensorsHeaderBytes) + " are accepted.");
    }
    const std::string_view text(reinterpret_cast<const char*>(file_.bytes()) + 8, header_bytes);
    if (text.empty() || text.front() != '{') Fail("the header does not begin with '{'. The file is not safetensors.");
    data_begin_ = 8 + header_bytes;
    data_bytes_ = file_.size_bytes() - data_begin_;

    const Value header = ParseJson(text, where_ + " (header)");
    std::vector<SafetensorsEntry> entries;
    for (const auto& [name, fields] : header.AsMap()) {
      if (name != "__metadata__") entries.push_back(Entry(name, fields));
    }
    CheckCoverage(entries);
    return entries;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const { throw Error(ErrorKind::kIo, where_ + ": " + what); }

  const Value& Field(const std::string& name, const Value& fields, const char* key) const {
    const Value* field = fields.Find(key);
    if (field == nullptr) Fail("tensor '" + name + "' has no field '" + key + "'.");
    return *field;
  }

  uint64_t Count(const std::string& name, const Value& value, const char* key) const {
    if (!value.is_int() || value.AsInt() < 0) {
      Fail("tensor '" + name + "': " + key + " holds " + value.Text() + ". It must hold integers of at least 0.");
    }
    return static_cast<uint64_t>(value.AsInt());
  }

  SafetensorsEntry Entry(const std::string& name, const Value& fields) const {
    SafetensorsEntry entry;
    entry.name = name;
    const Value& dtype = Field(name, fields, "dtype");
    const int bits = dtype.is_string() ? SafetensorsBits(dtype.AsString()) : 0;
    if (bits == 0) Fail("tensor '" + name + "' has dtype " + dtype.Text() + ", which safetensors does not have.");
    entry.dtype = dtype.AsString();

    const Value& shape = Field(name, fields, "shape");
    if (!shape.is_list()) Fail("tensor '" + name + "': shape is not a list.");
    uint64_t expected_bytes = static_cast<uint64_t>(bits) / 8;
    for (const Value& size : shape.AsList()) {
      const uint64_t count = Count(name, size, "shape");
      if (__builtin_mul_overflow(expected_bytes, count, &expected_bytes)) {
        Fail("tensor '" + name + "': shape " + shape.Text() + " overflows 64 bits.");
      }
      entry.shape.push_back(static_cast<int64_t>(count));
    }

    const Value& range = Field(name, fields, "data_offsets");
    if (!range.is_list() || range.AsList().size() != 2) Fail("tensor '" + name + "': data_offsets are not a pair.");
    const uint64_t begin = Count(name, range.AsList()[0], "data_offsets");
    const uint64_t end = Count(name, range.AsList()[1], "data_offsets");
    if (begin > end || end > data_bytes_) {
      Fail("tensor '" + name + "': data_offsets " + range.Text() + " do not lie in the file's " +
           std::to_string(data_bytes_) + " bytes of data. The file is cut off or its header is wrong.");
    }
    if (end - begin != expected_bytes) {
      Fail("tensor '" + name + "': data_offsets span " + std::to_string(end - begin) + " bytes, but " + entry.dtype +
           " " + shape.Text() + " takes " + std::to_string(expected_bytes) + ".");
    }
    entry.offset_bytes = data_begin_ + begin;
    entry.size_bytes = end - begin;
    return entry;
  }

  // Sorts by place and requires that ranges tile the data: what lies between tensors could hide anything.
  void CheckCoverage(std::vector<SafetensorsEntry>& entries) const {
    std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
      return std::tie(a.offset_bytes, a.size_bytes) < std::tie(b.offset_bytes, b.size_bytes);
    });
    uint64_t expected = data_begin_;
    const SafetensorsEntry* before = nullptr;
    for (const SafetensorsEntry& entry : entries) {
      if (entry.offset_bytes < expected) {
        Fail("tensors '" + before->name + "' and '" + entry.name + "' overlap.");
      }
      if (entry.offset_bytes > expected) {
        Fail(std::to_string(entry.offset_bytes - expected) + " bytes before tensor '" + entry.name +
             "' belong to no tensor.");
      }
      expected += entry.size_bytes;
      before = &entry;
    }
    if (expected != file_.size_bytes()) {
      Fail("the last " + std::to_string(file_.size_bytes() - expected) + " bytes belong to no tensor.");
    }
  }

  const MappedFile& file_;
  std::string where_;
  uint64_t data_begin_ = 0, data_bytes_ = 0;
};

}  // namespace

int SafetensorsBits(const std::string& dtype) {
  for (const auto& [name, bits] : kBits) {
    if (dtype == name) return bits;
  }
  return 0;
}

std::vector<SafetensorsEntry> ReadSafetensorsHeader(const MappedFile& file) { return HeaderReader(file).Read(); }

}  // namespace bitlaw
