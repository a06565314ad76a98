#include "api/help/option_rows.h"

#include <algorithm>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

std::string TypeName(const OptionField& field) {
  if (field.type == OptionType::kGroupMap) return "named groups";
  if (field.type != OptionType::kList || field.children.empty()) return std::string(Name(field.type));
  const std::string element = TypeName(field.children.front());
  return (field.or_single ? element + " or " : "") + "list of " + element;
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

void AppendRows(const std::vector<OptionField>& fields, int depth, std::vector<OptionRow>& rows) {
  for (const OptionField& field : fields) {
    rows.push_back({field.name, TypeName(field), field.unit, RangeCell(field), DefaultCell(field), field.doc, depth});
    if (field.type == OptionType::kGroup || field.type == OptionType::kGroupMap) {
      AppendRows(field.children, depth + 1, rows);
    } else if (field.type == OptionType::kList && !field.children.empty()) {
      AppendRows(field.children.front().children, depth + 1, rows);
    }
  }
}

}  // namespace

std::string_view Name(OptionType type) {
  switch (type) {
    case OptionType::kBool: return "bool";
    case OptionType::kInt: return "int";
    case OptionType::kReal: return "real";
    case OptionType::kString: return "string";
    case OptionType::kPath: return "path";
    case OptionType::kChoice: return "choice";
    case OptionType::kList: return "list";
    case OptionType::kGroup: return "group";
    case OptionType::kGroupMap: return "group_map";
  }
  throw InternalError("OptionType out of range");
}

std::vector<OptionRow> OptionRows(const OptionSchema& schema) {
  std::vector<OptionRow> rows;
  AppendRows(schema.fields(), 0, rows);
  return rows;
}

std::string OptionSchema::HelpText() const {
  if (fields_.empty()) return "no options\n";
  std::vector<OptionRow> rows = {{"option", "type", "unit", "range", "default", "meaning", 0}};
  for (OptionRow& row : OptionRows(*this)) {
    row.name.insert(0, static_cast<size_t>(2 * row.depth), ' ');
    rows.push_back(std::move(row));
  }
  constexpr std::string OptionRow::* kColumns[] = {&OptionRow::name, &OptionRow::type, &OptionRow::unit, &OptionRow::range,
                                                   &OptionRow::fallback};
  std::vector<std::string> lines(rows.size());
  for (const auto column : kColumns) {
    size_t width = 0;
    for (const OptionRow& row : rows) width = std::max(width, (row.*column).size());
    for (size_t i = 0; i < rows.size(); ++i) lines[i] += rows[i].*column + std::string(width - (rows[i].*column).size() + 2, ' ');
  }
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    lines[i] += rows[i].doc;
    lines[i].erase(lines[i].find_last_not_of(' ') + 1);
    text += lines[i] + "\n";
  }
  return text;
}

}  // namespace bitlaw
