#include "spec/decoder.h"

#include <algorithm>
#include <sstream>

namespace bitlaw {

bool IsName(std::string_view text) {
  auto is_word = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && is_word(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](unsigned char c) { return is_word(c) || c == '.' || c == '-'; });
}

void Faults::Add(const SourceMark& mark, const std::string& text) {
  const std::string where = mark.Text();
  AddLine((where.empty() ? "" : where + ": ") + text);
  kind_ = ErrorKind::kSpec;
}

void Faults::AddLines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) AddLine(line);
  if (!lines.empty()) kind_ = ErrorKind::kSpec;
}

void Faults::AddLine(std::string line) {
  if (known_.contains(line)) return;
  if (is_full()) return Count();
  known_.insert(line);
  lines_.push_back(std::move(line));
}

void Faults::AddError(const Error& error, const std::string& home, const std::string& chain) {
  std::istringstream lines(error.what());
  for (std::string line; std::getline(lines, line);) {
    AddLine(chain.empty() || line.starts_with(home + ":") ? line : line + " (" + chain + ")");
  }
  kind_ = kind_ && *kind_ != error.kind() ? ErrorKind::kSpec : error.kind();
}

void Faults::ThrowIfAny() const {
  if (lines_.empty()) return;
  std::string text;
  for (const std::string& line : lines_) text += (text.empty() ? "" : "\n") + line;
  if (more_ > 0) text += "\nand " + std::to_string(more_) + " more. The first " + std::to_string(kMaxShown) + " are shown.";
  throw Error(kind_.value_or(ErrorKind::kSpec), text);
}

MapReader::MapReader(const Value& map, std::string_view kind, std::string name, Faults& faults, bool takes_options)
    : map_(map), kind_(kind), name_(std::move(name)), faults_(faults) {
  if (!map.is_map()) return;
  const std::vector<std::string>& known = SpecKeysOf(kind);
  for (const std::string& key : known) {
    const Value* value = map.Find(key);
    if (value == nullptr || !value->is_null()) continue;
    faults_.Add(value->key_mark(), "'" + key + "' of " + name_ + " is null. Write a value, or remove the key.");
  }
  if (takes_options) return;
  for (const auto& [key, value] : map.AsMap()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (faults_.is_full()) {
      faults_.Count();
      continue;
    }
    faults_.Add(value.key_mark(),
                "'" + key + "' is not a key of " + name_ + "." + DidYouMean(key, known) + " Keys: " + JoinNames(known) + ".");
  }
}

const Value* MapReader::Find(std::string_view key) const {
  const Value* value = map_.Find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const SpecKey& MapReader::Declared(std::string_view key) const {
  for (const SpecKey& one : SpecMapOf(kind_).keys) {
    if (one.name == key) return one;
  }
  throw InternalError("a " + std::string(kind_) + " has no key '" + std::string(key) + "'");
}

const Value* MapReader::Require(std::string_view key, const std::string& what) {
  if (Declared(key).fallback.find("required") == std::string::npos)
    throw InternalError("the key '" + std::string(key) + "' of a " + std::string(kind_) + " is declared as one that may be left out");
  const Value* value = Find(key);
  if (value == nullptr) faults_.Add(map_.mark(), "'" + std::string(key) + "' is missing from " + name_ + ". " + what);
  return value;
}

const Value* MapReader::Typed(std::string_view key, Value::Type type) {
  if (Declared(key).type != type) {
    throw InternalError("the key '" + std::string(key) + "' of a " + std::string(kind_) + " is not declared as " +
                        std::string(Article(type)));
  }
  const Value* value = Find(key);
  if (value == nullptr || value->type() == type) return value;
  faults_.Add(value->mark(), "'" + std::string(key) + "' of " + name_ + " is " + std::string(Article(value->type())) +
                                 ". It must be " + std::string(Article(type)) + ".");
  return nullptr;
}

std::optional<std::string> MapReader::String(std::string_view key) {
  const Value* value = Typed(key, Value::Type::kString);
  return value == nullptr ? std::nullopt : std::optional(value->AsString());
}

std::optional<bool> MapReader::Bool(std::string_view key) {
  const Value* value = Typed(key, Value::Type::kBool);
  return value == nullptr ? std::nullopt : std::optional(value->AsBool());
}

const Value* MapReader::List(std::string_view key) { return Typed(key, Value::Type::kList); }
const Value* MapReader::Map(std::string_view key) { return Typed(key, Value::Type::kMap); }

std::optional<std::string> MapReader::Name(std::string_view key) {
  std::optional<std::string> name = String(key);
  if (!name || IsName(*name)) return name;
  faults_.Add(Find(key)->mark(), "'" + std::string(key) + "' of " + name_ + " is '" + *name +
                                     "'. A name has letters, digits, '.', '_' and '-' and does not begin with '.' or '-'.");
  return std::nullopt;
}

Value MapReader::Rest() const {
  Value::Map rest;
  const std::vector<std::string>& own = SpecKeysOf(kind_);
  if (map_.is_map()) {
    for (const auto& entry : map_.AsMap()) {
      if (std::find(own.begin(), own.end(), entry.first) == own.end()) rest.push_back(entry);
    }
  }
  Value result(std::move(rest));
  result.set_mark(map_.mark());
  return result;
}

}  // namespace bitlaw
