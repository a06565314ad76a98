#include "sdk/data/parquet/encodings.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::kIo, where + ": " + what + " The file is damaged.");
}

// A stretch of bytes that is read from its front.
class Bytes {
 public:
  Bytes(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::string_view Take(uint64_t count) {
    if (count > bytes_.size()) Fail(where_, "the values end too early.");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

  template <typename T>
  T Fixed() {
    T value;
    std::memcpy(&value, Take(sizeof(T)).data(), sizeof(T));  // Parquet and the machines this runs on are little-endian.
    return value;
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = Fixed<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    Fail(where_, "a number has more than ten bytes.");
  }

  uint64_t Zigzag() {
    const uint64_t coded = Varint();
    return (coded >> 1) ^ (~(coded & 1) + 1);
  }

  size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
  const std::string& where_;
};

// `bits` bits from bit `from` of `bytes`, the lowest first; they are there.
uint64_t BitsAt(std::string_view bytes, size_t from, int bits) {
  uint64_t value = 0;
  for (int have = 0; have < bits;) {
    const size_t bit = from + static_cast<size_t>(have);
    const int inside = static_cast<int>(bit % 8), taken = std::min(8 - inside, bits - have);
    const uint64_t part = (static_cast<uint8_t>(bytes[bit / 8]) >> inside) & ((1U << taken) - 1);
    value |= part << have;
    have += taken;
  }
  return value;
}

// DELTA_BINARY_PACKED: differences in blocks, each of miniblocks with a width of bits of its own.
std::vector<uint64_t> Deltas(Bytes& bytes, int64_t count, const std::string& where) {
  const uint64_t block = bytes.Varint(), minis = bytes.Varint(), total = bytes.Varint();
  uint64_t value = bytes.Zigzag();
  if (block == 0 || block > (1U << 20) || minis == 0 || minis > block || block % minis != 0 ||
      (block / minis) % 8 != 0) {
    Fail(where,
         "blocks of " + std::to_string(block) + " differences in " + std::to_string(minis) + " parts do not exist.");
  }
  if (total != static_cast<uint64_t>(count)) {
    Fail(where, "there are " + std::to_string(total) + " values, and the page says " + std::to_string(count) + ".");
  }
  std::vector<uint64_t> values;
  if (count > 0) values.push_back(value);
  const uint64_t each = block / minis;
  while (values.size() < total) {
    const uint64_t least = bytes.Zigzag();
    const std::string_view widths = bytes.Take(minis);
    for (uint64_t m = 0; m < minis && values.size() < total; ++m) {
      const int width = static_cast<uint8_t>(widths[m]);
      if (width > 64) Fail(where, "a difference has " + std::to_string(width) + " bits.");
      const std::string_view packed = bytes.Take(each * static_cast<uint64_t>(width) / 8);
      for (uint64_t i = 0; i < each && values.size() < total; ++i) {
        value += least + BitsAt(packed, i * static_cast<uint64_t>(width), width);
        values.push_back(value);
      }
    }
  }
  return values;
}

constexpr int64_t kMillisOfDay = 86'400'000;

Value IntegerValue(uint64_t bits, bool is_64, const ParquetLeaf& leaf) {
  const auto number = is_64 ? static_cast<int64_t>(bits) : static_cast<int32_t>(static_cast<uint32_t>(bits));
  switch (leaf.meaning) {
    case ParquetMeaning::kUnsigned:
      if (!is_64) return static_cast<int64_t>(static_cast<uint32_t>(bits));
      return number < 0 ? Value(std::to_string(bits)) : Value(number);
    case ParquetMeaning::kDate: return number * kMillisOfDay;
    case ParquetMeaning::kMicros: return number / 1000;
    case ParquetMeaning::kNanos: return number / 1'000'000;
    default: return number;
  }
}

Value RealValue(double value) { return std::isfinite(value) ? Value(value) : Value(); }

Value TextValue(std::string_view text, const std::string& where) {
  if (FindInvalidUtf8(text) != std::string_view::npos) {
    throw Error(ErrorKind::kUnsupported,
                where +
                    ": a value is not UTF-8 text: images, sounds and other bytes are not read. "
                    "Leave the column out of the file.");
  }
  return std::string(text);
}

void RequireReadable(const ParquetLeaf& leaf, const std::string& where) {
  const bool is_bytes = leaf.type == ParquetType::kFixed && leaf.meaning != ParquetMeaning::kText;
  if (leaf.meaning != ParquetMeaning::kOther && leaf.type != ParquetType::kInt96 && !is_bytes) return;
  const std::string what = leaf.meaning == ParquetMeaning::kOther ? leaf.annotation
                           : is_bytes                             ? "FIXED_LEN_BYTE_ARRAY"
                                                                  : "INT96";
  throw Error(ErrorKind::kUnsupported,
              where + ": its type is " + what + ", which is not read. Convert the column or leave it out of the file.");
}

}  // namespace

HybridReader::HybridReader(std::string_view bytes, int bit_width, std::string where)
    : bytes_(bytes), bit_width_(bit_width), where_(std::move(where)) {
  if (bit_width > 32) Fail(where_, "numbers of " + std::to_string(bit_width) + " bits do not exist here.");
}

void HybridReader::BeginRun() {
  at_ += (bit_ + 7) / 8;
  bit_ = 0;
  Bytes rest(bytes_.substr(std::min(at_, bytes_.size())), where_);
  const uint64_t head = rest.Varint();
  if ((head & 1) == 0) {
    repeated_ = head >> 1;
    const std::string_view value = rest.Take(static_cast<uint64_t>(bit_width_ + 7) / 8);
    value_ = 0;
    for (size_t i = 0; i < value.size(); ++i)
      value_ |= static_cast<uint32_t>(static_cast<uint8_t>(value[i])) << (8 * i);
  } else {
    const uint64_t groups = head >> 1;
    packed_ = groups > (uint64_t{1} << 32) ? uint64_t{1} << 35 : groups * 8;
    // Some writers cut the last group where its values end.
    if (bit_width_ > 0) packed_ = std::min<uint64_t>(packed_, rest.left() * 8 / static_cast<size_t>(bit_width_));
  }
  at_ = bytes_.size() - rest.left();
  if (repeated_ == 0 && packed_ == 0) Fail(where_, "the numbers end too early.");
}

uint32_t HybridReader::Next() {
  if (repeated_ == 0 && packed_ == 0) BeginRun();
  if (repeated_ > 0) {
    --repeated_;
    return value_;
  }
  --packed_;
  const auto value = static_cast<uint32_t>(BitsAt(bytes_.substr(at_), bit_, bit_width_));
  bit_ += static_cast<size_t>(bit_width_);
  return value;
}

void Spend(const Value& value, const std::string& where, ParquetBudget& budget) {
  if (!value.is_string()) return;
  budget.text_bytes -= static_cast<int64_t>(value.AsString().size());
  if (budget.text_bytes < 0) {
    throw Error(ErrorKind::kBudget,
                where +
                    ": the texts of the file are a thousand times as long as the file, or have more than 4 GiB, "
                    "which is the limit.");
  }
}

void DecodeValues(std::string_view page, ParquetEncoding encoding, int64_t count, const ParquetLeaf& leaf,
                  const std::string& where, ParquetBudget& budget, std::vector<Value>& values) {
  RequireReadable(leaf, where);
  Bytes bytes(page, where);
  const auto add = [&](Value value) {
    Spend(value, where, budget);
    values.push_back(std::move(value));
  };
  const bool is_32 = leaf.type == ParquetType::kInt32, is_64 = leaf.type == ParquetType::kInt64;
  const bool is_bool = leaf.type == ParquetType::kBool, is_bytes = leaf.type == ParquetType::kBytes;
  if (encoding == ParquetEncoding::kPlain) {
    // A value has at least a bit; the budget of values is above what the bytes can hold.
    for (int64_t i = 0; i < count; ++i) {
      switch (leaf.type) {
        case ParquetType::kBool: {
          const auto at = static_cast<size_t>(i);
          if (at / 8 >= page.size()) Fail(where, "the values end too early.");
          add(BitsAt(page, at, 1) != 0);
          break;
        }
        case ParquetType::kInt32: add(IntegerValue(bytes.Fixed<uint32_t>(), false, leaf)); break;
        case ParquetType::kInt64: add(IntegerValue(bytes.Fixed<uint64_t>(), true, leaf)); break;
        case ParquetType::kFloat: add(RealValue(bytes.Fixed<float>())); break;
        case ParquetType::kDouble: add(RealValue(bytes.Fixed<double>())); break;
        case ParquetType::kBytes: add(TextValue(bytes.Take(bytes.Fixed<uint32_t>()), where)); break;
        default:
          if (leaf.type_length <= 0) Fail(where, "a value has " + std::to_string(leaf.type_length) + " bytes.");
          add(TextValue(bytes.Take(static_cast<uint64_t>(leaf.type_length)), where));
      }
    }
  } else if (encoding == ParquetEncoding::kRle && is_bool) {
    HybridReader bits(bytes.Take(bytes.Fixed<uint32_t>()), 1, where);
    for (int64_t i = 0; i < count; ++i) add(bits.Next() != 0);
  } else if (encoding == ParquetEncoding::kDeltaBinary && (is_32 || is_64)) {
    for (const uint64_t value : Deltas(bytes, count, where)) add(IntegerValue(value, is_64, leaf));
  } else if (encoding == ParquetEncoding::kDeltaLength && is_bytes) {
    for (const uint64_t size : Deltas(bytes, count, where)) add(TextValue(bytes.Take(size), where));
  } else if (encoding == ParquetEncoding::kDeltaBytes && is_bytes) {
    const std::vector<uint64_t> shared = Deltas(bytes, count, where), sizes = Deltas(bytes, count, where);
    std::string text;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (shared[i] > text.size()) Fail(where, "a text begins as one before it that is too short.");
      text.resize(shared[i]);
      text += bytes.Take(sizes[i]);
      add(TextValue(text, where));
    }
  } else {
    throw Error(ErrorKind::kUnsupported, where + ": its values are encoded by number " +
                                             std::to_string(static_cast<int64_t>(encoding)) +
                                             " of Parquet's encodings, which is not read for this type. Write the file "
                                             "anew with the default encodings.");
  }
}

}  // namespace bitlaw
