#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/document.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

/// The first page of a study's report, for who reads nothing else: what was found in plain sentences, the best law of
/// each stratum with its errors on what it did not see, how sure this is, what was left out, what may not be concluded.
/// Only what the results hold is said; a section without sentences is not there.
BITLAW_EXPORT std::vector<ReportSection> FrontPage(const StudyResults& results);

/// The first section alone.
BITLAW_EXPORT ReportSection FindingsSection(const StudyResults& results);

/// The table of the best law of each stratum.
BITLAW_EXPORT ReportTable BestLawTable(const StudyResults& results);

/// A stratum in a line: "KM: stratified_power, off by 6.5 points of accuracy on the largest size, ...".
BITLAW_EXPORT std::string SummaryLine(const StudyResults& results, const BestLaw& best);

/// "At B = 2 bits accuracy is lost beyond what stratified_power explains: KM keeps 45 % of the unquantized accuracy.",
/// a zone with a flag each (Regimes()), by one law.
BITLAW_EXPORT std::vector<std::string> LostZones(const StudyResults& results, const std::string& law);

}  // namespace bitlaw
