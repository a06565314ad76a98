#pragma once

#include <set>
#include <string>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/figure/figure.h"

namespace bitlaw {

/// The axis of a factor: its name and unit; log10 for a factor of scale, log2 for others whose values are positive and
/// span a factor of four or more; ticks at the values where they are few.
BITLAW_EXPORT FigureAxis AxisOf(const StudyResults& results, const std::string& column, const std::set<double>& values);

/// The values that the fits' table has in a column, NaN apart.
BITLAW_EXPORT std::set<double> ValuesOf(const StudyResults& results, const std::string& column);

}  // namespace bitlaw
