#include "bitlaw/base/value.h"

#include <algorithm>

#include "base/json_text.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

std::string SourceMark::Text() const {
  if (line == 0) return "";
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string_view Article(Value::Type type) {
  switch (type) {
    case Value::Type::kNull: return "null";
    case Value::Type::kBool: return "a boolean";
    case Value::Type::kInt: return "an integer";
    case Value::Type::kReal: return "a real number";
    case Value::Type::kString: return "a string";
    case Value::Type::kList: return "a list";
    case Value::Type::kMap: return "a map";
  }
  throw InternalError("Value::Type out of range");
}

// Out of line: inlined into every caller, GCC 12 warns of uninitialized members that are not read.
Value::Value() = default;
Value::~Value() = default;
Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::Value(List value) : content_(std::make_shared<List>(std::move(value))) {}
Value::Value(Map value) : content_(std::make_shared<Map>(std::move(value))) {}

namespace {

[[noreturn]] void ThrowWrongType(const Value& value, Value::Type wanted) {
  const std::string where = value.mark().Text();
  throw InternalError((where.empty() ? "" : where + ": ") + "a Value was read as " + std::string(Article(wanted)) +
                      " but it is " + std::string(Article(value.type())));
}

// The content for writing: copied first if another Value has it too.
template <typename T>
T& Own(std::shared_ptr<T>& shared) {
  if (shared.use_count() > 1) shared = std::make_shared<T>(*shared);
  return *shared;
}

}  // namespace

bool Value::AsBool() const {
  if (const bool* value = std::get_if<bool>(&content_)) return *value;
  ThrowWrongType(*this, Type::kBool);
}

int64_t Value::AsInt() const {
  if (const int64_t* value = std::get_if<int64_t>(&content_)) return *value;
  ThrowWrongType(*this, Type::kInt);
}

double Value::AsReal() const {
  if (const double* value = std::get_if<double>(&content_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&content_)) return static_cast<double>(*value);
  ThrowWrongType(*this, Type::kReal);
}

const std::string& Value::AsString() const {
  if (const std::string* value = std::get_if<std::string>(&content_)) return *value;
  ThrowWrongType(*this, Type::kString);
}

const Value::List& Value::AsList() const {
  if (const auto* value = std::get_if<std::shared_ptr<List>>(&content_)) return **value;
  ThrowWrongType(*this, Type::kList);
}

const Value::Map& Value::AsMap() const {
  if (const auto* value = std::get_if<std::shared_ptr<Map>>(&content_)) return **value;
  ThrowWrongType(*this, Type::kMap);
}

Value::List& Value::AsList() {
  if (auto* value = std::get_if<std::shared_ptr<List>>(&content_)) return Own(*value);
  ThrowWrongType(*this, Type::kList);
}

Value::Map& Value::AsMap() {
  if (auto* value = std::get_if<std::shared_ptr<Map>>(&content_)) return Own(*value);
  ThrowWrongType(*this, Type::kMap);
}

const Value* Value::Find(std::string_view key) const {
  if (!is_map()) return nullptr;
  for (const auto& [name, value] : AsMap())
    if (name == key) return &value;
  return nullptr;
}

void Value::Set(std::string_view key, Value value) {
  if (is_null()) content_ = std::make_shared<Map>();
  for (auto& [name, old] : AsMap()) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  AsMap().emplace_back(std::string(key), std::move(value));
}

bool Value::operator==(const Value& other) const {
  if (type() != other.type()) return false;
  if (is_list()) return AsList() == other.AsList();
  if (!is_map()) return content_ == other.content_;
  const Map& ours = AsMap();
  const Map& theirs = other.AsMap();
  if (ours.size() != theirs.size()) return false;
  for (size_t i = 0; i < ours.size(); ++i) {
    // Keys mostly come in the same order.
    const Value* match = theirs[i].first == ours[i].first ? &theirs[i].second : other.Find(ours[i].first);
    if (match == nullptr || *match != ours[i].second) return false;
  }
  return true;
}

std::string Value::Text() const {
  switch (type()) {
    case Type::kNull: return "null";
    case Type::kBool: return AsBool() ? "true" : "false";
    case Type::kInt: return std::to_string(AsInt());
    case Type::kReal: return RealText(AsReal());
    case Type::kString: return "'" + AsString() + "'";
    case Type::kList: {
      std::string text;
      for (const Value& item : AsList()) text += (text.empty() ? "" : ", ") + item.Text();
      return "[" + text + "]";
    }
    case Type::kMap: {
      std::string text;
      for (const auto& [key, value] : AsMap()) text += (text.empty() ? "" : ", ") + key + ": " + value.Text();
      return "{" + text + "}";
    }
  }
  throw InternalError("Value::Type out of range");
}

namespace {

void AppendCanonical(const Value& value, std::string& out) {
  switch (value.type()) {
    case Value::Type::kList: {
      out += '[';
      const char* separator = "";
      for (const Value& item : value.AsList()) {
        out += separator;
        AppendCanonical(item, out);
        separator = ",";
      }
      out += ']';
      return;
    }
    case Value::Type::kMap: {
      std::vector<const std::pair<std::string, Value>*> entries;
      entries.reserve(value.AsMap().size());
      for (const auto& entry : value.AsMap()) entries.push_back(&entry);
      std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
      out += '{';
      const char* separator = "";
      for (const auto* entry : entries) {
        out += separator;
        AppendJsonString(entry->first, out);
        out += ':';
        AppendCanonical(entry->second, out);
        separator = ",";
      }
      out += '}';
      return;
    }
    default: AppendJsonScalar(value, out);
  }
}

// A list of a few scalars reads best on one line.
bool FitsOnOneLine(const Value& value) {
  size_t length = 0;
  for (const Value& item : value.AsList()) {
    if (item.is_list() || item.is_map()) return false;
    length += item.is_string() ? item.AsString().size() + 4 : 12;
    if (length > 100) return false;
  }
  return true;
}

void AppendPretty(const Value& value, size_t depth, std::string& out) {
  const std::string indent(2 * (depth + 1), ' ');
  if (value.is_list()) {
    const bool one_line = FitsOnOneLine(value);
    const char* separator = "";
    out += '[';
    for (const Value& item : value.AsList()) {
      out += separator;
      if (!one_line) out += '\n' + indent;
      AppendPretty(item, depth + 1, out);
      separator = one_line ? ", " : ",";
    }
    if (!one_line) out += '\n' + std::string(2 * depth, ' ');
    out += ']';
  } else if (value.is_map()) {
    const char* separator = "";
    out += '{';
    for (const auto& [key, entry] : value.AsMap()) {
      out += separator;
      out += '\n' + indent;
      AppendJsonString(key, out);
      out += ": ";
      AppendPretty(entry, depth + 1, out);
      separator = ",";
    }
    if (!value.AsMap().empty()) out += '\n' + std::string(2 * depth, ' ');
    out += '}';
  } else {
    AppendJsonScalar(value, out);
  }
}

}  // namespace

std::string Value::CanonicalJson() const {
  std::string out;
  AppendCanonical(*this, out);
  return out;
}

std::string PrettyJson(const Value& value) {
  std::string out;
  AppendPretty(value, 0, out);
  out += '\n';
  return out;
}

}  // namespace bitlaw
