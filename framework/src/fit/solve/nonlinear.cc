#include "fit/solve/nonlinear.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "fit/solve/starts.h"

namespace bitlaw {

namespace {

using Loss = FitProcedure::Loss;

bool AtBound(const LawParameter& parameter, double value) {
  const auto near = [&](double bound) {
    return std::isfinite(bound) && std::fabs(value - bound) <= 1e-9 * (1 + std::fabs(bound));
  };
  return near(parameter.min) || near(parameter.max);
}

double TotalSumOfSquares(const FitRows& rows, FitProcedure::Space space) {
  double sum = 0, weights = 0, tss = 0;
  const bool is_log = space == FitProcedure::Space::kLog;
  const auto value = [&](size_t i) { return is_log ? std::log(rows.y[i]) : rows.y[i]; };
  const auto weight = [&](size_t i) { return is_log ? rows.log_weight(i) : rows.weight(i); };
  for (size_t i = 0; i < rows.size(); ++i) {
    sum += weight(i) * value(i);
    weights += weight(i);
  }
  for (size_t i = 0; i < rows.size(); ++i) tss += weight(i) * std::pow(value(i) - sum / weights, 2);
  return tss;
}

// Pearson's X^2 over its degrees of freedom, and the root of the Fisher information as a Jacobian.
double BinomialInformation(const Objective& objective, std::span<const double> theta, std::vector<double>& jacobian) {
  const FitRows& rows = objective.rows();
  const size_t k = theta.size();
  jacobian.assign(rows.size() * k, 0);
  double pearson = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::span<double> gradient(jacobian.data() + i * k, k);
    const double p = objective.Probability(theta, i, gradient);
    const double variance = p * (1 - p) / rows.total[i];
    pearson += std::pow(rows.correct[i] / rows.total[i] - p, 2) / variance;
    for (double& slope : gradient) slope /= std::sqrt(variance);
  }
  return pearson / static_cast<double>(rows.size() - k);
}

// The factor of (J^T J)^-1 in the covariance of a Huber estimate.
double HuberVariance(const Objective& objective, std::span<const double> theta, double knee) {
  const size_t n = objective.rows().size();
  double squares = 0, within = 0;
  for (size_t i = 0; i < n; ++i) {
    const double size = std::fabs(objective.Residual(theta, i, {}));
    squares += std::pow(std::min(size, knee), 2);
    if (size <= knee) within += 1 / static_cast<double>(n);
  }
  return within < 0.25 ? kUnset : squares / static_cast<double>(n - theta.size()) / (within * within);
}

void FillInference(const Objective& objective, NonlinearResult& result) {
  const Law& law = objective.law();
  const FitRows& rows = objective.rows();
  const FitProcedure& procedure = objective.procedure();
  const size_t n = rows.size(), k = law.parameters().size(), c = law.covariates().size();
  const std::vector<double>& theta = result.starts[result.best].end;
  std::vector<size_t> free;
  for (size_t j = 0; j < k; ++j) {
    NonlinearParameter parameter;
    parameter.value = theta[j];
    parameter.at_bound = AtBound(law.parameters()[j], theta[j]);
    if (!parameter.at_bound) free.push_back(j);
    result.parameters.push_back(parameter);
  }
  for (size_t i = 0; i < n; ++i) result.fitted.push_back(law.Predict(theta, rows.row(i, c), {}));

  std::vector<double> all(n * k);
  double ssr = 0, variance = kUnset;
  if (procedure.loss == Loss::kBinomial) {
    const double dispersion = BinomialInformation(objective, theta, all);
    const double null_deviance = objective.NullDeviance();
    FitQuality& quality = result.quality;
    quality = QualityOf(n, k, result.objective, null_deviance);
    quality.ssr = result.objective;
    quality.residual_variance = dispersion;
    const double log_likelihood = objective.BinomialLogLikelihood(theta);
    const double shift = quality.log_likelihood - log_likelihood;
    quality.log_likelihood = log_likelihood;
    quality.aic += 2 * shift;
    // Counts have no variance of their own to be estimated.
    const double count = static_cast<double>(k), rest = static_cast<double>(n) - count - 1;
    quality.aicc = rest > 0 ? quality.aic + 2 * count * (count + 1) / rest : kUnset;
    quality.bic += 2 * shift;
    variance = std::max(1.0, dispersion);
  } else {
    for (size_t i = 0; i < n; ++i) ssr += std::pow(objective.Residual(theta, i, {all.data() + i * k, k}), 2);
    result.quality = QualityOf(n, k, ssr, TotalSumOfSquares(rows, procedure.space));
    if (!rows.weights.empty()) {
      std::vector<double> weights;
      for (size_t i = 0; i < n; ++i) {
        weights.push_back(procedure.space == FitProcedure::Space::kLog ? rows.log_weight(i) : rows.weight(i));
      }
      AddLogWeights(result.quality, weights);
    }
    variance = result.quality.residual_variance;
    if (procedure.loss == Loss::kHuber) {
      variance = HuberVariance(objective, theta, procedure.delta);
      result.quality.log_likelihood = result.quality.aic = result.quality.aicc = result.quality.bic = kUnset;
    } else if (procedure.loss == Loss::kHuberLikelihood) {
      variance = HuberVariance(objective, theta, procedure.delta * result.scale);
      const double shift = result.quality.log_likelihood + result.objective;
      result.quality.log_likelihood -= shift;
      result.quality.aic += 2 * shift;
      result.quality.aicc += 2 * shift;
      result.quality.bic += 2 * shift;
    }
  }
  result.covariance.assign(k * k, kUnset);
  if (free.empty()) return;
  std::vector<double> jacobian;
  for (size_t i = 0; i < n; ++i) {
    for (const size_t j : free) jacobian.push_back(all[i * k + j]);
  }
  const Covariance covariance = CovarianceOf(jacobian, free.size(), variance);
  for (size_t a = 0; a < free.size(); ++a) {
    result.parameters[free[a]].is_identified = covariance.is_identified[a];
    result.parameters[free[a]].standard_error = std::sqrt(covariance.values[a * free.size() + a]);
    for (size_t b = 0; b < free.size(); ++b) {
      result.covariance[free[a] * k + free[b]] = covariance.values[a * free.size() + b];
    }
  }
}

// Fills `kkt` and the multipliers of parameters at a bound, from the slopes of the objective.
void FillConditions(const Objective& objective, NonlinearResult& result) {
  const Law& law = objective.law();
  const FitProcedure& procedure = objective.procedure();
  const size_t n = objective.rows().size(), k = law.parameters().size();
  const bool is_huber = procedure.loss == Loss::kHuber || procedure.loss == Loss::kHuberLikelihood;
  const double scale = procedure.loss == Loss::kHuberLikelihood ? result.scale : 1;
  const std::vector<double> theta = result.theta();
  std::vector<double> gradient(k), curvature(k, 0);
  std::vector<long double> slope(k, 0);
  long double value = 0;
  for (size_t i = 0; i < n; ++i) {
    const double r = objective.Residual(theta, i, gradient) / scale, size = std::fabs(r);
    const bool is_far = is_huber && size > procedure.delta;
    const double weight = is_far ? procedure.delta / size : 1;
    value += is_far ? procedure.delta * (size - procedure.delta / 2) : r * r / 2;
    for (size_t j = 0; j < k; ++j) {
      slope[j] += static_cast<long double>(weight) * r * gradient[j] / scale;
      curvature[j] += weight * gradient[j] * gradient[j] / (scale * scale);
    }
  }
  result.kkt = 0;
  // Squares and the binomial are written without the half.
  const double factor = is_huber ? 1 : 2;
  for (size_t j = 0; j < k; ++j) {
    const double here = static_cast<double>(slope[j]);
    NonlinearParameter& parameter = result.parameters[j];
    const bool is_low = theta[j] <= law.parameters()[j].min, is_high = theta[j] >= law.parameters()[j].max;
    if (is_low || is_high) parameter.multiplier = factor * std::fabs(here);
    if ((is_low && here > 0) || (is_high && here < 0)) continue;
    if (is_low || is_high) parameter.multiplier = 0;
    const double most = std::sqrt(2 * static_cast<double>(value) * curvature[j]);
    if (most > 0) result.kkt = std::max(result.kkt, std::fabs(here) / most);
  }
}

std::vector<StartStatus> Starts(const Objective& objective, const NonlinearOptions& options) {
  const Law& law = objective.law();
  std::vector<StartStatus> starts;
  for (const auto& [origin, start] : options.given_starts) {
    if (start.size() != law.parameters().size()) throw InternalError("FitNonlinear: a given start has the wrong size");
    StartStatus status;
    status.origin = origin;
    status.start = ClampToBounds(law, start);
    starts.push_back(std::move(status));
  }
  for (int i = 0; i < options.random_starts; ++i) {
    StartStatus status;
    status.origin = "random " + std::to_string(i + 1);
    starts.push_back(std::move(status));
  }
  return starts;
}

// So many rows tell where the minimum is; all of them then say exactly.
constexpr size_t kManyRows = 50000, kSearchRows = 10000;

// Rows for the search, one out of each of kSearchRows stretches.
FitRows SearchRows(const FitRows& rows, size_t covariates, uint64_t seed) {
  Rng rng = Rng(seed).Fork(UINT64_MAX - 1);
  FitRows some;
  const auto take = [](const std::vector<double>& from, size_t row, std::vector<double>& to) {
    if (!from.empty()) to.push_back(from[row]);
  };
  for (size_t i = 0; i < kSearchRows; ++i) {
    const double at = (static_cast<double>(i) + rng.Uniform()) / kSearchRows * static_cast<double>(rows.size());
    const size_t row = std::min(static_cast<size_t>(at), rows.size() - 1);
    const auto x = rows.row(row, covariates);
    some.x.insert(some.x.end(), x.begin(), x.end());
    take(rows.y, row, some.y);
    take(rows.weights, row, some.weights);
    take(rows.correct, row, some.correct);
    take(rows.total, row, some.total);
    take(rows.chance, row, some.chance);
  }
  return some;
}

}  // namespace

std::vector<double> NonlinearResult::theta() const {
  std::vector<double> theta;
  for (const NonlinearParameter& parameter : parameters) theta.push_back(parameter.value);
  return theta;
}

NonlinearResult FitNonlinear(const Law& law, const FitRows& rows, const NonlinearOptions& options) {
  const size_t k = law.parameters().size();
  if (rows.x.size() != rows.size() * law.covariates().size())
    throw InternalError("FitNonlinear: x and y do not fit together");
  if (rows.size() <= k) {
    throw Error(ErrorKind::kNumerical, fmt::format("law '{}': {} rows for {} parameters: at least {} are needed.",
                                                   law.name(), rows.size(), k, k + 1));
  }
  if (rows.size() > kManyRows && options.random_starts > 0) {
    NonlinearOptions on_all = options;
    on_all.random_starts = 0;
    try {
      const FitRows some = SearchRows(rows, law.covariates().size(), options.seed);
      on_all.given_starts = {{fmt::format("best of all starts on {} rows", kSearchRows),
                              FitNonlinear(law, some, options).theta()}};
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kNumerical) throw;
      on_all.random_starts = 0;
    }
    if (!on_all.given_starts.empty()) return FitNonlinear(law, rows, on_all);
  }
  const Objective objective(law, rows, options.procedure, options.inverse);
  NonlinearResult result;
  const StartSampler sampler(objective, options.seed);
  result.starts = Starts(objective, options);
  double best = std::numeric_limits<double>::infinity();
  DescentOptions descent_options;
  bool is_enough = false;
  descent_options.max_iterations = options.max_iterations;
  for (size_t i = 0; i < result.starts.size(); ++i) {
    StartStatus& status = result.starts[i];
    // A given start names values of the linear parameters too; projection would leave for others in its first step.
    if (options.project && i >= options.given_starts.size()) descent_options.linear = sampler.linear();
    if (i >= options.given_starts.size())
      status.start = sampler.Draw(static_cast<uint64_t>(i - options.given_starts.size()));
    status.initial_objective = objective.Value(status.start);
    descent_options.is_far = i < options.given_starts.size() && rows.size() <= kManyRows;
    const Descent descent = Descend(objective, status.start, {}, descent_options);
    status.end = descent.theta;
    status.final_objective = descent.value;
    status.iterations = descent.iterations;
    status.status = descent.status;
    status.converged = descent.converged;
    if (!std::isfinite(status.final_objective)) continue;
    if (i >= options.given_starts.size() && options.enough_agreeing > 0) {
      const double low = std::min(best, status.final_objective);
      int agreeing = 0;
      for (size_t s = options.given_starts.size(); s <= i; ++s) {
        const StartStatus& one = result.starts[s];
        agreeing += one.converged && one.final_objective <= low + 1e-6 * std::fabs(low);
      }
      is_enough = agreeing >= options.enough_agreeing;
    }
    // A start that ended a rounding error lower but without converging is not preferred.
    const double score = status.final_objective + (status.converged ? 0 : 1e-9 * std::fabs(status.final_objective));
    if (score < best) {
      best = score;
      result.best = i;
      result.scale = descent.scale;
    }
    if (is_enough) {
      result.starts.resize(i + 1);
      break;
    }
  }
  if (!std::isfinite(best)) {
    std::string said;
    for (const StartStatus& status : result.starts) {
      if (said.find(status.status) == std::string::npos) said += (said.empty() ? "" : "; ") + status.status;
    }
    throw Error(ErrorKind::kNumerical,
                fmt::format("law '{}': none of {} starts gave a finite sum of squares ({}). Give start "
                            "values or bounds for its parameters.",
                            law.name(), result.starts.size(), said));
  }
  result.objective = result.starts[result.best].final_objective;
  FillInference(objective, result);
  FillConditions(objective, result);
  // Where the law fits exactly, what is left of the objective is rounding; so TSS sets the scale too.
  const double tss = options.procedure.loss == Loss::kBinomial ? objective.NullDeviance()
                                                                : TotalSumOfSquares(rows, options.procedure.space);
  for (StartStatus& status : result.starts) {
    status.agrees = status.final_objective <= result.objective + 1e-6 * std::fabs(result.objective) + 1e-14 * tss;
    result.agreeing += status.agrees;
  }
  return result;
}

}  // namespace bitlaw
