#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

Options::Options() {
  static const auto kNone = std::make_shared<const Value>(Value::Map{});
  map_ = kNone;
}

Options::Options(Value map) : map_(std::make_shared<const Value>(std::move(map))) {}

const Value& Options::Raw(std::string_view name) const {
  if (const Value* value = map_->Find(name)) return *value;
  throw InternalError("the option '" + std::string(name) + "' was read, but the schema has no such option");
}

bool Options::Has(std::string_view name) const { return !Raw(name).is_null(); }
bool Options::Bool(std::string_view name) const { return Raw(name).AsBool(); }
int64_t Options::Int(std::string_view name) const { return Raw(name).AsInt(); }
double Options::Real(std::string_view name) const { return Raw(name).AsReal(); }
const std::string& Options::String(std::string_view name) const { return Raw(name).AsString(); }

std::vector<std::string> Options::Strings(std::string_view name) const {
  std::vector<std::string> items;
  for (const Value& item : Raw(name).AsList()) items.push_back(item.AsString());
  return items;
}

std::vector<int64_t> Options::Ints(std::string_view name) const {
  std::vector<int64_t> items;
  for (const Value& item : Raw(name).AsList()) items.push_back(item.AsInt());
  return items;
}

std::vector<double> Options::Reals(std::string_view name) const {
  std::vector<double> items;
  for (const Value& item : Raw(name).AsList()) items.push_back(item.AsReal());
  return items;
}

Options Options::Group(std::string_view name) const {
  const Value& group = Raw(name);
  group.AsMap();  // An InternalError if it is none.
  return Options(group);
}

std::vector<std::pair<std::string, Options>> Options::GroupMap(std::string_view name) const {
  std::vector<std::pair<std::string, Options>> groups;
  for (const auto& [key, group] : Raw(name).AsMap()) groups.emplace_back(key, Options(group));
  return groups;
}

}  // namespace bitlaw
