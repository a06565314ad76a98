#include "sdk/data/parquet/thrift_compact.h"

#include <algorithm>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

constexpr int kMaxDepth = 32;

}  // namespace

void ThriftReader::Fail(const std::string& what) const {
  throw Error(ErrorKind::kIo,
              where_ + ": " + what + " (byte " + std::to_string(at_) + "). The file is damaged or not Parquet.");
}

uint8_t ThriftReader::Byte() {
  if (at_ >= bytes_.size()) Fail("it ends too early");
  return static_cast<uint8_t>(bytes_[at_++]);
}

uint64_t ThriftReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = Byte();
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  Fail("a number has more than ten bytes");
}

int64_t ThriftReader::Zigzag() {
  const uint64_t coded = Varint();
  return static_cast<int64_t>((coded >> 1) ^ (~(coded & 1) + 1));
}

void ThriftReader::Require(const Field& field, std::initializer_list<int> types) const {
  if (std::find(types.begin(), types.end(), field.type) != types.end()) return;
  Fail("field " + std::to_string(field.id) + " has type " + std::to_string(field.type) +
       " of Thrift, which it cannot have");
}

void ThriftReader::Struct(const std::function<bool(const Field&)>& take) {
  if (++depth_ > kMaxDepth) Fail("structs are nested deeper than " + std::to_string(kMaxDepth));
  Field field;
  while (true) {
    const uint8_t head = Byte();
    field.type = head & 0x0F;
    if (field.type == kStop) break;
    const int step = head >> 4;
    const int64_t id = step == 0 ? Zigzag() : int64_t{field.id} + step;
    if (id < 0 || id > 0x7FFF) Fail("a field has the number " + std::to_string(id));
    field.id = static_cast<int>(id);
    if (!take(field)) Skip(field.type);
  }
  --depth_;
}

int64_t ThriftReader::Int(const Field& field) {
  Require(field, {kByte, kI16, kI32, kI64});
  return field.type == kByte ? static_cast<int8_t>(Byte()) : Zigzag();
}

bool ThriftReader::Bool(const Field& field) {
  Require(field, {kTrue, kFalse});
  return field.type == kTrue;
}

std::string_view ThriftReader::Binary(const Field& field) {
  Require(field, {kBinary});
  const uint64_t size = Varint();
  if (size > bytes_.size() - at_) Fail("a text of " + std::to_string(size) + " bytes does not fit");
  const std::string_view text = bytes_.substr(at_, size);
  at_ += size;
  return text;
}

void ThriftReader::List(const Field& field, const std::function<void(const Field&)>& take) {
  Require(field, {kList, kSet});
  const uint8_t head = Byte();
  const uint64_t count = (head >> 4) == 15 ? Varint() : head >> 4;
  // Every element has at least a byte.
  if (count > bytes_.size() - at_) Fail("a list of " + std::to_string(count) + " entries does not fit");
  Field element{field.id, head & 0x0F};
  for (uint64_t i = 0; i < count; ++i) take(element);
}

void ThriftReader::SubStruct(const Field& field, const std::function<bool(const Field&)>& take) {
  Require(field, {kStruct});
  Struct(take);
}

void ThriftReader::Skip(int type) {
  switch (type) {
    case kTrue:
    case kFalse: return;
    case kByte: Byte(); return;
    case kI16:
    case kI32:
    case kI64: Varint(); return;
    case kDouble:
      for (int i = 0; i < 8; ++i) Byte();
      return;
    case kBinary: Binary({0, kBinary}); return;
    case kList:
    case kSet:
      if (++depth_ > kMaxDepth) Fail("lists are nested deeper than " + std::to_string(kMaxDepth));
      // In a list a boolean has a byte of its own.
      List({0, type}, [this](const Field& element) { element.type <= kFalse ? (void)Byte() : Skip(element.type); });
      --depth_;
      return;
    case kMap: {
      if (++depth_ > kMaxDepth) Fail("maps are nested deeper than " + std::to_string(kMaxDepth));
      const uint64_t count = Varint();
      if (count > bytes_.size() - at_) Fail("a map of " + std::to_string(count) + " entries does not fit");
      const uint8_t types = count == 0 ? 0 : Byte();
      for (uint64_t i = 0; i < count; ++i) {
        for (const int part : {types >> 4, types & 0x0F}) part <= kFalse ? (void)Byte() : Skip(part);
      }
      --depth_;
      return;
    }
    case kStruct: Struct([](const Field&) { return false; }); return;
    default: Fail("there is no type " + std::to_string(type) + " of Thrift");
  }
}

}  // namespace bitlaw
