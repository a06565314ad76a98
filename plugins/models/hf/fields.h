#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// Reads fields of config.json. A number, flag or string that is null is refused, as in transformers.
class Fields {
 public:
  Fields(const Value& map, std::string where) : map_(map), where_(std::move(where)) {}

  /// Null for a field that is absent or null.
  const Value* Find(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && !found->is_null() ? found : nullptr;
  }
  bool IsNull(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && found->is_null();
  }
  int64_t Int(const char* key) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is missing. It must be an integer.");
    return AsInt(key, *value);
  }
  int64_t IntOr(const char* key, int64_t otherwise) const {
    const Value* value = map_.Find(key);
    return value != nullptr ? AsInt(key, *value) : otherwise;
  }
  double Real(const char* key) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is missing. It must be a number.");
    if (!value->is_number()) Wrong(key, *value, "a number");
    return value->AsReal();
  }
  double RealOr(const char* key, double otherwise) const {
    return map_.Find(key) != nullptr ? Real(key) : otherwise;
  }
  bool BoolOr(const char* key, bool otherwise) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) Wrong(key, *value, "true or false");
    return value->AsBool();
  }
  std::string StringOr(const char* key, const std::string& otherwise) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) Wrong(key, *value, "a string");
    return value->AsString();
  }
  [[noreturn]] void Unsupported(const std::string& what) const {
    throw Error(ErrorKind::kUnsupported, where_ + ": " + what);
  }
  [[noreturn]] void Wrong(const char* key, const Value& value, const char* must_be) const {
    throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is " + value.Text() + ". It must be " + must_be + ".");
  }
  const Value::Map& entries() const { return map_.AsMap(); }
  const std::string& where() const { return where_; }

 private:
  int64_t AsInt(const char* key, const Value& value) const {
    if (!value.is_int()) Wrong(key, value, "an integer");
    return value.AsInt();
  }
  const Value& map_;
  std::string where_;
};

}  // namespace bitlaw
