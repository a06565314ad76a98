#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"

namespace bitlaw {

/// The law that a report shows first for a stratum, with what it is off by on what it did not see.
struct BITLAW_EXPORT BestLaw {
  std::string stratum;
  const LawFit* fit = nullptr;             ///< Null: no law could be fitted.
  const LawAnalysis* analysis = nullptr;   ///< Null: none was made.
  const LawPicture* picture = nullptr;
  size_t compared = 0;  ///< Laws that were compared on the same rows; 0: this one alone was fitted.
  /// The hold-outs that the framework makes itself: the largest of the law's factor of scale, the smallest of its factor
  /// of precision. Null: the law has none, or too few values of it.
  const ValidationResult *sizes = nullptr, *bits = nullptr;
  /// On the rows that the study keeps out of all fits; rows == 0: none.
  PredictionErrors declared() const { return fit == nullptr ? PredictionErrors() : fit->Methods().front()->on_held_out; }
};

/// Stratum by stratum: the first of the comparison, which is the lowest AICc (QAICc) of laws of one response and the
/// lowest held-out error in acc_adj of laws of several; the only law where nothing was compared.
/// None where the study names no law. `results` must outlive it.
BITLAW_EXPORT std::vector<BestLaw> BestLaws(const StudyResults& results);

/// The law that is best in most strata, the earlier of equals; "" where none was fitted.
BITLAW_EXPORT std::string HeadlineLaw(const std::vector<BestLaw>& best);

/// "KM: knowledge memorization (lab_fact, lab_recall)", for the strata whose letters docs/reference/notation.md defines; else the
/// tasks alone.
BITLAW_EXPORT std::string SpelledStratum(const std::string& stratum);

/// The unit of a column, as whoever reports it says; "": none.
BITLAW_EXPORT std::string UnitOf(const StudyResults& results, const std::string& column);
BITLAW_EXPORT FactorRole RoleOf(const StudyResults& results, const std::string& column);

/// The observations with the columns of the study's `map`, one row a trial, stratum by stratum.
BITLAW_EXPORT StrataData MappedStrata(const StudyResults& results);

}  // namespace bitlaw
