#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/data/row_selection.h"
#include "fit/law/response_inverse.h"
#include "fit/options/fit_settings.h"
#include "fit/solve/objective.h"
#include "records/table.h"

namespace bitlaw {

/// What a fit is of: a law, the rows of a table that it can have, and what is minimized over its parameters. Rows are
/// selected once; whoever fits, refits or judges a fit sees the same. Copies share them.
///   The law must outlive it. Const calls are safe from several threads.
class BITLAW_EXPORT FitProblem {
 public:
  /// A response that is not positive is left out where the procedure or the law itself (TakesLog()) takes its
  /// logarithm.
  FitProblem(const Law& law, const Table& table, const FitSettings& settings, const FitProcedure& procedure);
  /// The same rows under another procedure.
  FitProblem With(const FitProcedure& procedure) const;

  const Law& law() const { return *law_; }
  const FitProcedure& procedure() const { return procedure_; }
  bool of_counts() const { return procedure_.loss == FitProcedure::Loss::kBinomial; }
  /// Everything that was selected, rows held out or left out too.
  const LawRows& selected() const { return *selected_; }
  /// Those that are fitted: with counts for a binomial likelihood, else those with a response.
  const FitRows& rows() const { return of_counts() ? selected_->counted : selected_->fit; }
  /// Of those, the rows of the table.
  const std::vector<size_t>& index() const { return of_counts() ? selected_->counted_index : selected_->fit_index; }
  const ResponseInverse& inverse() const { return *inverse_; }
  /// It must not outlive the problem or its copies.
  Objective objective() const { return Objective(*law_, rows(), procedure_, inverse_.get()); }

 private:
  const Law* law_;
  FitProcedure procedure_;
  std::shared_ptr<const LawRows> selected_;
  std::shared_ptr<const ResponseInverse> inverse_;
};

}  // namespace bitlaw
