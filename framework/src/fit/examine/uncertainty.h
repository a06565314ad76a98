#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/data/item_scores.h"
#include "fit/options/derived_quantity.h"
#include "fit/refit/refitter.h"
#include "fit/refit/replicates.h"

namespace bitlaw {

struct BITLAW_EXPORT BootstrapOptions {
  int replicates = 2000;
  /// Items of the table's rows, for the unit "items"; must outlive the call. Null: rows draw theirs one by one.
  const ItemSampler* items = nullptr;
  /// What is drawn: "auto", "trials" or a column (UnitsOf()), or "items" (of `items`, the same for all rows; without it
  /// new items for every row, see Refitter::RefitNewItems).
  std::string unit = "auto";
  double level = 0.9;
  uint64_t seed = 0;
  int threads = 0;  ///< 0: one a core. The result is the same for any number.
};

/// Uncertainty of one number: a parameter or a derived quantity.
struct BITLAW_EXPORT Uncertainty {
  std::string name;
  double value = kUnset;
  /// The headline: by MethodFit::robust where rows belong to units, otherwise from the covariance of independent rows;
  /// of a derived quantity by the delta method.
  double delta_error = kUnset, degrees_of_freedom = kUnset;
  /// value -+ t error; of a parameter that is at least 0 by its bounds, on the logarithm: value exp(-+ t error /
  /// value).
  Interval delta;
  /// The same were all rows independent, with n - k degrees of freedom.
  double independent_error = kUnset;
  Interval independent;
  double bootstrap_error = kUnset;  ///< Standard deviation of the replicates.
  double bias = kUnset;             ///< Mean of the replicates - value.
  Interval percentile, bca;
  Interval profile;  ///< Parameters only, where asked for.
};

struct BITLAW_EXPORT UncertaintyReport {
  std::string method, title;  ///< MethodFit's
  double level = kUnset;
  std::string independent;  ///< MethodFit::unit: what the headline errors take for independent.
  size_t independent_units = 0;
  bool is_clustered = false;          ///< Whether such a unit has several rows.
  std::vector<std::string> warnings;  ///< Of the units: few of them, errors that they do not give.
  std::string unit;  ///< Of the bootstrap; empty: none was made.
  int replicates = 0, failed = 0;
  size_t units = 0;                      ///< Rows or clusters drawn from.
  std::string note;                      ///< Why there is no bootstrap, or no acceleration.
  std::vector<Uncertainty> quantities;   ///< Parameters in the order of the law, then the derived ones.
  std::vector<double> replicate_values;  ///< [replicates - failed, quantities]
};

/// Bootstrap of the parameters and of `derived`.
///
/// Percentile: quantiles of the replicates at ExpandedLevels() (of items, which are many, at the plain ones). BCa
/// (Efron 1987): with z0 from the share of replicates below the estimate, the same levels, and the acceleration from
/// leaving out one unit at a time (of more than 2,000, one of 200 blocks; for items at most 50 blocks a task, as several samples, Efron 1987, section 8;
/// without `items` the acceleration is 0). A resample that does not determine the parameters is left out and counted as
/// failed; above 10 % no interval is given, nor is one of a derived quantity that is NaN in a replicate. Error(kSpec)
/// for an unknown column or expression.
BITLAW_EXPORT UncertaintyReport Bootstrap(const Refitter& refitter, const Table& table, const MethodFit& method,
                                          const BootstrapOptions& options,
                                          std::span<const DerivedQuantity> derived = {});

/// The headline intervals and those of independent rows, without a bootstrap.
BITLAW_EXPORT UncertaintyReport DeltaIntervals(const Law& law, const MethodFit& method, double level,
                                               std::span<const DerivedQuantity> derived = {});

/// Where the objective, minimized over the other parameters, rises from its minimum by t^2 s^2 (squares), or the
/// deviance by t^2 phi (binomial): t is Student's of the level with n - k degrees of freedom. Where rows belong to
/// units, s^2 and phi are multiplied by (robust error / error of independent rows)^2 and t has the robust degrees of
/// freedom: the rise is then in the units of the headline error. An end beyond a bound is the bound; one that is
/// not reached within 30 standard errors is infinite. A parameter at its bound has an interval too, which begins there.
/// NaN for other methods.
BITLAW_EXPORT std::vector<Interval> ProfileIntervals(const FitProblem& problem, const MethodFit& method, double level,
                                                     int threads);

}  // namespace bitlaw
