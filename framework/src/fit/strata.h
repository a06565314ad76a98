#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/uncertainty.h"

namespace bitlaw {

/// Which strata depend more on a factor.
struct BITLAW_EXPORT SensitivityRanking {
  struct Place {
    std::string stratum;
    double value = kUnset;
    double standard_error = kUnset;  ///< Bootstrap over trials.
    Interval interval;               ///< Percentile.
  };
  struct Pair {
    std::string a, b;
    double difference = kUnset;  ///< a - b
    double standard_error = kUnset;
    Interval interval;
    double p = kUnset;         ///< Two-sided, difference over its bootstrap error against a normal.
    double p_holm = kUnset;    ///< Holm's over the pairs of this parameter.
  };
  std::string parameter;
  std::vector<Place> places;  ///< Largest |value| first.
  std::vector<Pair> pairs;
};

/// Whether exponents differ between the strata more than between random groupings of the same tasks.
struct BITLAW_EXPORT PermutationTest {
  std::string parameter;
  double spread = kUnset;         ///< Standard deviation of the exponent over the strata.
  double typical_spread = kUnset; ///< Its median over random groupings.
  double p = kUnset;              ///< (1 + groupings with at least this spread) / (1 + groupings)
};

/// Tests of the strata by one law, fitted by OLS. Without a linear form, or with fewer than two strata: why_none.
struct BITLAW_EXPORT StrataTests {
  std::string law, why_none;
  int replicates = 0, failed = 0;
  std::vector<SensitivityRanking> rankings;  ///< One an exponent (amplitudes depend on units).
  std::string why_no_permutation;
  int permutations = 0;
  std::vector<PermutationTest> permutation;
};

/// `strata` from SplitStrata(). Trials are drawn jointly: a trial that is drawn twice counts twice in every stratum, so
/// that what strata share cancels in their differences.
BITLAW_EXPORT StrataTests RankStrata(const Law& law, const StrataData& strata, const FitSettings& settings);

/// Adds the permutation test of the grouping. It needs observations (columns trial, task, stratum) with at least three
/// tasks and a row a trial in `strata` (SplitStrata() with average_tasks); only trials that have all tasks take part.
BITLAW_EXPORT void PermuteStrata(const Law& law, const Table& table, const StrataData& strata,
                                 const FitSettings& settings, StrataTests& tests);

/// Both.
BITLAW_EXPORT StrataTests TestStrata(const Law& law, const Table& table, const StrataData& strata,
                                     const FitSettings& settings);

/// A part of the configurations, fitted by itself without the factors that do not vary in it.
struct BITLAW_EXPORT Zone {
  std::string name;  ///< "B == 3"
  size_t rows = 0, at_chance = 0;
  std::string why_none;
  double adjusted_r2 = kUnset;
  struct Exponent {
    std::string parameter;
    double value = kUnset, standard_error = kUnset;
    Interval interval;
    double amplification = kUnset;  ///< Over the value in all zones together.
  };
  std::vector<Exponent> exponents;
  std::vector<std::string> flags;  ///< "gap", "precision collapse", "structural collapse"; see Regimes().
};

/// Zones side by side: those of settings.zones, or one for each value of B. Flags: adj. R^2 below 0 is a structural
/// collapse; else below 0.90 a gap, and if beside that the exponent of G does not differ from 0 at settings.confidence,
/// a precision collapse. Rows at or below chance are counted: a zone with many of them has collapsed, whatever its R^2.
/// Empty without a linear form.
BITLAW_EXPORT std::vector<Zone> Regimes(const Law& law, const Table& table, const FitSettings& settings);

}  // namespace bitlaw
