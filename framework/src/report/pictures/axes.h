#pragma once

#include <set>
#include <string>
#include <utility>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/figure/figure.h"

namespace bitlaw {

/// The axis of a factor: its name and unit; log10 for a factor of scale, log2 for others whose values are positive and
/// span a factor of four or more; ticks at the values where they are few.
BITLAW_EXPORT FigureAxis AxisOf(const StudyResults& results, const std::string& column, const std::set<double>& values);

/// The values that the fits' table has in a column, NaN apart.
BITLAW_EXPORT std::set<double> ValuesOf(const StudyResults& results, const std::string& column);

/// Low, high and at most seven ticks at multiples of 1, 2 or 5 times a power of ten, for numbers from `low` to
/// `high`; low < high.
BITLAW_EXPORT void SetLinearTicks(double low, double high, FigureAxis& axis);

/// An axis of sizes, log10 with ticks at 1, 2 and 5 of each power of ten, in kB, MB or GB (powers of 1000) as the
/// largest asks, and the bytes of that unit. `bytes`: above 0, not empty.
BITLAW_EXPORT std::pair<double, FigureAxis> BytesAxis(const std::string& label, const std::set<double>& bytes);

}  // namespace bitlaw
