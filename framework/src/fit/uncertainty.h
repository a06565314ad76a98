#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/item_scores.h"
#include "fit/refitter.h"

namespace bitlaw {

/// Both ends NaN: there is none.
struct BITLAW_EXPORT Interval {
  double low = kUnset, high = kUnset;
};

/// The p-quantile of sorted values, linear between order statistics (R's type 7). NaN for none.
BITLAW_EXPORT double Quantile(std::span<const double> sorted, double p);

struct BITLAW_EXPORT BootstrapOptions {
  int replicates = 2000;
  /// Items of the table's rows, for the unit "items"; must outlive the call. Null: rows draw theirs one by one.
  const ItemSampler* items = nullptr;
  /// "trials" (rows, one by one; together where column `trial` says that they are of one trial), "items" (of `items`,
  /// the same for all rows; without it new items for every row, see Refitter::RefitNewItems), or a column of the table
  /// whose equal values are drawn together ("model").
  std::string unit = "trials";
  double level = 0.9;
  uint64_t seed = 0;
  int threads = 0;  ///< 0: one a core. The result is the same for any number.
};

/// A function of the parameters with its own interval: "doubling = 2^alpha".
struct BITLAW_EXPORT DerivedQuantity {
  std::string name;
  std::string expression;  ///< Over the names of the parameters.
};
/// Reads "name = expression". Error(kSpec).
BITLAW_EXPORT DerivedQuantity ParseDerived(const std::string& text);

/// Uncertainty of one number: a parameter or a derived quantity.
struct BITLAW_EXPORT Uncertainty {
  std::string name;
  double value = kUnset;
  double delta_error = kUnset;      ///< From the covariance; of a derived quantity by the delta method.
  Interval delta;                   ///< value -+ t delta_error
  double bootstrap_error = kUnset;  ///< Standard deviation of the replicates.
  double bias = kUnset;             ///< Mean of the replicates - value.
  Interval percentile, bca;
  Interval profile;  ///< Parameters only, where asked for.
};

struct BITLAW_EXPORT UncertaintyReport {
  std::string method;  ///< MethodFit::method
  double level = kUnset;
  std::string unit;  ///< Of the bootstrap; empty: none was made.
  int replicates = 0, failed = 0;
  size_t units = 0;                      ///< Rows or clusters drawn from.
  std::string note;                      ///< Why there is no bootstrap, or no acceleration.
  std::vector<Uncertainty> quantities;   ///< Parameters in the order of the law, then the derived ones.
  std::vector<double> replicate_values;  ///< [replicates - failed, quantities]
};

/// Bootstrap of the parameters and of `derived`.
///
/// Percentile: quantiles of the replicates. BCa (Efron 1987): with z0 from the share of replicates below the estimate
/// and the acceleration from leaving out one unit at a time (for items at most 50 blocks a task, as several samples,
/// Efron 1987, section 8; without `items` the acceleration is 0). A resample that does
/// not determine the parameters is left out and counted as failed; above 10 % no interval is given, nor is one of a
/// derived quantity that is NaN in a replicate.
/// Error(kSpec) for an unknown column or expression.
BITLAW_EXPORT UncertaintyReport Bootstrap(const Refitter& refitter, const Table& table, const MethodFit& method,
                                          const BootstrapOptions& options,
                                          std::span<const DerivedQuantity> derived = {});

/// Delta-method intervals alone.
BITLAW_EXPORT UncertaintyReport DeltaIntervals(const Law& law, const MethodFit& method, double level,
                                               std::span<const DerivedQuantity> derived = {});

/// Where the objective, minimized over the other parameters, rises from its minimum by t^2 s^2 (squares), or the
/// deviance by t^2 phi (binomial): t is Student's of the level with n - k degrees of freedom. An end beyond a bound, or
/// one that is not reached within 30 standard errors, is infinite. NaN for other methods.
BITLAW_EXPORT std::vector<Interval> ProfileIntervals(const Law& law, const Table& table, const FitSettings& settings,
                                                     const MethodFit& method, double level);

}  // namespace bitlaw
