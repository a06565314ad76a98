#pragma once

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/estimate/fit_laws.h"
#include "fit/examine/analysis.h"
#include "records/table.h"

namespace bitlaw {

/// Everything, for programs: every number of the structs above; what is not known is null.
BITLAW_EXPORT Value FitReportJson(const FitReport& report);

/// One row a law, stratum, method and parameter, with the bounds of the intervals of the method that has them.
BITLAW_EXPORT Table FitReportTable(const FitReport& report, const AnalysisReport& analysis);

/// Everything, for programs; what is not known is null.
BITLAW_EXPORT Value AnalysisJson(const AnalysisReport& analysis);

}  // namespace bitlaw
