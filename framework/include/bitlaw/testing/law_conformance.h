#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// How a law changes with a covariate, the others held: it never falls (sign = 1) or never rises (-1).
struct LawTrend {
  std::string covariate;
  int sign = 1;
};

/// What a law comes to where some covariates go to an end of their range: 16 bits, no noise, all of the data.
struct LawLimit {
  std::vector<std::pair<std::string, double>> at;  ///< Covariate and the value that stands for its end.
  std::string what;                                ///< For the report: "A * N^-alpha".
  std::function<double(std::span<const double> theta, std::span<const double> x)> expected;
  double tolerance = 1e-6;  ///< |f - expected|, relative to 1 + |expected|.
};

/// Where a law is tried.
struct LawDomain {
  std::vector<double> theta_low, theta_high;  ///< [k] each: a box within the parameters' bounds.
  std::vector<double> x_low, x_high;          ///< [c] each, drawn on a log scale where positive.
  int points = 50;
  double tolerance = 1e-6;  ///< Of derivatives, relative to the largest of them.
  std::vector<LawTrend> trends{};
  std::vector<LawLimit> limits{};
  double recovery_tolerance = 1e-5;  ///< Of planted parameters, relative to their size.
};

/// What a law promises and does not keep, a sentence each; empty if it keeps everything. For tests of any framework:
///
///     for (const std::string& fault : bitlaw::testing::LawFaults(law, domain)) ADD_FAILURE() << fault;
///     for (const std::string& fault : bitlaw::testing::LimitFaults(law, domain)) ADD_FAILURE() << fault;
///     for (const std::string& fault : bitlaw::testing::RecoveryFaults(law, domain)) ADD_FAILURE() << fault;
///
/// Checked: names are given and unique; bounds are in order and hold the start; values in the domain are finite and the
/// same with and without a gradient and on a second call; the gradient agrees with central differences; the linear
/// form, if there is one, has one column a parameter and reproduces the value.
BITLAW_EXPORT std::vector<std::string> LawFaults(const Law& law, const LawDomain& domain);

/// Trends and limits that a law does not keep, a sentence each, at `points` random places of the domain.
BITLAW_EXPORT std::vector<std::string> LimitFaults(const Law& law, const LawDomain& domain);

/// Whether a law's parameters can be told from rows that it fits exactly, near the truth: in `plantings` places of the
/// domain, rows are made from planted parameters, and parameters moved by up to 2 % of their box find back. A law that
/// fails has parameters that no data of this domain tell apart, or a gradient that leads astray.
BITLAW_EXPORT std::vector<std::string> RecoveryFaults(const Law& law, const LawDomain& domain, int plantings = 3);

}  // namespace bitlaw::testing
