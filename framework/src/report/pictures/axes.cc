#include "report/pictures/axes.h"

#include <cmath>

#include "fit/table/column_map.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

FigureAxis AxisOf(const StudyResults& results, const std::string& column, const std::set<double>& values) {
  constexpr size_t kFew = 8;
  FigureAxis axis;
  axis.label = column;
  axis.unit = UnitOf(results, column);
  const bool is_positive = !values.empty() && *values.begin() > 0;
  const bool is_scale = RoleOf(results, column) == FactorRole::kScale;
  if (is_positive && values.size() > 1 && (is_scale || *values.rbegin() >= 4 * *values.begin())) {
    axis.scale = is_scale ? FigureAxis::Scale::kLog10 : FigureAxis::Scale::kLog2;
    const double margin = std::pow(*values.rbegin() / *values.begin(), 0.06);
    axis.low = *values.begin() / margin, axis.high = *values.rbegin() * margin;
  }
  if (values.size() <= kFew) axis.ticks.assign(values.begin(), values.end());
  return axis;
}

std::set<double> ValuesOf(const StudyResults& results, const std::string& column) {
  const Table table = MapColumns(results.observations, results.description.map);
  std::set<double> values;
  const TableColumn* found = table.Find(column);
  if (found == nullptr || found->is_text) return values;
  for (const double value : found->numbers) {
    if (!std::isnan(value)) values.insert(value);
  }
  return values;
}

void SetLinearTicks(double low, double high, FigureAxis& axis) {
  constexpr double kMostSteps = 6;
  double step = std::pow(10, std::floor(std::log10((high - low) / kMostSteps)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    const double from = std::floor(low / (factor * step) + 1e-9), until = std::ceil(high / (factor * step) - 1e-9);
    if (until - from > kMostSteps) continue;
    step *= factor;
    axis.low = from * step, axis.high = until * step;
    for (double k = from; k <= until; ++k) axis.ticks.push_back(k * step);
    return;
  }
}

std::pair<double, FigureAxis> BytesAxis(const std::string& label, const std::set<double>& bytes) {
  const double most = *bytes.rbegin();
  const std::pair<double, const char*> unit = most >= 1e9   ? std::pair{1e9, "GB"}
                                              : most >= 1e6 ? std::pair{1e6, "MB"}
                                                            : std::pair{1e3, "kB"};
  FigureAxis axis;
  axis.label = label, axis.unit = unit.second;
  axis.scale = FigureAxis::Scale::kLog10;
  // Of one size alone the axis has a width all the same.
  const double margin = bytes.size() == 1 ? 2 : std::pow(most / *bytes.begin(), 0.05);
  axis.low = *bytes.begin() / unit.first / margin, axis.high = most / unit.first * margin;
  constexpr double kSteps[] = {1, 2, 5};
  for (double decade = std::pow(10, std::floor(std::log10(axis.low))); decade <= axis.high; decade *= 10) {
    for (const double step : kSteps) {
      const double tick = step * decade;
      if (tick >= axis.low && tick <= axis.high) axis.ticks.push_back(tick);
    }
  }
  return {unit.first, axis};
}

}  // namespace bitlaw
