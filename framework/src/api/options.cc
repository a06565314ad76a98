#include <algorithm>

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

namespace {

// One row of the help table.
struct HelpRow {
  std::string cells[5];  // name, type, unit, range, default
  std::string doc;
};

std::string TypeName(const OptionField& field) {
  switch (field.type) {
    case OptionType::kBool: return "bool";
    case OptionType::kInt: return "int";
    case OptionType::kReal: return "real";
    case OptionType::kString: return "string";
    case OptionType::kPath: return "path";
    case OptionType::kChoice: return "choice";
    case OptionType::kList: {
      if (field.children.empty()) return "list";
      const std::string element = TypeName(field.children.front());
      return (field.or_single ? element + " or " : "") + "list of " + element;
    }
    case OptionType::kGroup: return "group";
    case OptionType::kGroupMap: return "named groups";
  }
  throw InternalError("OptionType out of range");
}

// "2..8", ">= 1|row", "> 0.0, < 1.0", "fast|slow".
std::string RangeCell(const OptionField& field) {
  std::string text;
  if (field.type == OptionType::kChoice) {
    for (const std::string& choice : field.choices) text += (text.empty() ? "" : "|") + choice;
    return text;
  }
  auto number = [&](double value) {
    return field.type == OptionType::kReal ? Value(value).Text() : Value(static_cast<int64_t>(value)).Text();
  };
  if (field.min && field.max && !field.min_exclusive && !field.max_exclusive) {
    text = number(*field.min) + ".." + number(*field.max);
  } else {
    if (field.min) text += (field.min_exclusive ? "> " : ">= ") + number(*field.min);
    if (field.min && field.max) text += ", ";
    if (field.max) text += (field.max_exclusive ? "< " : "<= ") + number(*field.max);
  }
  for (const auto& [word, stands_for] : field.named_ints) text += (text.empty() ? "" : "|") + word;
  if (field.min_items) text += std::to_string(*field.min_items) + " or more items";
  if (field.type == OptionType::kList && !field.children.empty()) {
    const std::string element = RangeCell(field.children.front());
    if (!element.empty()) text += (text.empty() ? "" : ", ") + element;
  }
  return text;
}

// A line end inside of a default would break the table's row.
std::string WithEscapes(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return out;
}

std::string DefaultText(const OptionField& field, const Value& value) {
  if (value.is_null()) return "none";
  for (const auto& [word, number] : field.named_ints)
    if (value == Value(number)) return word;
  return WithEscapes(value.is_string() && !value.AsString().empty() ? value.AsString() : value.Text());
}

std::string DefaultCell(const OptionField& field) {
  if (field.required) {
    const bool all_defaults = field.type == OptionType::kGroup &&
                              std::none_of(field.children.begin(), field.children.end(),
                                           [](const OptionField& child) { return child.required; });
    return all_defaults ? "" : "required";
  }
  std::string text = DefaultText(field, field.default_value);
  for (const auto& [word, value] : field.defaults_by) text += ", " + word + ": " + DefaultText(field, value);
  return text;
}

// Children of groups are indented below their parent.
void AppendRows(const std::vector<OptionField>& fields, const std::string& indent, std::vector<HelpRow>& rows) {
  for (const OptionField& field : fields) {
    rows.push_back(
        {{indent + field.name, TypeName(field), field.unit, RangeCell(field), DefaultCell(field)}, field.doc});
    if (field.type == OptionType::kGroup || field.type == OptionType::kGroupMap) {
      AppendRows(field.children, indent + "  ", rows);
    } else if (field.type == OptionType::kList && !field.children.empty()) {
      AppendRows(field.children.front().children, indent + "  ", rows);
    }
  }
}

}  // namespace

std::string OptionSchema::HelpText() const {
  if (fields_.empty()) return "no options\n";
  std::vector<HelpRow> rows = {{{"option", "type", "unit", "range", "default"}, "meaning"}};
  AppendRows(fields_, "", rows);
  size_t widths[5] = {};
  for (const HelpRow& row : rows)
    for (size_t i = 0; i < 5; ++i) widths[i] = std::max(widths[i], row.cells[i].size());
  std::string text;
  for (const HelpRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < 5; ++i) line += row.cells[i] + std::string(widths[i] - row.cells[i].size() + 2, ' ');
    line += row.doc;
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace bitlaw
