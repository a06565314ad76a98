#include "cli/study/study_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text/counted.h"

namespace bitlaw {
namespace {

std::string WithUnit(double value, const char* const (&units)[4]) {
  size_t unit = 0;
  while (value >= 999.95 && unit < 3) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}{}", value, units[0]) : fmt::format("{:.1f}{}", value, units[unit]);
}

}  // namespace

std::string CountText(double count) { return WithUnit(count, {"", " k", " M", " B"}); }
std::string SizeText(double bytes) { return WithUnit(bytes, {" B", " kB", " MB", " GB"}); }

std::string AxesText(const QuantizeSpec& entry) {
  std::string text;
  for (const auto& group : entry.axes) {
    std::string axes;
    for (const GridAxis& axis : group) {
      std::string values;
      for (size_t i = 0; i < axis.values.size(); ++i) {
        if (axis.values.size() > 12 && i == 6) values += ", ...";
        if (axis.values.size() > 12 && i >= 6 && i + 3 < axis.values.size()) continue;
        const Value& value = axis.values[i];
        values += (values.empty() ? "" : ", ") + (value.is_string() ? value.AsString() : value.Text());
      }
      axes += (axes.empty() ? "" : " with ") + axis.name + " {" + values + "}";
    }
    if (group.size() > 1) axes = "[" + axes + "]";
    text += (text.empty() ? "" : " x ") + axes;
  }
  return text;
}

std::string TotalsText(const Plan& plan) {
  const auto baselines = std::count_if(plan.trials.begin(), plan.trials.end(),
                                       [](const Trial& trial) { return trial.quantizer == "none"; });
  std::string text = fmt::format("{} ({} unquantized)", Counted(plan.trials.size(), "trial"), baselines);
  if (!plan.skipped.empty()) text += fmt::format(", {} skipped", Counted(plan.skipped.size(), "cell"));
  if (plan.left_out > 0) text += fmt::format(", {} left out by where or skip", plan.left_out);
  if (plan.merged > 0) text += fmt::format(", {} said twice", plan.merged);
  return text;
}

}  // namespace bitlaw
