#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/predict/law_predictor.h"

namespace bitlaw {

/// How often prediction intervals hold what was measured, found by leaving it out.
struct BITLAW_EXPORT Coverage {
  enum class LeftOut {
    kConfiguration,  ///< One row: other rows of its model and its bits stay.
    kPrecision,      ///< One setting of precision of one model.
    kUnit,           ///< One model.
  };
  struct Row {
    size_t row = 0;  ///< Of the table.
    double measured = kUnset;
    LawPrediction prediction;
    bool is_covered = false;
  };
  LeftOut left_out = LeftOut::kConfiguration;
  std::string why_none;   ///< Empty exactly when there are rows.
  std::vector<Row> rows;  ///< Those with an interval.
  size_t failed = 0;      ///< Rows without one: the others do not determine the law, or not how it scatters.
  double level = kUnset;
  double share() const;           ///< Of the rows that are covered.
  double mean_width() const;      ///< Of the intervals, in acc_adj (or the response).
  double mean_error() const;      ///< Mean |prediction - measured|, in the same.
  double mean_law_error() const;  ///< Of the law alone.
};
BITLAW_EXPORT std::string Name(Coverage::LeftOut left_out);

/// Refits without each group of rows and predicts them. `method` is a fit of the problem that `table` was made into.
BITLAW_EXPORT Coverage MeasureCoverage(const FitProblem& problem, const Table& table, const FitSettings& settings,
                                       const MethodFit& method, Coverage::LeftOut left_out);

}  // namespace bitlaw
