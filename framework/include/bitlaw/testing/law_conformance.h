#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/rng.h"

namespace bitlaw::testing {

/// Where a law is tried.
struct LawDomain {
  std::vector<double> theta_low, theta_high;  ///< [k] each: a box within the parameters' bounds.
  std::vector<double> x_low, x_high;          ///< [c] each, drawn on a log scale where positive.
  int points = 50;
  double tolerance = 1e-6;  ///< Of derivatives, relative to the largest of them.
};

/// What a law promises and does not keep, a sentence each; empty if it keeps everything. For tests of any framework:
///
///     for (const std::string& fault : bitlaw::testing::LawFaults(law, domain)) ADD_FAILURE() << fault;
///
/// Checked: names are given and unique; bounds are in order and hold the start; values in the domain are finite and the
/// same with and without a gradient and on a second call; the gradient agrees with central differences; the linear
/// form, if there is one, has one column a parameter and reproduces the value.
inline std::vector<std::string> LawFaults(const Law& law, const LawDomain& domain) {
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
    for (size_t j = 0; j < k; ++j) {
      theta[j] = domain.theta_low[j] + rng.Uniform() * (domain.theta_high[j] - domain.theta_low[j]);
    }
    for (size_t j = 0; j < c; ++j) {
      const double low = domain.x_low[j], high = domain.x_high[j], u = rng.Uniform();
      x[j] = low > 0 ? low * std::pow(high / low, u) : low + u * (high - low);
    }
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

}  // namespace bitlaw::testing
