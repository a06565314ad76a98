#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "spec/keys/spec_keys.h"

namespace bitlaw {

/// Collects every fault of a study, so that its user mends them in one go: the first kMaxShown different ones, and how
/// many more there are.
class BITLAW_EXPORT Faults {
 public:
  static constexpr size_t kMaxShown = 100;

  void Add(const SourceMark& mark, const std::string& text);
  /// Every line of `error`; a line that does not speak of the file `home` gets `chain` after it.
  void AddError(const Error& error, const std::string& home = "", const std::string& chain = "");
  /// Lines that name their place themselves.
  void AddLines(const std::vector<std::string>& lines);
  bool empty() const { return lines_.empty(); }
  /// Whether one more would only be counted: then Count() spares the work of wording it.
  bool is_full() const { return lines_.size() >= kMaxShown; }
  void Count() { ++more_; }

  /// One Error that holds all lines, each once. Its kind is kSpec unless every fault came by AddError() with another.
  void ThrowIfAny() const;

 private:
  void AddLine(std::string line);

  std::vector<std::string> lines_;
  std::unordered_set<std::string> known_;  // The same.
  size_t more_ = 0;
  std::optional<ErrorKind> kind_;
};

/// Reads one map of a study file. A wrong type is a fault, and the value counts as not given.
class BITLAW_EXPORT MapReader {
 public:
  /// `kind` names the row of SpecMaps(); `name` is how sentences call the map: "models[1]". Unless `takes_options`,
  /// keys beside SpecKeysOf(kind) are faults.
  MapReader(const Value& map, std::string_view kind, std::string name, Faults& faults, bool takes_options = false);

  /// The value of `key`, or null if it is absent or written as null.
  const Value* Find(std::string_view key) const;
  /// Find(), and a fault if it is absent.
  const Value* Require(std::string_view key, const std::string& what);

  std::optional<std::string> String(std::string_view key);
  std::optional<bool> Bool(std::string_view key);
  const Value* List(std::string_view key);
  const Value* Map(std::string_view key);
  /// A string of letters, digits, '.', '_' and '-' that does not begin with '.' or '-'.
  std::optional<std::string> Name(std::string_view key);

  /// The entries that are none of the map's own keys: a component's options.
  Value Rest() const;

 private:
  const Value* Typed(std::string_view key, Value::Type type);
  // As SpecMaps() declares it: InternalError where the reader asks for another type, or requires what may be left out.
  const SpecKey& Declared(std::string_view key) const;

  const Value& map_;
  std::string_view kind_;
  std::string name_;
  Faults& faults_;
};

/// True for [A-Za-z0-9_][A-Za-z0-9._-]*.
bool IsName(std::string_view text);

}  // namespace bitlaw
