#include "bitlaw/sdk/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

namespace {

constexpr std::array<std::pair<const char*, int>, 22> kBits = {{
    {"BOOL", 8},        {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
    {"F8_E4M3", 8},     {"F8_E5M2", 8},     {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
    {"I16", 16},        {"U16", 16}, {"F16", 16},    {"BF16", 16},   {"I32", 32}, {"U32", 32},
    {"F32", 32},        {"C64", 64}, {"I64", 64},    {"U64", 64},    {"F64", 64},
}};

constexpr int kMaxDepth = 512;
constexpr size_t kMaxDimensions = 64;

// Fields of one tensor as they are read; what is missing or of another type shows when they are checked.
struct Fields {
  std::string name;
  Value dtype, shape, data_offsets;  // Null: not there.
};

// Hands tensor after tensor to `take`, and keeps nothing else: a header is nothing but tensors and a map of texts, and
// one that holds anything else must not cost memory for it.
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderEvents(std::function<void(Fields)> take, std::function<void(const std::string&)> fail)
      : take_(std::move(take)), fail_(std::move(fail)) {}

  std::string fault;

  bool null() override { return Scalar(Value()); }
  bool boolean(bool value) override { return Scalar(value); }
  bool number_integer(int64_t value) override { return Scalar(value); }
  bool number_unsigned(uint64_t value) override {
    return Scalar(value <= INT64_MAX ? Value(static_cast<int64_t>(value)) : Value(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string&) override { return Scalar(value); }
  bool string(std::string& value) override { return Scalar(std::move(value)); }
  bool binary(nlohmann::json::binary_t&) override { return false; }

  bool start_object(size_t) override {
    if (++depth_ > kMaxDepth) return TooDeep();
    if (depth_ == 2 && !is_metadata_) fields_ = {name_, {}, {}, {}};
    if (depth_ == 3) Set(Value(Value::Map()));
    if (depth_ == 4) Add(Value(Value::Map()));
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !is_metadata_) take_(std::move(fields_));
    return true;
  }
  bool start_array(size_t) override {
    if (++depth_ > kMaxDepth) return TooDeep();
    if (depth_ == 2 && !is_metadata_) fail_("tensor '" + name_ + "' is a list. It must be a map.");
    if (depth_ == 3) Set(Value(Value::List()));
    if (depth_ == 4) Add(Value(Value::List()));
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(std::string& key) override {
    if (depth_ == 1) {
      name_ = std::move(key);
      is_metadata_ = name_ == "__metadata__";
    } else if (depth_ == 2) {
      field_ = std::move(key);
    }
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    fault = "(header): offset " + std::to_string(position) + ": not JSON: " + error.what();
    return false;
  }

 private:
  Value* Slot() {
    if (is_metadata_) return nullptr;
    if (field_ == "dtype") return &fields_.dtype;
    if (field_ == "shape") return &fields_.shape;
    if (field_ == "data_offsets") return &fields_.data_offsets;
    return nullptr;
  }
  void Set(Value value) {
    Value* slot = Slot();
    if (slot == nullptr) return;
    if (!slot->is_null()) fail_("tensor '" + name_ + "' has field '" + field_ + "' twice.");
    *slot = std::move(value);
  }
  bool Scalar(Value value) {
    if (depth_ == 1 && !is_metadata_) fail_("tensor '" + name_ + "' is " + value.Text() + ". It must be a map.");
    if (depth_ == 2) Set(std::move(value));
    if (depth_ == 3) Add(std::move(value));
    return true;
  }
  // Adds to the list that a field is; nothing else is looked into.
  void Add(Value value) {
    Value* slot = Slot();
    if (slot == nullptr || !slot->is_list()) return;
    if (slot->AsList().size() == kMaxDimensions) {
      fail_("tensor '" + name_ + "': " + field_ + " has more than " + std::to_string(kMaxDimensions) + " entries.");
    }
    slot->AsList().push_back(std::move(value));
  }
  bool TooDeep() {
    fault = "(header): nests deeper than " + std::to_string(kMaxDepth) + ".";
    return false;
  }

  std::function<void(Fields)> take_;
  std::function<void(const std::string&)> fail_;
  int depth_ = 0;
  std::string name_, field_;
  bool is_metadata_ = false;
  Fields fields_;
};

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

    std::vector<SafetensorsEntry> entries;
    HeaderEvents events([&](Fields fields) { entries.push_back(Entry(fields)); },
                        [&](const std::string& what) { Fail(what); });
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &events)) {
      throw Error(ErrorKind::kIo, where_ + " " + events.fault);
    }
    CheckNames(entries);
    CheckCoverage(entries);
    return entries;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const { throw Error(ErrorKind::kIo, where_ + ": " + what); }

  const Value& Field(const std::string& name, const Value& field, const char* key) const {
    if (field.is_null()) Fail("tensor '" + name + "' has no field '" + key + "'.");
    return field;
  }

  uint64_t Count(const std::string& name, const Value& value, const char* key) const {
    if (!value.is_int() || value.AsInt() < 0) {
      Fail("tensor '" + name + "': " + key + " holds " + value.Text() + ". It must hold integers of at least 0.");
    }
    return static_cast<uint64_t>(value.AsInt());
  }

  SafetensorsEntry Entry(const Fields& fields) const {
    SafetensorsEntry entry;
    const std::string& name = fields.name;
    entry.name = name;
    const Value& dtype = Field(name, fields.dtype, "dtype");
    const int bits = dtype.is_string() ? SafetensorsBits(dtype.AsString()) : 0;
    if (bits == 0) {
      std::vector<std::string> known;
      for (const auto& [known_name, known_bits] : kBits) known.emplace_back(known_name);
      Fail("tensor '" + name + "' has dtype " + dtype.Text() + ", which bitlaw does not know. Known: " +
           JoinNames(known) + ".");
    }
    entry.dtype = dtype.AsString();

    const Value& shape = Field(name, fields.shape, "shape");
    if (!shape.is_list()) Fail("tensor '" + name + "': shape is not a list.");
    uint64_t expected_bits = static_cast<uint64_t>(bits);
    for (const Value& size : shape.AsList()) {
      const uint64_t count = Count(name, size, "shape");
      if (__builtin_mul_overflow(expected_bits, count, &expected_bits)) {
        Fail("tensor '" + name + "': shape " + shape.Text() + " overflows 64 bits.");
      }
      entry.shape.push_back(static_cast<int64_t>(count));
    }

    if (expected_bits % 8 != 0) {
      Fail("tensor '" + name + "': " + entry.dtype + " " + shape.Text() + " does not fill whole bytes.");
    }
    const uint64_t expected_bytes = expected_bits / 8;

    const Value& range = Field(name, fields.data_offsets, "data_offsets");
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

  void CheckNames(const std::vector<SafetensorsEntry>& entries) const {
    std::vector<std::string_view> names;
    for (const SafetensorsEntry& entry : entries) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) Fail("tensor '" + std::string(*twice) + "' appears twice.");
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
