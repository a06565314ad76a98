#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A place in a text file. line and column count from 1; line 0 means "not from a file".
struct BITLAW_EXPORT SourceMark {
  std::string file;
  int line = 0;
  int column = 0;

  /// "configs/grid.yaml:14:19", or "" when the value was not read from a file.
  std::string Text() const;
};

/// A tree of plain values (null, bool, integer, real, string, list, map), each of which remembers where in
/// which file it was written. YAML files become Values, option schemas check Values, and every digest is
/// taken over CanonicalJson() of a Value.
///
/// A map keeps the order in which its keys were written; CanonicalJson() sorts them.
/// Copies are cheap: they share lists and maps until one of them is changed.
class BITLAW_EXPORT Value {
 public:
  using List = std::vector<Value>;
  using Map = std::vector<std::pair<std::string, Value>>;
  enum class Type { kNull, kBool, kInt, kReal, kString, kList, kMap };

  Value();
  ~Value();
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  Value(bool value) : content_(value) {}                          // NOLINT(google-explicit-constructor)
  Value(int value) : content_(static_cast<int64_t>(value)) {}     // NOLINT(google-explicit-constructor)
  Value(int64_t value) : content_(value) {}                       // NOLINT(google-explicit-constructor)
  Value(double value) : content_(value) {}                        // NOLINT(google-explicit-constructor)
  Value(const char* value) : content_(std::string(value)) {}      // NOLINT(google-explicit-constructor)
  Value(std::string value) : content_(std::move(value)) {}        // NOLINT(google-explicit-constructor)
  Value(List value);                                              // NOLINT(google-explicit-constructor)
  Value(Map value);                                               // NOLINT(google-explicit-constructor)

  Type type() const { return static_cast<Type>(content_.index()); }
  bool is_null() const { return type() == Type::kNull; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_int() const { return type() == Type::kInt; }
  bool is_number() const { return type() == Type::kInt || type() == Type::kReal; }
  bool is_string() const { return type() == Type::kString; }
  bool is_list() const { return type() == Type::kList; }
  bool is_map() const { return type() == Type::kMap; }

  /// Typed access. A wrong type is an InternalError: user input is checked by a schema before it is read.
  bool AsBool() const;
  int64_t AsInt() const;
  double AsReal() const;  ///< An integer is accepted.
  const std::string& AsString() const;
  const List& AsList() const;
  const Map& AsMap() const;
  List& AsList();
  Map& AsMap();

  /// The entry of a map, or null if the map has no such key (or this is no map). The pointer lives as long
  /// as the map is not changed.
  const Value* Find(std::string_view key) const;
  /// Adds or replaces a map entry. A null Value becomes an empty map first.
  void Set(std::string_view key, Value value);

  const SourceMark& mark() const { return mark_; }
  void set_mark(SourceMark mark) { mark_ = std::move(mark); }
  /// Where the key of this map entry stands; mark() for a value that is no map entry. In the same file as the value.
  SourceMark key_mark() const { return key_line_ == 0 ? mark_ : SourceMark{mark_.file, key_line_, key_column_}; }
  void set_key_mark(int line, int column) { key_line_ = line, key_column_ = column; }

  /// JSON with sorted keys and no spaces; reals in the shortest form that reads back to the same double and
  /// always with '.', 'e' or a name, so that 1 and 1.0 differ; nan and infinities are an InternalError. Bytes of
  /// strings that are not UTF-8 are written as U+FFFD.
  std::string CanonicalJson() const;

  /// For people, in error texts and tables: 3, 0.01, 'abc', [2, 3], {a: 1}.
  std::string Text() const;

  /// Equality of content; marks and key order do not count.
  bool operator==(const Value& other) const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, std::shared_ptr<List>, std::shared_ptr<Map>>
      content_;
  SourceMark mark_;
  int key_line_ = 0, key_column_ = 0;
};

/// "an integer", "a list", ... for error texts.
BITLAW_EXPORT std::string_view Article(Value::Type type);

/// Parses one JSON document. Error(kIo) with `origin` and the offset on malformed text, duplicate keys,
/// nesting beyond 512 or trailing bytes. Integers outside int64 become reals.
BITLAW_EXPORT Value ParseJson(std::string_view text, const std::string& origin);

/// JSON text with two-space indents and keys in the order they were set, for files that people open.
BITLAW_EXPORT std::string PrettyJson(const Value& value);

}  // namespace bitlaw
