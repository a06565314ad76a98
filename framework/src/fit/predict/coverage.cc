#include "fit/predict/coverage.h"

#include <cmath>
#include <map>

#include "fit/data/row_units.h"
#include "fit/refit/refitter.h"

namespace bitlaw {

namespace {

double MeanOf(const std::vector<Coverage::Row>& rows, const auto& of) {
  double sum = 0;
  for (const Coverage::Row& row : rows) sum += of(row);
  return rows.empty() ? kUnset : sum / static_cast<double>(rows.size());
}

}  // namespace

double Coverage::share() const {
  return MeanOf(rows, [](const Row& row) { return row.is_covered ? 1.0 : 0.0; });
}
double Coverage::mean_width() const {
  return MeanOf(rows, [](const Row& row) { return row.prediction.interval.high - row.prediction.interval.low; });
}
double Coverage::mean_error() const {
  return MeanOf(rows, [](const Row& row) { return std::fabs(row.prediction.value - row.measured); });
}
double Coverage::mean_law_error() const {
  return MeanOf(rows, [](const Row& row) { return std::fabs(row.prediction.law_value - row.measured); });
}

std::string Name(Coverage::LeftOut left_out) {
  switch (left_out) {
    case Coverage::LeftOut::kConfiguration: return "configuration";
    case Coverage::LeftOut::kPrecision: return "precision of a model";
    case Coverage::LeftOut::kUnit: return "model";
  }
  return "";
}

Coverage MeasureCoverage(const FitProblem& problem, const Table& table, const FitSettings& settings,
                         const MethodFit& method, Coverage::LeftOut left_out) {
  Coverage out;
  out.left_out = left_out;
  out.level = settings.confidence;
  const std::vector<size_t>& index = problem.index();
  const Law& law = problem.law();
  const size_t c = law.covariates().size();
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, index, settings.roles);
  const LawPredictor whole(problem, table, settings, method);
  // Groups of places that are left out together.
  std::map<std::pair<size_t, size_t>, std::vector<size_t>> groups;
  for (size_t place = 0; place < index.size(); ++place) {
    const size_t unit = units.unit_of_row[place], cell = whole.cell_of_row()[place];
    groups[left_out == Coverage::LeftOut::kConfiguration ? std::pair(place, size_t{0})
           : left_out == Coverage::LeftOut::kPrecision   ? std::pair(unit, cell)
                                                         : std::pair(unit, size_t{0})]
        .push_back(place);
  }
  if (left_out != Coverage::LeftOut::kConfiguration && groups.size() == index.size()) {
    out.why_none = "every row is one by itself";
    return out;
  }
  const Refitter refitter(problem, table, method);
  const TableColumn* accuracy = whole.scale().of_accuracy() ? table.Find("acc_adj") : nullptr;
  for (const auto& [key, left] : groups) {
    std::vector<double> times(table.rows(), 0), theta(refitter.parameters());
    std::vector<size_t> kept;
    for (size_t place = 0, next = 0; place < index.size(); ++place) {
      if (next < left.size() && left[next] == place) {
        ++next;
        continue;
      }
      kept.push_back(place);
      times[index[place]] = 1;
    }
    std::string why;
    if (!refitter.RefitToPredict(times, theta, why)) {
      out.failed += left.size();
      continue;
    }
    const LawPredictor predictor(problem, table, settings, method, theta, kept);
    for (const size_t place : left) {
      Coverage::Row row;
      row.row = index[place];
      row.measured = accuracy != nullptr ? accuracy->numbers[index[place]] : problem.rows().y[place];
      row.prediction = predictor.At(problem.rows().row(place, c), units.labels[units.unit_of_row[place]]);
      if (!row.prediction.why_no_interval.empty()) {
        ++out.failed;
        continue;
      }
      constexpr double kRounding = 1e-9;
      row.is_covered = row.measured >= row.prediction.interval.low - kRounding &&
                       row.measured <= row.prediction.interval.high + kRounding;
      out.rows.push_back(std::move(row));
    }
  }
  if (out.rows.empty()) out.why_none = "no row can be predicted without its group";
  return out;
}

}  // namespace bitlaw
