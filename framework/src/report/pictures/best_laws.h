#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"

namespace bitlaw {

/// A law in a stratum, with what it is off by on what it did not see.
struct BITLAW_EXPORT StratumLaw {
  std::string stratum;
  std::string law;                         ///< "": the stratum has none.
  const LawFit* fit = nullptr;             ///< Null: it could not be fitted.
  const LawAnalysis* analysis = nullptr;   ///< Null: none was made.
  const LawPicture* picture = nullptr;
  size_t compared = 0;  ///< Fitted laws of the stratum, of any response.
  /// What it is ranked by among the laws of its response, "AICc" or "QAICc", and, of the best of each response where
  /// there are several, "RMSE of acc_adj, leave one model out" against those of the others. "": no such comparison was
  /// made.
  std::string within, across;
  /// By `across` if it is there, else by `within`: less that of the best law that is ranked so; 0 of that one.
  double above_best = kUnset;
  /// The hold-outs that the framework makes itself: the largest of the law's factor of scale, the smallest of its factor
  /// of precision. Null: the law has none, or too few values of it.
  const ValidationResult *sizes = nullptr, *bits = nullptr;
  /// On the rows that the study keeps out of all fits; rows == 0: none.
  PredictionErrors declared() const { return fit == nullptr ? PredictionErrors() : fit->Methods().front()->on_held_out; }
};

/// The fitted laws of a stratum, the best first. Laws of one response by the lowest AICc (QAICc); of several responses
/// the best of each by the lowest RMSE of acc_adj, and behind each the others of its response. So a law of another
/// response never changes the order of those of one. `results` must outlive it.
BITLAW_EXPORT std::vector<StratumLaw> RankedLaws(const StudyResults& results, const std::string& stratum);

/// The first of each stratum; of a stratum where no law could be fitted, one without a fit. None where the study names
/// no law. `results` must outlive it.
BITLAW_EXPORT std::vector<StratumLaw> BestLaws(const StudyResults& results);

/// The same of one law by its name; of a stratum where it was not fitted, one without a fit.
BITLAW_EXPORT std::vector<StratumLaw> LawInStrata(const StudyResults& results, const std::string& law);

/// The interval that people are shown of a parameter: the headline's, or the bootstrap's (percentiles) where errors
/// over units do not give one; NaN where neither is there.
BITLAW_EXPORT Interval ShownInterval(const Uncertainty& quantity);

/// The law that is best in most strata, the earlier of equals; "" where none was fitted.
BITLAW_EXPORT std::string HeadlineLaw(const std::vector<StratumLaw>& best);

/// "KM: knowledge memorization (lab_fact, lab_recall)", for the strata whose letters docs/reference/notation.md defines; else the
/// tasks alone.
BITLAW_EXPORT std::string SpelledStratum(const std::string& stratum);

/// The unit of a column, as whoever reports it says; "": none.
BITLAW_EXPORT std::string UnitOf(const StudyResults& results, const std::string& column);
BITLAW_EXPORT FactorRole RoleOf(const StudyResults& results, const std::string& column);

/// The observations with the columns of the study's `map`, one row a trial, stratum by stratum.
BITLAW_EXPORT StrataData MappedStrata(const StudyResults& results);

}  // namespace bitlaw
