#pragma once

#include <string>

#include "bitlaw/base/export.h"
#include "fit/examine/analysis.h"
#include "report/document.h"

namespace bitlaw {

/// Appends to a law's section: intervals, validation, ablations, Chow test, zones.
BITLAW_EXPORT void AddAnalysis(const AnalysisReport& analysis, const std::string& law, ReportSection& section);

/// Laws against each other; no tables if nothing was compared.
BITLAW_EXPORT ReportSection ComparisonSection(const AnalysisReport& analysis);

/// What nested selection chose and how well that predicts; no tables without one.
BITLAW_EXPORT ReportSection SelectionSection(const AnalysisReport& analysis);

/// Rankings, pairwise tests, permutation test, shared exponents; no tables with fewer than two strata.
BITLAW_EXPORT ReportSection StrataSection(const AnalysisReport& analysis);

}  // namespace bitlaw
