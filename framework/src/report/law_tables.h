#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/estimate/fit_laws.h"
#include "fit/examine/analysis.h"
#include "report/document.h"

namespace bitlaw {

/// For each law: a table of its exponents with standard errors, one row a stratum and method; and a table of how well
/// it does beside its nulls. Strata that could not be fitted are listed with the reason.
/// Without `all_methods` only the first method of a stratum, its headline, has rows; a note says which others there are.
BITLAW_EXPORT ReportSection LawSection(const FitReport& report, const std::string& law, bool all_methods = true);

/// Each of settings.groupings: its strata, the exponents of every law on them beside those on the report's own, and the
/// spread of the exponents with the permutation test of both. No tables without groupings.
BITLAW_EXPORT ReportSection GroupingSection(const FitReport& report, const AnalysisReport& analysis,
                                            bool all_methods = true);

/// Appends the exponents of each quantizer alone, where a law was fitted to rows of several.
BITLAW_EXPORT void AddQuantizers(const AnalysisReport& analysis, const std::string& law, ReportSection& section,
                                 bool all_methods = true);

/// What was left out of each fit, and why.
BITLAW_EXPORT ReportSection ExclusionSection(const FitReport& report);

/// The names of the laws of a report, in order.
BITLAW_EXPORT std::vector<std::string> LawNames(const FitReport& report);

/// A report of fits alone: `bitlaw fit`.
BITLAW_EXPORT ReportDocument FitDocument(const FitReport& report, const AnalysisReport& analysis,
                                         const std::string& title, bool all_methods = true);

}  // namespace bitlaw
