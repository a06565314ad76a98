#include "bitlaw/sdk/text/data_text.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "bitlaw/base/error.h"

namespace bitlaw {

std::string NumberText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  // d.ddde[+-]xx, with the shortest digits that read back.
  const char* const end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, static_cast<size_t>(end - buffer));
  const size_t e = scientific.find('e');
  int exponent = 0;
  const size_t digits_of_exponent = e + (scientific[e + 1] == '+' ? 2 : 1);
  std::from_chars(scientific.data() + digits_of_exponent, end, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  const bool negative = scientific.front() == '-';
  std::string digits;
  for (const char c : scientific.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string text;
  if (exponent < 0) {
    text = "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else {
    const size_t whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() < whole + 1) digits.append(whole + 1 - digits.size(), '0');
    text = digits.substr(0, whole) + "." + digits.substr(whole);
  }
  return (negative ? "-" : "") + text;
}

bool HasDataText(const Value& value) { return !value.is_null() && !value.is_list() && !value.is_map(); }

std::string DataText(const Value& value) {
  switch (value.type()) {
    case Value::Type::kString: return value.AsString();
    case Value::Type::kReal: return NumberText(value.AsReal());
    case Value::Type::kInt:
    case Value::Type::kBool: return value.Text();
    default: throw InternalError("DataText of " + std::string(Article(value.type())));
  }
}

std::string DataTextOf(const Value& row, const Value& value, const std::string& field, const std::string& wanted_by) {
  if (HasDataText(value)) return DataText(value);
  const std::string where = row.mark().Text();
  throw Error(ErrorKind::kSpec, (where.empty() ? "" : where + ": ") + "'" + field + "' is " +
                                    std::string(Article(value.type())) + ", where a text or a number is needed (" +
                                    wanted_by + ").");
}

}  // namespace bitlaw
