#include "fit/solve/objective.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr double kTinyProbability = 1e-12;

double Huber(double r, double delta) {
  const double size = std::fabs(r);
  return size <= delta ? 0.5 * r * r : delta * (size - 0.5 * delta);
}

// k ln(k / m), 0 at k = 0.
double Term(double k, double m) { return k > 0 ? k * std::log(k / m) : 0; }

}  // namespace

std::string Name(FitProcedure::Loss loss) {
  switch (loss) {
    case FitProcedure::Loss::kSquares: return "squares";
    case FitProcedure::Loss::kHuber: return "huber";
    case FitProcedure::Loss::kHuberLikelihood: return "huber_likelihood";
    case FitProcedure::Loss::kBinomial: return "binomial";
  }
  throw InternalError("FitProcedure::Loss out of range");
}

std::string Name(FitProcedure::Space space) { return space == FitProcedure::Space::kLog ? "log" : "response"; }

std::string SpaceName(const FitProcedure& procedure) {
  if (procedure.loss == FitProcedure::Loss::kBinomial) return "counts";
  return procedure.space == FitProcedure::Space::kLog ? "log response" : "response";
}

Objective::Objective(const Law& law, const FitRows& rows, FitProcedure procedure, const ResponseInverse* inverse)
    : law_(law), rows_(rows), procedure_(procedure), inverse_(inverse) {
  if (rows.x.size() != rows.size() * law.covariates().size() ||
      (!rows.weights.empty() && rows.weights.size() != rows.size())) {
    throw InternalError("Objective: x, y and weights do not fit together");
  }
  if (procedure.loss == FitProcedure::Loss::kBinomial &&
      (inverse == nullptr || !inverse->exists() || rows.total.size() != rows.size() ||
       rows.correct.size() != rows.size() || rows.chance.size() != rows.size())) {
    throw InternalError("Objective: a binomial likelihood needs counts and a response that can be inverted");
  }
}

double Objective::Probability(std::span<const double> theta, size_t i, std::span<double> gradient) const {
  const double f = law_.Predict(theta, rows_.row(i, law_.covariates().size()), gradient);
  double slope = 0;
  const double accuracy = (*inverse_)(f, &slope);
  const double chance = rows_.chance[i];
  double p = AccuracyOf(accuracy, chance);
  if (p < kTinyProbability || p > 1 - kTinyProbability) slope = 0;
  p = std::clamp(p, kTinyProbability, 1 - kTinyProbability);
  // Where the slope is 0 a gradient of the law that is not finite says nothing.
  for (double& g : gradient) g = slope == 0 ? 0 : g * (1 - chance) * slope;
  return std::isnan(accuracy) ? kMissing : p;
}

double Objective::DevianceResidual(size_t i, double p, double* slope) const {
  *slope = 0;
  if (std::isnan(p)) return kMissing;
  const double k = rows_.correct[i], n = rows_.total[i];
  const double half = Term(k, n * p) + Term(n - k, n * (1 - p));
  const double r = std::copysign(std::sqrt(std::max(0.0, 2 * half)), p - k / n);
  // d(r^2)/dp = 2 (n p - k) / (p (1 - p)), so dr/dp is that over 2 r; its limit at r = 0 is sqrt(n / (p (1 - p))).
  const double spread = p * (1 - p);
  *slope = std::fabs(r) > 1e-5 ? (n * p - k) / (spread * r) : std::sqrt(n / spread);
  return r;
}

double Objective::Residual(std::span<const double> theta, size_t i, std::span<double> gradient) const {
  const double root = rows_.weights.empty() ? 1 : std::sqrt(rows_.weights[i]);
  if (procedure_.loss == FitProcedure::Loss::kBinomial) {
    double slope = 0;
    const double p = Probability(theta, i, gradient);
    const double r = DevianceResidual(i, p, &slope);
    for (double& g : gradient) g *= slope * root;
    return r * root;
  }
  const double f = law_.Predict(theta, rows_.row(i, law_.covariates().size()), gradient);
  if (procedure_.space == FitProcedure::Space::kResponse) {
    if (root != 1) {
      for (double& g : gradient) g *= root;
    }
    return (f - rows_.y[i]) * root;
  }
  if (!(f > 0)) return kMissing;
  // A weight is 1 / variance of the response, whose logarithm varies by that over y^2.
  const double scaled = rows_.weights.empty() ? 1 : root * rows_.y[i];
  for (double& g : gradient) g *= scaled / f;
  return (std::log(f) - std::log(rows_.y[i])) * scaled;
}

double Objective::Value(std::span<const double> theta, std::span<const double> multiplicity) const {
  if (procedure_.loss == FitProcedure::Loss::kHuber) return HuberValue(theta, procedure_.delta, multiplicity);
  if (procedure_.loss == FitProcedure::Loss::kHuberLikelihood)
    return NegativeLogLikelihood(theta, BestScale(theta, multiplicity), multiplicity);
  double sum = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const double times = multiplicity.empty() ? 1 : multiplicity[i];
    if (times == 0) continue;
    const double r = Residual(theta, i, {});
    sum += times * r * r;
  }
  return sum;
}

double Objective::HuberValue(std::span<const double> theta, double delta, std::span<const double> multiplicity) const {
  double sum = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const double times = multiplicity.empty() ? 1 : multiplicity[i];
    if (times != 0) sum += times * Huber(Residual(theta, i, {}), delta);
  }
  return sum;
}

double Objective::NegativeLogLikelihood(std::span<const double> theta, double scale,
                                        std::span<const double> multiplicity) const {
  // The density of h has the normalizer sqrt(2 pi) (1 - 2 Q(delta)) + 2 exp(-delta^2 / 2) / delta.
  const double delta = procedure_.delta;
  const double normalizer =
      std::sqrt(2 * M_PI) * std::erf(delta * M_SQRT1_2) + 2 * std::exp(-0.5 * delta * delta) / delta;
  double sum = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const double times = multiplicity.empty() ? 1 : multiplicity[i];
    if (times == 0) continue;
    sum += times * (Huber(Residual(theta, i, {}) / scale, delta) + std::log(normalizer * scale));
  }
  return sum;
}

double Objective::BestScale(std::span<const double> theta, std::span<const double> multiplicity) const {
  std::vector<double> sizes, times;
  double count = 0, largest = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const double often = multiplicity.empty() ? 1 : multiplicity[i];
    if (often == 0) continue;
    sizes.push_back(std::fabs(Residual(theta, i, {})));
    times.push_back(often);
    count += often;
    largest = std::max(largest, sizes.back());
  }
  if (!(largest > 0) || !std::isfinite(largest)) return kMissing;
  // d/d ln s = n - sum psi(r / s) r / s rises with s: bisection on ln s.
  const double delta = procedure_.delta;
  double low = std::log(largest) - 60, high = std::log(largest) + 10;
  for (int step = 0; step < 200 && high - low > 1e-14; ++step) {
    const double middle = (low + high) / 2, scale = std::exp(middle);
    double sum = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const double z = sizes[i] / scale;
      sum += times[i] * std::min(z, delta) * z;
    }
    (sum > count ? low : high) = middle;
  }
  return std::exp((low + high) / 2);
}

double Objective::BinomialLogLikelihood(std::span<const double> theta) const {
  double sum = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const double k = rows_.correct[i], n = rows_.total[i], p = Probability(theta, i, {});
    sum += std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
    if (k > 0) sum += k * std::log(p);
    if (n > k) sum += (n - k) * std::log1p(-p);
  }
  return sum;
}

double Objective::NullDeviance() const {
  const auto deviance = [&](double accuracy) {
    double sum = 0, slope = 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      const double p = AccuracyOf(accuracy, rows_.chance[i]);
      const double r = DevianceResidual(i, std::clamp(p, kTinyProbability, 1 - kTinyProbability), &slope);
      sum += r * r;
    }
    return sum;
  };
  // Golden section: the deviance of a common accuracy is convex enough to have one minimum.
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = 0, high = 1;
  double a = high - golden * (high - low), b = low + golden * (high - low);
  double at_a = deviance(a), at_b = deviance(b);
  while (high - low > 1e-10) {
    if (at_a < at_b) {
      high = b, b = a, at_b = at_a;
      a = high - golden * (high - low), at_a = deviance(a);
    } else {
      low = a, a = b, at_a = at_b;
      b = low + golden * (high - low), at_b = deviance(b);
    }
  }
  return deviance((low + high) / 2);
}

}  // namespace bitlaw
