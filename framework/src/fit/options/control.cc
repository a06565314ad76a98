#include "fit/options/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "fit/options/grouping.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {

Control ParseControl(const std::string& text) {
  Control control;
  const size_t colon = FindUnquoted(text, ":"), equals = FindUnquoted(text, "=");
  const std::string_view named = Trim(std::string_view(text).substr(0, std::min(colon, equals)));
  control.name = UnquotedName(named);
  if (colon != std::string::npos && colon < equals) {
    for (const auto& [task, value] : ParseAssignments(text.substr(colon + 1), ',', "control '" + control.name + "'")) {
      size_t end = 0;
      double number = std::nan("");
      try {
        number = std::stod(value, &end);
      } catch (const std::exception&) {
        end = 0;
      }
      if (end != value.size() || !std::isfinite(number)) {
        throw Error(ErrorKind::kSpec,
                    fmt::format("control '{}': '{}' of task '{}' is not a number.", control.name, value, task));
      }
      control.of_task.emplace_back(task, number);
    }
  } else {
    control.expression =
        equals == std::string::npos ? QuotedName(control.name) : std::string(Trim(std::string_view(text).substr(equals + 1)));
  }
  // A plain name, or any in backquotes.
  const bool is_name = !control.name.empty() && (QuotedName(control.name) == control.name || control.name != named);
  if (!is_name || (control.of_task.empty() && control.expression.empty())) {
    throw Error(ErrorKind::kSpec, "control '" + text +
                                      "' is not a column, name = expression, or name: task = number, ... A name has "
                                      "letters, digits and _, or stands in backquotes.");
  }
  if (control.of_task.empty()) Expression::Parse(control.expression);
  return control;
}

std::string Text(const Control& control) {
  const std::string name = QuotedName(control.name);
  if (control.of_task.empty()) return control.expression == name ? name : name + " = " + control.expression;
  std::string tasks;
  for (const auto& [task, number] : control.of_task)
    tasks += fmt::format("{}{} = {}", tasks.empty() ? "" : ", ", task, number);
  return name + ": " + tasks;
}

}  // namespace bitlaw
