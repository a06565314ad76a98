#include "bitlaw/api/option_schema.h"

#include <algorithm>

#include "api/option_checker.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

OptionField& OptionField::Doc(std::string text) {
  doc = std::move(text);
  return *this;
}

OptionField& OptionField::Unit(std::string text) {
  unit = std::move(text);
  return *this;
}

OptionField& OptionField::Default(Value value) {
  default_value = std::move(value);
  required = false;
  return *this;
}

OptionField& OptionField::DefaultBy(std::string choice, std::vector<std::pair<std::string, Value>> defaults) {
  default_by = std::move(choice);
  defaults_by = std::move(defaults);
  return *this;
}

OptionField& OptionField::Optional() {
  default_value = Value();
  required = false;
  return *this;
}

OptionField& OptionField::Range(double low, double high) {
  min = low, max = high;
  min_exclusive = max_exclusive = false;
  return *this;
}

OptionField& OptionField::Min(double low) {
  min = low;
  min_exclusive = false;
  return *this;
}

OptionField& OptionField::Above(double low) {
  min = low;
  min_exclusive = true;
  return *this;
}

OptionField& OptionField::Below(double high) {
  max = high;
  max_exclusive = true;
  return *this;
}

OptionField& OptionField::Word(std::string word, int64_t number) {
  named_ints.emplace_back(std::move(word), number);
  return *this;
}

OptionField& OptionField::MinItems(int64_t count) {
  min_items = count;
  return *this;
}

OptionField& OptionField::OrSingle() {
  or_single = true;
  return *this;
}

OptionField& OptionSchema::AddField(std::string name, OptionType type) {
  if (Find(name) != nullptr) throw InternalError("an option schema has the option '" + name + "' twice");
  OptionField field;
  field.name = std::move(name);
  field.type = type;
  fields_.push_back(std::move(field));
  return fields_.back();
}

OptionField& OptionSchema::Bool(std::string name) { return AddField(std::move(name), OptionType::kBool); }
OptionField& OptionSchema::Int(std::string name) { return AddField(std::move(name), OptionType::kInt); }
OptionField& OptionSchema::Real(std::string name) { return AddField(std::move(name), OptionType::kReal); }
OptionField& OptionSchema::String(std::string name) { return AddField(std::move(name), OptionType::kString); }
OptionField& OptionSchema::Path(std::string name) { return AddField(std::move(name), OptionType::kPath); }

OptionField& OptionSchema::Choice(std::string name, std::vector<std::string> choices) {
  OptionField& field = AddField(std::move(name), OptionType::kChoice);
  field.choices = std::move(choices);
  return field;
}

OptionField& OptionSchema::List(std::string name, OptionField element) {
  OptionField& field = AddField(std::move(name), OptionType::kList);
  field.children.push_back(std::move(element));
  return field;
}

OptionField& OptionSchema::Group(std::string name, OptionSchema children) {
  OptionField& field = AddField(std::move(name), OptionType::kGroup);
  field.children = std::move(children.fields_);
  return field;
}

OptionField& OptionSchema::GroupMap(std::string name, OptionSchema children) {
  OptionField& field = AddField(std::move(name), OptionType::kGroupMap);
  field.children = std::move(children.fields_);
  return field;
}

const OptionField* OptionSchema::Find(std::string_view name) const {
  for (const OptionField& field : fields_)
    if (field.name == name) return &field;
  return nullptr;
}

std::vector<std::string> OptionSchema::names() const {
  std::vector<std::string> names;
  for (const OptionField& field : fields_) names.push_back(field.name);
  return names;
}

const Value& OptionSchema::DefaultOf(const OptionField& field, const Value& resolved) {
  const Value* choice = field.default_by.empty() ? nullptr : resolved.Find(field.default_by);
  if (choice != nullptr && choice->is_string()) {
    for (const auto& [word, value] : field.defaults_by) {
      if (word == choice->AsString()) return value;
    }
  }
  return field.default_value;
}

bool OptionSchema::IsAxis(const OptionField& field, const Value& given) {
  if (!given.is_list()) return false;
  if (field.type != OptionType::kList) return true;
  const Value::List& items = given.AsList();
  return !items.empty() && std::all_of(items.begin(), items.end(), [](const Value& item) { return item.is_list(); });
}

namespace {

void ThrowIfAny(const std::vector<std::string>& faults) {
  if (faults.empty()) return;
  std::string text;
  for (const std::string& fault : faults) text += (text.empty() ? "" : "\n") + fault;
  throw Error(ErrorKind::kSpec, text);
}

}  // namespace

Options OptionSchema::Resolve(const Value& given, std::string_view owner) const {
  if (!given.is_map() && !given.is_null()) {
    const std::string where = given.mark().Text();
    throw Error(ErrorKind::kSpec, (where.empty() ? "" : where + ": ") + "the options of " + std::string(owner) +
                                      " are " + std::string(Article(given.type())) +
                                      ". They must be a map. Options: " + JoinNames(names()) + ".");
  }
  std::vector<std::string> faults;
  Value resolved = OptionChecker(owner, faults).CheckMap(fields_, given, "");
  ThrowIfAny(faults);
  resolved.set_mark(given.mark());
  return Options(std::move(resolved));
}

Value OptionSchema::ResolveOne(const OptionField& field, const Value& given, std::string_view owner,
                               std::vector<std::string>* faults) {
  if (given.is_null() && !field.required && field.default_value.is_null()) return given;
  std::vector<std::string> own_faults;
  Value result = OptionChecker(owner, faults != nullptr ? *faults : own_faults).Check(field, given, field.name);
  ThrowIfAny(own_faults);
  return result;
}

}  // namespace bitlaw
