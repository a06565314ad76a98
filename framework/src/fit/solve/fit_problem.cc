#include "fit/solve/fit_problem.h"

namespace bitlaw {

FitProblem::FitProblem(const Law& law, const Table& table, const FitSettings& settings, const FitProcedure& procedure)
    : law_(&law), procedure_(procedure), inverse_(std::make_shared<const ResponseInverse>(law.response())) {
  const bool take_log = (!of_counts() && procedure.space == FitProcedure::Space::kLog) || TakesLog(law);
  selected_ = std::make_shared<const LawRows>(
      SelectRows(law, table, {settings.chance_rule, take_log, settings.weights, &settings.roles}));
}

FitProblem FitProblem::With(const FitProcedure& procedure) const {
  FitProblem other = *this;
  other.procedure_ = procedure;
  return other;
}

}  // namespace bitlaw
