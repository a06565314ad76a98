#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/figure/figure.h"

namespace bitlaw {

/// Figures of a study, and those that it lacks the data for, a sentence each.
struct BITLAW_EXPORT StudyFigures {
  std::vector<Figure> figures;
  std::vector<std::string> left_out;
};

/// In order: accuracy over model size by bits, measured against predicted, exponents, residuals by factor, contours of
/// equal accuracy over (precision, scale) and (granularity, calibration), exponents at few bits against all, share of the
/// unquantized accuracy that is kept, size against accuracy, seconds; then the study's own. Laws are those of BestLaws().
BITLAW_EXPORT StudyFigures MakeStudyFigures(const StudyResults& results);

/// Roughly what each of MakeStudyFigures() calls; parts of one .cc each.
BITLAW_EXPORT void AddLawFigures(const StudyResults& results, StudyFigures& figures);
BITLAW_EXPORT void AddExponentFigures(const StudyResults& results, StudyFigures& figures);
/// The study's own (`figures:`), named own_NAME; of one that cannot be made, a sentence.
BITLAW_EXPORT void AddOwnFigures(const StudyResults& results, StudyFigures& figures);
BITLAW_EXPORT void AddMeasuredFigures(const StudyResults& results, StudyFigures& figures);

}  // namespace bitlaw
