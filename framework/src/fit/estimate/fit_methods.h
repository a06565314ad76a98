#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "fit/data/row_units.h"
#include "fit/estimate/method_fit.h"
#include "fit/options/fit_settings.h"
#include "fit/solve/fit_problem.h"
#include "fit/solve/least_squares.h"
#include "fit/solve/nonlinear.h"
#include "records/table.h"

namespace bitlaw {

/// One fit by one method, and what the method itself reports beside it.
template <typename Detail>
struct DetailedFit {
  std::optional<MethodFit> fit;
  std::optional<Detail> detail;  ///< There exactly where the fit is.
  std::string why_none;          ///< Empty exactly where the fit is there.
};

/// The methods by which a law is fitted to the rows of a table: they share the rows, and the units over which errors
/// are.
///   The problem and the table must outlive it.
class FitMethods {
 public:
  FitMethods(const FitProblem& problem, const Table& table, const FitSettings& settings)
      : problem_(problem), table_(table), settings_(settings) {}

  /// ln y, or y, on the features of the law's linear form.
  DetailedFit<OlsResult> Linear(const LinearForm& form) const;
  /// By iteration from the starts in `options`, whose procedure and inverse are not read.
  DetailedFit<NonlinearResult> Iterate(const FitProcedure& procedure, const NonlinearOptions& options) const;

 private:
  const RowUnits& UnitsOfRows(bool of_counts) const;
  PredictionErrors ErrorsOf(const std::vector<double>& theta, const FitRows& rows, bool held_out) const;
  double ResponseR2(const std::vector<double>& theta) const;
  void AddRobustErrors(MethodFit& fit) const;
  void Finish(MethodFit& fit) const;

  const FitProblem& problem_;
  const Table& table_;
  const FitSettings& settings_;
  mutable std::optional<RowUnits> units_of_fit_, units_of_counted_;  // Found once for all methods.
};

}  // namespace bitlaw
