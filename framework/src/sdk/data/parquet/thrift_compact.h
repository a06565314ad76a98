#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bitlaw {

/// Reads Thrift's compact protocol, in which Parquet writes its footer and the headers of its pages. Every length is
/// checked against the bytes that are left, and nesting is limited.
///
/// Errors   Error(kIo) "where: what" with the byte for a value that is cut off, of another type than asked for, or
///          malformed.
/// Source   Apache Thrift, doc/specs/thrift-compact-protocol.md.
class ThriftReader {
 public:
  enum Type : int {
    kStop = 0,
    kTrue = 1,
    kFalse = 2,
    kByte = 3,
    kI16 = 4,
    kI32 = 5,
    kI64 = 6,
    kDouble = 7,
    kBinary = 8,
    kList = 9,
    kSet = 10,
    kMap = 11,
    kStruct = 12
  };

  /// `bytes` must outlive the reader; `where` begins its errors.
  ThriftReader(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  struct Field {
    int id = 0;
    int type = kStop;
  };
  /// Calls `take` for each field of the struct that begins here. It reads the field's value with one of the functions
  /// below and returns true, or returns false, and the value is passed over.
  void Struct(const std::function<bool(const Field&)>& take);

  int64_t Int(const Field& field);  ///< Of 8 to 64 bits.
  bool Bool(const Field& field);
  std::string_view Binary(const Field& field);
  /// Calls `take` once for each element, with its type as a field.
  void List(const Field& field, const std::function<void(const Field&)>& take);
  void SubStruct(const Field& field, const std::function<bool(const Field&)>& take);

  size_t at() const { return at_; }
  [[noreturn]] void Fail(const std::string& what) const;

 private:
  uint8_t Byte();
  uint64_t Varint();
  int64_t Zigzag();
  void Require(const Field& field, std::initializer_list<int> types) const;
  void Skip(int type);

  std::string_view bytes_;
  std::string where_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace bitlaw
