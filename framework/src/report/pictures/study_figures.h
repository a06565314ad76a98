#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/figure/figure.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

/// Figures of a study, and those that it lacks the data for, a sentence each.
struct BITLAW_EXPORT StudyFigures {
  std::vector<Figure> figures;
  std::vector<std::string> left_out;
};

/// "exponents_power_n_b": the name of a figure that is of one law alone. What no name of a figure has becomes '-'.
BITLAW_EXPORT std::string FigureOfLaw(const std::string& figure, const std::string& law);

/// The laws that figures are of: the best of each stratum, or one that was chosen.
struct BITLAW_EXPORT ShownLaws {
  std::string law;  ///< "": the best of each stratum.
  std::vector<StratumLaw> laws;
  /// The name of a figure of them: that of a chosen law has it in its own, so that figures of several laws lie side by
  /// side.
  std::string Named(const std::string& figure) const { return law.empty() ? figure : FigureOfLaw(figure, law); }
  std::string Who() const { return law.empty() ? "the best laws have" : law + " has"; }
};

/// In order: accuracy over model size by bits, measured against predicted, exponents, residuals by factor, contours of
/// equal accuracy over (precision, scale) and (granularity, calibration), exponents at few bits against all, share of
/// the unquantized accuracy that is kept, size against accuracy, seconds; then the study's own. Laws are those of
/// BestLaws(), or each of `laws` in turn. Figures of one law alone are called by it: exponents_LAW.
BITLAW_EXPORT StudyFigures MakeStudyFigures(const StudyResults& results, const std::vector<std::string>& laws = {});

/// Roughly what each of MakeStudyFigures() calls; parts of one .cc each. `law`: "" for the best of each stratum.
BITLAW_EXPORT void AddLawFigures(const StudyResults& results, const std::string& law, StudyFigures& figures);
BITLAW_EXPORT void AddExponentFigures(const StudyResults& results, const ShownLaws& shown, StudyFigures& figures);
/// The study's own (`figures:`), named own_NAME; of one that cannot be made, a sentence.
BITLAW_EXPORT void AddOwnFigures(const StudyResults& results, StudyFigures& figures);
BITLAW_EXPORT void AddMeasuredFigures(const StudyResults& results, StudyFigures& figures);

}  // namespace bitlaw
