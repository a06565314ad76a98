#include "bitlaw/sdk/checkpoint/gguf_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "bitlaw/base/error.h"

static_assert(std::endian::native == std::endian::little, "GGUF files are read as they lie in memory");

namespace bitlaw {

namespace {

// Value types of the metadata.
enum : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12
};
constexpr std::array<const char*, 13> kTypeNames = {"uint8",   "int8", "uint16", "int16", "uint32", "int32", "float32",
                                                    "boolean", "string", "array", "uint64", "int64", "float64"};
constexpr std::array<uint64_t, 13> kTypeBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr uint64_t kMaxNameBytes = 65535;
constexpr int kMaxArrayDepth = 4;
constexpr uint32_t kMaxDimensions = 4;
// Far above any file (a model of 60 blocks with 256 experts each has 50,000 tensors, and each costs a hundred bytes).
constexpr uint64_t kMaxTensors = 1 << 20;
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;

constexpr std::array<GgmlType, 40> kGgmlTypes = {{
    {0, "F32", 1, 4, true},        {1, "F16", 1, 2, true},         {2, "Q4_0", 32, 18, true},
    {3, "Q4_1", 32, 20, true},     {6, "Q5_0", 32, 22, true},      {7, "Q5_1", 32, 24, true},
    {8, "Q8_0", 32, 34, true},     {9, "Q8_1", 32, 36, false},     {10, "Q2_K", 256, 84, true},
    {11, "Q3_K", 256, 110, true}, {12, "Q4_K", 256, 144, true},   {13, "Q5_K", 256, 176, true},
    {14, "Q6_K", 256, 210, true},  {15, "Q8_K", 256, 292, false},  {16, "IQ2_XXS", 256, 66, false},
    {17, "IQ2_XS", 256, 74, false}, {18, "IQ3_XXS", 256, 98, false}, {19, "IQ1_S", 256, 50, false},
    {20, "IQ4_NL", 32, 18, true}, {21, "IQ3_S", 256, 110, false}, {22, "IQ2_S", 256, 82, false},
    {23, "IQ4_XS", 256, 136, true}, {24, "I8", 1, 1, false},      {25, "I16", 1, 2, false},
    {26, "I32", 1, 4, false},      {27, "I64", 1, 8, false},       {28, "F64", 1, 8, true},
    {29, "IQ1_M", 256, 56, false}, {30, "BF16", 1, 2, true},
    // Repacked for one processor; llama.cpp has dropped them.
    {31, "Q4_0_4_4", 32, 18, false}, {32, "Q4_0_4_8", 32, 18, false}, {33, "Q4_0_8_8", 32, 18, false},
    {34, "TQ1_0", 256, 54, true},  {35, "TQ2_0", 256, 66, true},
    {36, "IQ4_NL_4_4", 32, 18, false}, {37, "IQ4_NL_4_8", 32, 18, false}, {38, "IQ4_NL_8_8", 32, 18, false},
    {39, "MXFP4", 32, 17, true},   {40, "NVFP4", 64, 36, false},   {41, "Q1_0", 128, 18, false},
}};

template <typename T>
T At(const MappedFile& file, uint64_t offset_bytes) {
  T value;
  std::memcpy(&value, file.bytes() + offset_bytes, sizeof(T));
  return value;
}

// The integer of this type at this place; nullopt for a uint64 beyond int64 and for types that are not integers.
std::optional<int64_t> IntAt(const MappedFile& file, uint32_t type, uint64_t offset) {
  switch (type) {
    case kUint8: return At<uint8_t>(file, offset);
    case kInt8: return At<int8_t>(file, offset);
    case kUint16: return At<uint16_t>(file, offset);
    case kInt16: return At<int16_t>(file, offset);
    case kUint32: return At<uint32_t>(file, offset);
    case kInt32: return At<int32_t>(file, offset);
    case kInt64: return At<int64_t>(file, offset);
    case kUint64: {
      const auto value = At<uint64_t>(file, offset);
      if (value > INT64_MAX) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default: return std::nullopt;
  }
}

}  // namespace

const GgmlType* FindGgmlType(uint32_t id) {
  const auto found = std::find_if(kGgmlTypes.begin(), kGgmlTypes.end(), [&](const GgmlType& t) { return t.id == id; });
  return found != kGgmlTypes.end() ? &*found : nullptr;
}

std::vector<std::string> ReadableGgmlTypes() {
  std::vector<std::string> names;
  for (const GgmlType& type : kGgmlTypes) {
    if (type.is_readable) names.push_back(type.name);
  }
  return names;
}

// Walks the file from its start; every step is checked against the end before it is taken.
class GgufFile::Reader {
 public:
  explicit Reader(GgufFile& result) : result_(result), file_(*result.file_) {}

  void ReadAll() {
    if (file_.size_bytes() < 24) {
      Fail("has " + std::to_string(file_.size_bytes()) +
           " bytes, fewer than the 24 of a header. The file is cut off or not GGUF.");
    }
    if (std::memcmp(file_.bytes(), "GGUF", 4) != 0) Fail("does not begin with 'GGUF'. The file is not GGUF.");
    at_ = 4;
    const auto version = Read<uint32_t>("the version");
    if (version != 2 && version != 3) {
      const bool swapped = version == 0x02000000 || version == 0x03000000;
      Fail(swapped ? std::string("is a big-endian file. Only little-endian ones are supported.")
                   : "is GGUF version " + std::to_string(version) + ". Versions 2 and 3 are supported.");
    }
    const auto tensor_count = Read<uint64_t>("the tensor count");
    const auto key_count = Read<uint64_t>("the key count");
    // The shortest tensor header takes 32 bytes (one dimension, no name), the shortest key and value 13.
    RequireRoomFor(tensor_count, 32, "tensors");
    RequireRoomFor(key_count, 13, "metadata keys");
    RequireAtMost(tensor_count, kMaxTensors, "tensors");
    RequireAtMost(key_count, kMaxKeys, "metadata keys");
    for (uint64_t i = 0; i < key_count; ++i) ReadKey();
    for (uint64_t i = 0; i < tensor_count; ++i) ReadTensor();
    PlaceTensors();
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const { throw Error(ErrorKind::kIo, result_.where() + ": " + what); }
  uint64_t left() const { return file_.size_bytes() - at_; }

  void Require(uint64_t bytes, const std::string& what) const {
    if (bytes > left()) {
      Fail(what + " takes " + std::to_string(bytes) + " bytes at offset " + std::to_string(at_) + ", the file has " +
           std::to_string(left()) + " left. The file is cut off or its header is wrong.");
    }
  }
  void RequireRoomFor(uint64_t count, uint64_t least_bytes, const std::string& what) const {
    if (count > left() / least_bytes) {
      Fail("header says " + std::to_string(count) + " " + what + ", for which " + std::to_string(left()) +
           " bytes are too few. The file is cut off or its header is wrong.");
    }
  }
  void RequireAtMost(uint64_t count, uint64_t max, const std::string& what) const {
    if (count <= max) return;
    Fail("header says " + std::to_string(count) + " " + what + ". At most " + std::to_string(max) + " are accepted.");
  }
  template <typename T>
  T Read(const std::string& what) {
    Require(sizeof(T), what);
    const T value = At<T>(file_, at_);
    at_ += sizeof(T);
    return value;
  }
  std::string_view ReadString(const std::string& what, uint64_t max_bytes) {
    const auto length = Read<uint64_t>("the length of " + what);
    if (length > max_bytes) {
      Fail(what + " is " + std::to_string(length) + " bytes long. At most " + std::to_string(max_bytes) +
           " are accepted.");
    }
    Require(length, what);
    const std::string_view text(reinterpret_cast<const char*>(file_.bytes()) + at_, length);
    at_ += length;
    return text;
  }

  void ReadKey() {
    const std::string key(ReadString("a metadata key", kMaxNameBytes));
    const std::string what = "the value of '" + key + "'";
    Entry entry;
    entry.begin_bytes = at_;
    entry.type = Read<uint32_t>("the type of '" + key + "'");
    if (entry.type == kArray) {
      SkipArray(what, 1, &entry);
    } else {
      entry.offset_bytes = at_;
      SkipScalar(entry.type, what);
    }
    entry.end_bytes = at_;
    if (!result_.metadata_.emplace(key, entry).second) Fail("metadata key '" + key + "' appears twice.");
  }
  void SkipScalar(uint32_t type, const std::string& what) {
    if (type == kString) {
      ReadString(what, file_.size_bytes());
    } else if (type < kTypeBytes.size() && kTypeBytes[type] > 0) {
      Require(kTypeBytes[type], what);
      at_ += kTypeBytes[type];
    } else {
      Fail(what + " has type " + std::to_string(type) + ", which GGUF does not have.");
    }
  }
  void SkipArray(const std::string& what, int depth, Entry* entry) {
    if (depth > kMaxArrayDepth) {
      Fail(what + " nests arrays deeper than " + std::to_string(kMaxArrayDepth) + ".");
    }
    const auto type = Read<uint32_t>("the element type of " + what);
    const auto count = Read<uint64_t>("the length of " + what);
    if (entry != nullptr) {
      entry->element_type = type;
      entry->count = count;
      entry->offset_bytes = at_;
    }
    if (type < kTypeBytes.size() && kTypeBytes[type] > 0) {
      RequireRoomFor(count, kTypeBytes[type], "elements in " + what);
      at_ += count * kTypeBytes[type];
      return;
    }
    RequireRoomFor(count, type == kArray ? 12 : 8, "elements in " + what);
    for (uint64_t i = 0; i < count; ++i) {
      if (type == kArray) {
        SkipArray(what, depth + 1, nullptr);
      } else {
        SkipScalar(type, what);
      }
    }
  }

  void ReadTensor() {
    GgufTensor tensor;
    tensor.name = ReadString("a tensor name", kMaxNameBytes);
    const std::string what = "tensor '" + tensor.name + "'";
    const auto dimensions = Read<uint32_t>("the number of dimensions of " + what);
    if (dimensions < 1 || dimensions > kMaxDimensions) {
      Fail(what + " has " + std::to_string(dimensions) + " dimensions. It must have 1 to " +
           std::to_string(kMaxDimensions) + ".");
    }
    uint64_t elements = 1;
    for (uint32_t d = 0; d < dimensions; ++d) {
      const auto size = Read<uint64_t>("the shape of " + what);
      if (size < 1 || size > INT64_MAX || __builtin_mul_overflow(elements, size, &elements)) {
        Fail(what + " has a dimension of " + std::to_string(size) +
             ". Sizes must be positive and their product below 2^64.");
      }
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
    }
    const auto type = Read<uint32_t>("the type of " + what);
    tensor.type = FindGgmlType(type);
    if (tensor.type == nullptr) Fail(what + " has type " + std::to_string(type) + ", which is unknown.");
    if (tensor.shape.back() % tensor.type->block_elements != 0) {
      Fail(what + " has rows of " + std::to_string(tensor.shape.back()) + " elements. " + tensor.type->name +
           " takes multiples of " + std::to_string(tensor.type->block_elements) + ".");
    }
    if (__builtin_mul_overflow(elements / tensor.type->block_elements, tensor.type->block_bytes, &tensor.size_bytes)) {
      Fail(what + " takes more than 2^64 bytes.");
    }
    tensor.offset_bytes = Read<uint64_t>("the place of " + what);
    result_.tensors_.push_back(std::move(tensor));
  }

  // Offsets so far count from the data, which begin at the next multiple of the alignment.
  void PlaceTensors() {
    uint64_t alignment = kDefaultAlignment;
    if (const auto stated = result_.Int("general.alignment")) {
      alignment = static_cast<uint64_t>(*stated);
      if (*stated < 1 || alignment > kMaxAlignment || !std::has_single_bit(alignment)) {
        Fail("general.alignment is " + std::to_string(*stated) + ". It must be a power of two of at most " +
             std::to_string(kMaxAlignment) + ".");
      }
    }
    const uint64_t begin = (at_ + alignment - 1) / alignment * alignment;
    const uint64_t bytes = begin < file_.size_bytes() ? file_.size_bytes() - begin : 0;
    for (GgufTensor& tensor : result_.tensors_) {
      if (tensor.offset_bytes % alignment != 0) {
        Fail("tensor '" + tensor.name + "' lies at " + std::to_string(tensor.offset_bytes) +
             ", which is no multiple of the alignment " + std::to_string(alignment) + ".");
      }
      if (tensor.offset_bytes > bytes || tensor.size_bytes > bytes - tensor.offset_bytes) {
        Fail("tensor '" + tensor.name + "' takes " + std::to_string(tensor.size_bytes) + " bytes at " +
             std::to_string(tensor.offset_bytes) + ", the file has " + std::to_string(bytes) +
             " bytes of data. The file is cut off or its header is wrong.");
      }
      tensor.offset_bytes += begin;
    }
    std::sort(result_.tensors_.begin(), result_.tensors_.end(), [](const GgufTensor& a, const GgufTensor& b) {
      return a.offset_bytes < b.offset_bytes;
    });
    std::map<std::string_view, int> seen;
    for (size_t i = 0; i < result_.tensors_.size(); ++i) {
      const GgufTensor& tensor = result_.tensors_[i];
      if (++seen[tensor.name] > 1) Fail("tensor '" + tensor.name + "' appears twice.");
      if (i > 0 && result_.tensors_[i - 1].offset_bytes + result_.tensors_[i - 1].size_bytes > tensor.offset_bytes) {
        Fail("tensors '" + result_.tensors_[i - 1].name + "' and '" + tensor.name + "' overlap.");
      }
    }
  }

  GgufFile& result_;
  const MappedFile& file_;
  uint64_t at_ = 0;
};

GgufFile::GgufFile(const std::filesystem::path& path) : file_(MappedFile::Open(path)) { Reader(*this).ReadAll(); }

std::vector<std::string> GgufFile::Keys(const std::string& prefix) const {
  std::vector<std::string> keys;
  for (auto at = metadata_.lower_bound(prefix); at != metadata_.end() && at->first.starts_with(prefix); ++at) {
    keys.push_back(at->first);
  }
  return keys;
}

std::vector<std::pair<std::string, std::string_view>> GgufFile::StoredMetadata() const {
  std::vector<std::pair<std::string, std::string_view>> stored;
  const char* bytes = reinterpret_cast<const char*>(file_->bytes());
  for (const auto& [key, entry] : metadata_) {
    stored.emplace_back(key, std::string_view(bytes + entry.begin_bytes, entry.end_bytes - entry.begin_bytes));
  }
  return stored;
}

const GgufFile::Entry* GgufFile::Find(const std::string& key) const {
  const auto found = metadata_.find(key);
  return found != metadata_.end() ? &found->second : nullptr;
}

void GgufFile::WrongType(const std::string& key, const Entry& entry, const char* must_be) const {
  throw Error(ErrorKind::kIo, where() + ": '" + key + "' is of type " + kTypeNames.at(entry.type) + ". It must be " +
                                  must_be + ".");
}

std::optional<int64_t> GgufFile::Int(const std::string& key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  const std::optional<int64_t> value = IntAt(*file_, entry->type, entry->offset_bytes);
  if (!value) WrongType(key, *entry, "an integer below 2^63");
  return value;
}

std::optional<double> GgufFile::Real(const std::string& key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type == kFloat32) return At<float>(*file_, entry->offset_bytes);
  if (entry->type == kFloat64) return At<double>(*file_, entry->offset_bytes);
  const std::optional<int64_t> value = IntAt(*file_, entry->type, entry->offset_bytes);
  if (!value) WrongType(key, *entry, "a number");
  return static_cast<double>(*value);
}

std::optional<bool> GgufFile::Bool(const std::string& key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != kBool) WrongType(key, *entry, "a boolean");
  return At<uint8_t>(*file_, entry->offset_bytes) != 0;
}

std::optional<std::string_view> GgufFile::String(const std::string& key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != kString) WrongType(key, *entry, "a string");
  const auto length = At<uint64_t>(*file_, entry->offset_bytes);
  return std::string_view(reinterpret_cast<const char*>(file_->bytes()) + entry->offset_bytes + 8, length);
}

std::optional<std::vector<std::string_view>> GgufFile::Strings(const std::string& key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != kArray || entry->element_type != kString) WrongType(key, *entry, "an array of strings");
  std::vector<std::string_view> strings;
  strings.reserve(entry->count);
  uint64_t at = entry->offset_bytes;  // The walk at opening has checked every length.
  for (uint64_t i = 0; i < entry->count; ++i) {
    const auto length = At<uint64_t>(*file_, at);
    strings.emplace_back(reinterpret_cast<const char*>(file_->bytes()) + at + 8, length);
    at += 8 + length;
  }
  return strings;
}

std::optional<std::vector<int32_t>> GgufFile::Ints(const std::string& key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != kArray || (entry->element_type != kInt32 && entry->element_type != kUint32)) {
    WrongType(key, *entry, "an array of 32-bit integers");
  }
  std::vector<int32_t> values(entry->count);
  if (!values.empty()) std::memcpy(values.data(), file_->bytes() + entry->offset_bytes, entry->count * 4);
  return values;
}

std::optional<std::vector<float>> GgufFile::Reals(const std::string& key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != kArray || entry->element_type != kFloat32) WrongType(key, *entry, "an array of float32");
  std::vector<float> values(entry->count);
  if (!values.empty()) std::memcpy(values.data(), file_->bytes() + entry->offset_bytes, entry->count * 4);
  return values;
}

}  // namespace bitlaw
