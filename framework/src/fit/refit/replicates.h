#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/table/unset.h"

namespace bitlaw {

/// Both ends NaN: there is none.
struct BITLAW_EXPORT Interval {
  double low = kUnset, high = kUnset;
};

/// The p-quantile of sorted values, linear between order statistics (R's type 7). NaN for none.
BITLAW_EXPORT double Quantile(std::span<const double> sorted, double p);

/// Puts in place what Quantile() looks at for p up to `low` and from `high`: a third of the time of sorting all.
void SortTails(std::vector<double>& values, double low, double high);

/// Ends of a bootstrap interval as quantiles of the replicates, wider than (1 -+ level) / 2 by what a bootstrap of n
/// units lacks: the normal's levels at t_{n-1} sqrt(n / (n - 1)) (Hesterberg 2015, "expanded percentile").
BITLAW_EXPORT Interval ExpandedLevels(double level, size_t units);

/// Which quantiles of the replicates are the ends of the BCa interval (Efron 1987); NaN if all replicates are on one
/// side of `value`. One that repeats the rows has the value but for rounding (1e-9 of it): it is on neither side.
BITLAW_EXPORT Interval BcaLevels(std::span<const double> replicates, double value, double acceleration,
                                 const Interval& levels);
/// The accelerations of BCa intervals: they rise with the skew that leaving out one unit shows (Efron 1987, eq. 6.6).
///   left_out [units, quantities]; NaN where there is no fit.
std::vector<double> Accelerations(std::span<const double> left_out, size_t quantities);

}  // namespace bitlaw
