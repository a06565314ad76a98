#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/data/item_scores.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/uncertainty.h"

namespace bitlaw {

/// Which strata depend more on a factor.
struct BITLAW_EXPORT SensitivityRanking {
  struct Place {
    std::string stratum;
    double value = kUnset;
    double standard_error = kUnset;  ///< The headline: over the units, as in the table of intervals.
    double degrees_of_freedom = kUnset;
    Interval interval;  ///< The headline
    double bootstrap_error = kUnset;
  };
  struct Pair {
    std::string a, b;
    double difference = kUnset;  ///< a - b
    /// Over the units, which both strata share: ClusterRobust::Difference(). NaN: the bootstrap's stands in.
    double standard_error = kUnset, degrees_of_freedom = kUnset;
    double bootstrap_error = kUnset;  ///< Units drawn jointly in both strata.
    /// By t: difference -+ t standard_error; without one, of the bootstrap, percentile at ExpandedLevels().
    Interval interval;
    /// Two-sided, by Student's t: difference / standard_error (without one, difference / bootstrap_error with one less
    /// than the units as degrees of freedom). An approximation far out: reports print none below 1 / (replicates + 1).
    double p = kUnset;
    double p_holm = kUnset;  ///< Holm's over the pairs of this parameter.
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

/// Tests of the strata by one law, each stratum fitted by the first of its methods (the permutation test by OLS, of the
/// rows above chance). Without a linear form, or with fewer than two strata: why_none.
struct BITLAW_EXPORT StrataTests {
  std::string law, why_none;
  struct Method {
    std::string stratum, method, title;  ///< MethodFit's
  };
  std::vector<Method> methods;  ///< By which each stratum is fitted.
  std::string unit, drawn;           ///< RowUnits::name; what the bootstrap drew: that, or "items".
  size_t units = 0;                  ///< In all strata together.
  std::string note;                  ///< Of the units; "" for nothing.
  int replicates = 0, failed = 0;
  std::vector<SensitivityRanking> rankings;  ///< One an exponent (amplitudes depend on units).
  std::string why_no_permutation;
  int permutations = 0;
  std::vector<PermutationTest> permutation;
};

/// `strata` from SplitStrata(). Units are drawn jointly: a model (or trial) that is drawn twice counts twice in every
/// stratum, so that what strata share cancels in their differences. With the unit "items" new items are drawn, of
/// `items` where given, for each stratum by itself, since strata share no items; errors beside the bootstrap are over
/// "auto". `fits`: FitLaw() of the law on strata of these names; those that are not there are made.
BITLAW_EXPORT StrataTests RankStrata(const Law& law, const StrataData& strata, const FitSettings& settings,
                                     std::span<const LawFit> fits = {}, const ItemScores* items = nullptr);

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
  size_t rows = 0, at_chance = 0;  ///< Fitted; of those with the law's covariates, at or below chance.
  std::string why_none;
  double adjusted_r2 = kUnset;
  /// Sum of acc_adj over the sum of its reference, over the zone's rows with a reference above 0: `baseline_acc_adj`,
  /// or the mean acc_adj of the same model (same factor of scale, where there is no column `model`) at its most precise
  /// (the largest B). NaN: no reference.
  double kept = kUnset;
  double lost_share = kUnset;  ///< Share of those rows that are at or below chance.
  struct Exponent {
    std::string parameter;
    double value = kUnset, standard_error = kUnset, degrees_of_freedom = kUnset;  ///< Over the units.
    Interval interval;
    double amplification = kUnset;  ///< Over the value in all zones together.
  };
  std::vector<Exponent> exponents;
  std::vector<std::string> flags;  ///< "gap", "precision collapse", "structural collapse"; see Regimes().
  /// Why a zone that lost accuracy has no flag whatever the law explains of it; see Regimes().
  std::string why_not_judged;
};

/// Thresholds of the flags.
inline constexpr double kZoneLoses = 0.9;     ///< Below this share kept a zone has lost accuracy ...
inline constexpr double kZoneRowsLost = 0.1;  ///< ... or from this share of rows at or below chance on.
inline constexpr double kZoneCollapses =
    0.5;  ///< The same two for a collapse: kept below, rows at chance from here on.
inline constexpr double kZoneExplained = 0.9;  ///< Adjusted R^2 from which the law explains a zone.

/// Zones side by side: those of settings.zones, or one for each value of B. OLS, errors over the units.
///
/// A flag needs accuracy that is gone: a zone that keeps 90 % of the reference, with fewer than 10 % of its rows at or
/// below chance, has none, whatever its R^2; nor has one without a reference (no accuracy, no B). Of a zone that lost:
///   structural collapse  half of the accuracy is gone (or half of the rows are at chance) and the law explains
///                        nothing: adj. R^2 below 0, no factor is left, or too few rows above chance to fit it
///   gap                  a factor is left and adj. R^2 is below 0.90, without structural collapse
///   precision collapse   beside a gap: half of the accuracy is gone and the exponent of G, which the zone has, does
///                        not differ from 0 at settings.confidence
/// Not judged, with Zone::why_not_judged, is a zone
///   of few rows          fewer, fitted or at or below chance, than 3 or than the factors that vary in it and 2 more
///   of several models    (column `model`, else N) that no covariate of the law tells apart: none is constant within
///                        each model and differs between those of the zone, so what is left unexplained is how models
///                        differ
///   without a fit        though it has the rows for one: collinear factors
/// where the last two are judged all the same if half of its rows are at or below chance. Empty without a linear form.
BITLAW_EXPORT std::vector<Zone> Regimes(const Law& law, const Table& table, const FitSettings& settings);

}  // namespace bitlaw
