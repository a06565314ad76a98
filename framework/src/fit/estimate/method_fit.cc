#include "fit/estimate/method_fit.h"

#include "bitlaw/base/error.h"

namespace bitlaw {

std::vector<double> MethodFit::theta() const {
  std::vector<double> theta;
  for (const ParameterEstimate& parameter : parameters) theta.push_back(parameter.value);
  return theta;
}

std::string MethodFit::method() const {
  if (is_ols) return "ols";
  return of_squares() ? "least_squares" : Name(procedure.loss);
}

std::string MethodFit::title() const {
  const std::string of = of_log() ? ", log" : "";
  if (is_ols) return "OLS" + of;
  switch (procedure.loss) {
    case FitProcedure::Loss::kSquares: return "least squares" + of;
    case FitProcedure::Loss::kHuber: return "Huber" + of;
    case FitProcedure::Loss::kHuberLikelihood: return "Huber likelihood" + of;
    case FitProcedure::Loss::kBinomial: return "binomial";
  }
  throw InternalError("FitProcedure::Loss out of range");
}

}  // namespace bitlaw
