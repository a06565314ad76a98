#include "api/option_checker.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

std::string NumberText(double value, bool is_integer) {
  return is_integer ? Value(static_cast<int64_t>(value)).Text() : Value(value).Text();
}

// " from 2 to 8", " of at least 1", " above 0.0 and below 1.0", or "".
std::string RangeText(const OptionField& field) {
  const bool is_integer = field.type == OptionType::kInt;
  if (field.min && field.max && !field.min_exclusive && !field.max_exclusive) {
    return " from " + NumberText(*field.min, is_integer) + " to " + NumberText(*field.max, is_integer);
  }
  std::string text;
  if (field.min) text += (field.min_exclusive ? " above " : " of at least ") + NumberText(*field.min, is_integer);
  if (field.min && field.max) text += " and";
  if (field.max) text += (field.max_exclusive ? " below " : " of at most ") + NumberText(*field.max, is_integer);
  return text;
}

std::vector<std::string> FieldNames(const std::vector<OptionField>& fields) {
  std::vector<std::string> names;
  for (const OptionField& field : fields) names.push_back(field.name);
  return names;
}

// What a value of this field must be, as it ends the sentence "It must be ...".
std::string Requirement(const OptionField& field) {
  switch (field.type) {
    case OptionType::kBool: return "true or false";
    case OptionType::kInt: {
      std::string text = "an integer" + RangeText(field);
      for (const auto& [word, number] : field.named_ints) text += " or '" + word + "'";
      return text;
    }
    case OptionType::kReal: return "a number" + RangeText(field);
    case OptionType::kString: return "a string";
    case OptionType::kPath: return "a path";
    case OptionType::kChoice: return "one of " + JoinNames(field.choices);
    case OptionType::kList: {
      std::string text = "a list";
      if (field.min_items) text += " of at least " + std::to_string(*field.min_items);
      if (field.children.empty()) return text;
      const std::string element = Requirement(field.children.front());
      return (field.or_single ? element + " or " : "") + text + ", each item " + element;
    }
    case OptionType::kGroup: return "a map with the keys " + JoinNames(FieldNames(field.children));
    case OptionType::kGroupMap:
      return "a map from names of your choice to maps with the keys " + JoinNames(FieldNames(field.children));
  }
  throw InternalError("OptionType out of range");
}

bool InRange(const OptionField& field, double number) {
  if (field.min && (field.min_exclusive ? !(number > *field.min) : !(number >= *field.min))) return false;
  if (field.max && (field.max_exclusive ? !(number < *field.max) : !(number <= *field.max))) return false;
  return true;
}

bool TooFew(const OptionField& field, size_t count) {
  return field.min_items && count < static_cast<size_t>(*field.min_items);
}

// How a file writes a whole number that is meant as a text; other numbers may have lost digits that were written.
std::string InQuotes(const Value& given, const std::string& path) {
  if (!given.is_int() || given.mark().line == 0 || path.ends_with(']')) return "";
  return " Write " + path.substr(path.rfind('.') + 1) + ": \"" + given.Text() + "\".";
}

// A field that may be absent and then stays null.
bool IsOptional(const OptionField& field) { return !field.required && field.default_value.is_null(); }

}  // namespace

void OptionChecker::Fault(const SourceMark& mark, const std::string& text) {
  const std::string where = mark.Text();
  faults_.push_back((where.empty() ? "" : where + ": ") + text);
}

std::string OptionChecker::Owned(const std::string& text) const {
  return owner_.empty() ? text : std::string(owner_) + ": " + text;
}

Value OptionChecker::Refuse(const OptionField& field, const Value& given, const std::string& path,
                            const std::string& problem, const std::string& hint) {
  std::string shown = given.Text();
  if (shown.size() > 80) shown = shown.substr(0, 77) + "...";
  Fault(given.mark(), Owned((given.is_null() ? path : path + " = " + shown) + " is " + problem + ". It must be " +
                            Requirement(field) + "." + hint));
  return Value();
}

Value OptionChecker::Check(const OptionField& field, const Value& given, const std::string& path) {
  Value result = CheckContent(field, given, path);
  result.set_mark(given.mark());
  return result;
}

Value OptionChecker::CheckMap(const std::vector<OptionField>& fields, const Value& given, const std::string& path) {
  Value result(Value::Map{});
  result.AsMap().reserve(fields.size());
  if (given.is_map()) CheckKeysKnown(fields, given, path);
  for (const OptionField& field : fields) {
    const std::string field_path = path.empty() ? field.name : path + "." + field.name;
    const Value* entry = given.Find(field.name);
    const bool is_null = entry != nullptr && entry->is_null() && IsOptional(field);
    if (is_null && entry->mark().line > 0) {
      // In a file null would undo what an included file says, and there is nothing of the kind.
      Fault(entry->key_mark(), Owned("'" + field_path + "' is null. Write a value, or remove the key."));
    }
    const bool is_given = entry != nullptr && !is_null;
    result.AsMap().emplace_back(
        field.name, is_given ? Check(field, *entry, field_path) : Missing(field, given, result, field_path));
  }
  return result;
}

void OptionChecker::CheckKeysKnown(const std::vector<OptionField>& fields, const Value& given,
                                   const std::string& path) {
  const std::vector<std::string> known = FieldNames(fields);
  const std::string place = path.empty() ? std::string(owner_) : "'" + path + "' of " + std::string(owner_);
  for (const auto& [key, value] : given.AsMap()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    Fault(value.key_mark(), "'" + key + "' is not an option of " + place + "." + DidYouMean(key, known) +
                                " Options: " + JoinNames(known) + ".");
  }
}

Value OptionChecker::Missing(const OptionField& field, const Value& parent, const Value& resolved,
                             const std::string& path) {
  if (!field.required) {
    // A default is checked like any other value, so that words and paths come out normalized.
    // What decides the default stands before, or is given after: a recipe's `grid` on its quantizer's group_size.
    const bool is_before = field.default_by.empty() || resolved.Find(field.default_by) != nullptr || !parent.is_map();
    const Value& value = OptionSchema::DefaultOf(field, is_before ? resolved : parent);
    return value.is_null() ? Value() : Check(field, value, path);
  }
  const bool all_defaults = field.type == OptionType::kGroup &&
                            std::none_of(field.children.begin(), field.children.end(),
                                         [](const OptionField& child) { return child.required; });
  if (all_defaults) return CheckMap(field.children, Value(), path);
  Fault(parent.mark(), Owned("'" + path + "' is missing. It must be " + Requirement(field) + "."));
  return Value();
}

Value OptionChecker::CheckContent(const OptionField& field, const Value& given, const std::string& path) {
  const std::string wrong_type(Article(given.type()));
  switch (field.type) {
    case OptionType::kBool: return given.is_bool() ? given : Refuse(field, given, path, wrong_type);
    case OptionType::kInt: return CheckInt(field, given, path);
    case OptionType::kReal: return CheckReal(field, given, path);
    case OptionType::kString:
      return given.is_string() ? given : Refuse(field, given, path, wrong_type, InQuotes(given, path));
    case OptionType::kPath:
      return given.is_string() ? CheckPath(field, given, path) : Refuse(field, given, path, wrong_type);
    case OptionType::kChoice: {
      if (!given.is_string()) return Refuse(field, given, path, wrong_type);
      const std::string& word = given.AsString();
      if (std::find(field.choices.begin(), field.choices.end(), word) != field.choices.end()) return given;
      return Refuse(field, given, path, "none of the choices", DidYouMean(word, field.choices));
    }
    case OptionType::kList: return CheckList(field, given, path);
    case OptionType::kGroup:
      return given.is_map() ? CheckMap(field.children, given, path) : Refuse(field, given, path, wrong_type);
    case OptionType::kGroupMap: return CheckGroupMap(field, given, path);
  }
  throw InternalError("OptionType out of range");
}

Value OptionChecker::CheckInt(const OptionField& field, const Value& given, const std::string& path) {
  const std::string wrong_type(Article(given.type()));
  if (given.is_string()) {
    std::vector<std::string> words;
    for (const auto& [word, number] : field.named_ints) {
      if (word == given.AsString()) return number;
      words.push_back(word);
    }
    return Refuse(field, given, path, wrong_type, DidYouMean(given.AsString(), words));
  }
  if (!given.is_int()) return Refuse(field, given, path, wrong_type);
  for (const auto& [word, number] : field.named_ints)
    if (number == given.AsInt()) return given;
  return InRange(field, static_cast<double>(given.AsInt())) ? given : Refuse(field, given, path, "out of range");
}

Value OptionChecker::CheckReal(const OptionField& field, const Value& given, const std::string& path) {
  if (!given.is_number()) return Refuse(field, given, path, std::string(Article(given.type())));
  const double number = given.AsReal();
  if (std::isnan(number)) return Refuse(field, given, path, "not a number");
  // An infinity passes only where a bound says that it may: a range that includes it.
  const bool unbounded = std::isinf(number) && (number > 0 ? !field.max : !field.min);
  if (unbounded || !InRange(field, number)) return Refuse(field, given, path, "out of range");
  return number;
}

Value OptionChecker::CheckPath(const OptionField& field, const Value& given, const std::string& path) {
  const std::string& text = given.AsString();
  if (text.empty()) return Refuse(field, given, path, "empty");
  std::string unset;
  const std::string expanded = ExpandVariables(text, &unset);
  if (!unset.empty()) {
    Fault(given.mark(), Owned(path + " = " + given.Text() + " needs the environment variable " + unset +
                              ", which is not set. Set it, or write the path out."));
    return Value();
  }
  std::filesystem::path result(expanded);
  if (result.is_relative() && given.mark().line > 0) {
    result = std::filesystem::path(given.mark().file).parent_path() / result;
  }
  return std::filesystem::absolute(result).lexically_normal().string();
}

Value OptionChecker::CheckList(const OptionField& field, const Value& given, const std::string& path) {
  if (!given.is_list()) {
    if (!field.or_single || !given.is_string()) return Refuse(field, given, path, std::string(Article(given.type())));
    return Value::List{Check(field.children.front(), given, path)};
  }
  if (TooFew(field, given.AsList().size())) return Refuse(field, given, path, "too short");
  Value::List result;
  result.reserve(given.AsList().size());
  for (size_t i = 0; i < given.AsList().size(); ++i) {
    result.push_back(Check(field.children.front(), given.AsList()[i], path + "[" + std::to_string(i) + "]"));
  }
  return result;
}

Value OptionChecker::CheckGroupMap(const OptionField& field, const Value& given, const std::string& path) {
  if (!given.is_map()) return Refuse(field, given, path, std::string(Article(given.type())));
  if (TooFew(field, given.AsMap().size())) return Refuse(field, given, path, "too short");
  Value::Map result;
  for (const auto& [key, value] : given.AsMap()) {
    const std::string entry_path = path + "." + key;
    if (value.is_map() || value.is_null()) {
      Value entry = CheckMap(field.children, value, entry_path);
      entry.set_mark(value.mark());
      result.emplace_back(key, std::move(entry));
    } else {
      Fault(value.mark(), Owned(entry_path + " = " + value.Text() + " is " + std::string(Article(value.type())) +
                                ". It must be a map with the keys " + JoinNames(FieldNames(field.children)) + "."));
    }
  }
  return result;
}

}  // namespace bitlaw
