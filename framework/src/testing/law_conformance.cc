#include "bitlaw/testing/law_conformance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "bitlaw/base/rng.h"

namespace bitlaw::testing {
namespace {

void DrawTheta(const LawDomain& domain, Rng& rng, std::span<double> theta) {
  for (size_t j = 0; j < theta.size(); ++j) {
    theta[j] = domain.theta_low[j] + rng.Uniform() * (domain.theta_high[j] - domain.theta_low[j]);
  }
}

void DrawCovariates(const LawDomain& domain, Rng& rng, std::span<double> x) {
  for (size_t j = 0; j < x.size(); ++j) {
    const double low = domain.x_low[j], high = domain.x_high[j], u = rng.Uniform();
    x[j] = low > 0 ? low * std::pow(high / low, u) : low + u * (high - low);
  }
}

size_t IndexOf(const Law& law, const std::string& covariate) {
  const auto covariates = law.covariates();
  return static_cast<size_t>(std::find(covariates.begin(), covariates.end(), covariate) - covariates.begin());
}

// Levenberg-Marquardt on residuals (f - y) / size, in extended precision and with columns of equal length: slow, short
// and enough for rows that a law fits exactly. Returns the largest residual left.
double Recover(const Law& law, std::span<const double> x, std::span<const double> y,
                      std::span<const double> size, std::vector<double>& theta) {
  using Real = long double;
  const size_t k = theta.size(), c = law.covariates().size(), n = y.size();
  std::vector<double> gradient(k), trial(k);
  std::vector<Real> gram(k * k), right(k), length(k), factor(k * k), step(k);
  const auto cost_of = [&](std::span<const double> at) {
    Real cost = 0;
    for (size_t i = 0; i < n; ++i) {
      const double r = (law.Predict(at, x.subspan(i * c, c), {}) - y[i]) / size[i];
      cost += static_cast<Real>(r) * r;
    }
    return cost;
  };
  Real cost = cost_of(theta), damping = 1e-3L;
  for (int iteration = 0; iteration < 500 && cost > 1e-26L * static_cast<Real>(n) && damping < 1e15L; ++iteration) {
    std::fill(gram.begin(), gram.end(), 0), std::fill(right.begin(), right.end(), 0);
    for (size_t i = 0; i < n; ++i) {
      const Real r = (law.Predict(theta, x.subspan(i * c, c), gradient) - y[i]) / size[i];
      for (size_t a = 0; a < k; ++a) {
        right[a] -= gradient[a] / size[i] * r;
        for (size_t b = 0; b <= a; ++b) {
          gram[a * k + b] += static_cast<Real>(gradient[a] / size[i]) * (gradient[b] / size[i]);
        }
      }
    }
    for (size_t a = 0; a < k; ++a) length[a] = gram[a * k + a] > 0 ? std::sqrt(gram[a * k + a]) : 1;
    bool better = false;
    while (!better && damping < 1e15L) {
      // Cholesky of the scaled normal equations plus the damping.
      bool positive = true;
      for (size_t a = 0; a < k && positive; ++a) {
        for (size_t b = 0; b <= a; ++b) {
          Real sum = gram[a * k + b] / (length[a] * length[b]) + (a == b ? damping : 0);
          for (size_t m = 0; m < b; ++m) sum -= factor[a * k + m] * factor[b * k + m];
          positive = positive && (a != b || sum > 0);
          factor[a * k + b] = a == b ? std::sqrt(sum) : sum / factor[b * k + b];
        }
      }
      if (positive) {
        for (size_t a = 0; a < k; ++a) {
          step[a] = right[a] / length[a];
          for (size_t m = 0; m < a; ++m) step[a] -= factor[a * k + m] * step[m];
          step[a] /= factor[a * k + a];
        }
        for (size_t a = k; a-- > 0;) {
          for (size_t m = a + 1; m < k; ++m) step[a] -= factor[m * k + a] * step[m];
          step[a] /= factor[a * k + a];
        }
        for (size_t a = 0; a < k; ++a) trial[a] = theta[a] + static_cast<double>(step[a] / length[a]);
        const Real at_trial = cost_of(trial);
        better = at_trial < cost;
        if (better) {
          theta = trial;
          cost = at_trial;
          damping /= 10;
          continue;
        }
      }
      damping *= 10;
    }
  }
  double worst = 0;
  for (size_t i = 0; i < n; ++i) {
    const double r = std::fabs(law.Predict(theta, x.subspan(i * c, c), {}) - y[i]) / size[i];
    worst = std::isnan(r) ? std::numeric_limits<double>::infinity() : std::max(worst, r);
  }
  return worst;
}

}  // namespace

std::vector<std::string> LawFaults(const Law& law, const LawDomain& domain) {
  std::vector<std::string> faults;
  const size_t k = law.parameters().size(), c = law.covariates().size();
  const auto fault = [&](const std::string& text) {
    if (faults.size() < 20) faults.push_back("law '" + law.name() + "': " + text);
  };
  if (law.name().empty()) fault("it has no name.");
  std::set<std::string> names;
  for (const LawParameter& parameter : law.parameters()) {
    if (!names.insert(parameter.name).second) fault("parameter '" + parameter.name + "' is there twice.");
    if (!(parameter.min < parameter.max)) fault("the bounds of '" + parameter.name + "' are not in order.");
    if (parameter.start < parameter.min || parameter.start > parameter.max)
      fault("the start of '" + parameter.name + "' is outside its bounds.");
  }
  for (const std::string& covariate : law.covariates()) {
    if (!names.insert(covariate).second) fault("'" + covariate + "' is there twice.");
  }
  if (domain.theta_low.size() != k || domain.theta_high.size() != k || domain.x_low.size() != c ||
      domain.x_high.size() != c) {
    fault("the domain has another number of parameters or covariates.");
    return faults;
  }
  const auto form = law.linear_form();
  if (form && form->columns.size() != k) fault("its linear form has not one column a parameter.");
  Rng rng(1);
  std::vector<double> theta(k), x(c), gradient(k), unused(k), features(k);
  for (int point = 0; point < domain.points; ++point) {
    DrawTheta(domain, rng, theta);
    DrawCovariates(domain, rng, x);
    const double value = law.Predict(theta, x, {});
    const double with_gradient = law.Predict(theta, x, gradient);
    if (!std::isfinite(value)) {
      fault("it has no finite value at a point of its domain.");
      continue;
    }
    if (value != law.Predict(theta, x, {})) fault("a second call gives another value.");
    if (std::fabs(value - with_gradient) > 1e-12 * std::fabs(value))
      fault("its value changes when a gradient is asked for.");
    double largest = 1e-300;
    for (size_t j = 0; j < k; ++j) {
      largest = std::max(largest, std::fabs(gradient[j] * std::max(1e-3, std::fabs(theta[j]))));
    }
    for (size_t j = 0; j < k; ++j) {
      const double center = theta[j], step = 1e-5 * std::max(1e-3, std::fabs(center));
      theta[j] = center + step;
      const double above = law.Predict(theta, x, {});
      theta[j] = center - step;
      const double below = law.Predict(theta, x, {});
      theta[j] = center;
      const double difference = (above - below) / (2 * step);
      const double error = std::fabs(difference - gradient[j]) * std::max(1e-3, std::fabs(center));
      if (!(error <= domain.tolerance * largest + 1e-9 * std::fabs(value))) {
        fault("its derivative by '" + law.parameters()[j].name + "' is " + std::to_string(gradient[j]) +
              ", differences say " + std::to_string(difference) + ".");
      }
    }
    if (!form || form->columns.size() != k) continue;
    double sum = law.LinearFeatures(x, features);
    for (size_t j = 0; j < k; ++j) {
      const double parameter = theta[form->columns[j].parameter];
      sum += features[j] * (form->columns[j].is_log ? std::log(parameter) : parameter);
    }
    const double linear = form->of_log ? std::exp(sum) : sum;
    if (std::fabs(linear - value) > 1e-9 * std::fabs(value)) fault("its linear form gives another value.");
  }
  return faults;
}

std::vector<std::string> LimitFaults(const Law& law, const LawDomain& domain) {
  std::vector<std::string> faults;
  const size_t k = law.parameters().size(), c = law.covariates().size();
  const auto fault = [&](const std::string& text) {
    if (faults.size() < 20) faults.push_back("law '" + law.name() + "': " + text);
  };
  Rng rng(2);
  std::vector<double> theta(k), x(c);
  for (int point = 0; point < domain.points; ++point) {
    DrawTheta(domain, rng, theta);
    DrawCovariates(domain, rng, x);
    const double value = law.Predict(theta, x, {});
    for (const LawTrend& trend : domain.trends) {
      const size_t j = IndexOf(law, trend.covariate);
      if (j == c) {
        fault("it has no covariate '" + trend.covariate + "'.");
        continue;
      }
      std::vector<double> further = x;
      further[j] = x[j] + 0.1 * (domain.x_high[j] - x[j]);
      const double there = law.Predict(theta, further, {});
      if (!((there - value) * trend.sign >= -1e-12 * std::fabs(value))) {
        fault("it " + std::string(trend.sign > 0 ? "falls" : "rises") + " with " + trend.covariate + ", from " +
              std::to_string(value) + " to " + std::to_string(there) + ".");
      }
    }
    for (const LawLimit& limit : domain.limits) {
      std::vector<double> end = x;
      std::string where;
      for (const auto& [covariate, at] : limit.at) {
        const size_t j = IndexOf(law, covariate);
        if (j == c) {
          fault("it has no covariate '" + covariate + "'.");
          continue;
        }
        end[j] = at;
        where += (where.empty() ? "" : ", ") + covariate + " = " + std::to_string(at);
      }
      const double there = law.Predict(theta, end, {}), expected = limit.expected(theta, end);
      if (!(std::fabs(there - expected) <= limit.tolerance * (1 + std::fabs(expected)))) {
        fault("at " + where + " it is " + std::to_string(there) + ", not " + limit.what + " = " +
              std::to_string(expected) + ".");
      }
    }
  }
  return faults;
}

std::vector<std::string> RecoveryFaults(const Law& law, const LawDomain& domain, int plantings) {
  std::vector<std::string> faults;
  const size_t k = law.parameters().size(), c = law.covariates().size(), n = 20 * k;
  Rng rng(3);
  std::vector<double> planted(k), x(n * c), y(n), size(n);
  for (int planting = 0; planting < plantings; ++planting) {
    DrawTheta(domain, rng, planted);
    double scale = 0;
    for (size_t i = 0; i < n; ++i) {
      const std::span<double> row(x.data() + i * c, c);
      DrawCovariates(domain, rng, row);
      y[i] = law.Predict(planted, row, {});
      scale += std::fabs(y[i]) / static_cast<double>(n);
    }
    for (size_t i = 0; i < n; ++i) size[i] = std::fabs(y[i]) + 1e-3 * scale;
    std::vector<double> theta = planted;
    for (size_t j = 0; j < k; ++j) {
      theta[j] += 0.02 * (2 * rng.Uniform() - 1) * (domain.theta_high[j] - domain.theta_low[j]);
    }
    const double left = Recover(law, x, y, size, theta);
    for (size_t j = 0; j < k; ++j) {
      const double error = std::fabs(theta[j] - planted[j]) / std::max(1e-3, std::fabs(planted[j]));
      if (error <= domain.recovery_tolerance) continue;
      faults.push_back("law '" + law.name() + "': '" + law.parameters()[j].name + "' was planted as " +
                       std::to_string(planted[j]) + " and found as " + std::to_string(theta[j]) +
                       ", with residuals up to " + std::to_string(left) + ".");
    }
  }
  return faults;
}

}  // namespace bitlaw::testing
