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

}  // namespace bitlaw
