#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/document.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

/// The first page of a study's report, for who reads nothing else: what was found in plain sentences, the laws of each
/// stratum with their errors on what they did not see, the parameters of the best, how sure this is, what was left out,
/// what may not be concluded.
/// Only what the results hold is said; a section without sentences is not there.
BITLAW_EXPORT std::vector<ReportSection> FrontPage(const StudyResults& results);

/// The first section alone.
BITLAW_EXPORT ReportSection FindingsSection(const StudyResults& results);

/// Every fitted law of each stratum, the best first (RankedLaws()), with its errors on the largest size, the fewest
/// bits and what the study keeps out; why others could not be fitted stands below.
BITLAW_EXPORT ReportTable LawsTable(const StudyResults& results);

/// The parameters of the best law of each stratum with their intervals, one table a law: a row a stratum, a column a
/// parameter. Of a parameter without an interval the note says why.
BITLAW_EXPORT std::vector<ReportTable> ParameterTables(const StudyResults& results);

/// A stratum in a line: "KM: stratified_power, off by 6.5 points of accuracy on the largest size, ...".
BITLAW_EXPORT std::string SummaryLine(const StudyResults& results, const StratumLaw& best);

/// "At B = 2 bits accuracy is lost beyond what stratified_power explains: KM keeps 45 % of the unquantized accuracy.",
/// a zone with a flag each (Regimes()), by one law.
BITLAW_EXPORT std::vector<std::string> LostZones(const StudyResults& results, const std::string& law);

}  // namespace bitlaw
