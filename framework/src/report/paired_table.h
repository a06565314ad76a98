#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/degradation.h"
#include "fit/study/item_statistics.h"
#include "report/document.h"

namespace bitlaw {

/// A table of paired differences, quantized beside unquantized, whose rows begin with cells of the caller's.
///
///     ReportTable table = MakePairedTable({"trial", "task"}, settings);
///     table.rows.push_back(PairedRow({"gptq 4 bits", "arc_easy"}, metric, paired));
///
/// Columns behind the caller's: metric, n, unquantized, quantized, difference, +-, low, high, only before, only after,
/// McNemar p, detectable. The notes say what they mean.
BITLAW_EXPORT ReportTable MakePairedTable(std::vector<std::string> leading_columns, const PairedSettings& settings);
BITLAW_EXPORT std::vector<ReportCell> PairedRow(std::vector<ReportCell> leading_cells, const MetricCard& metric,
                                                const PairedDifference& paired);

/// One row a verdict: which trials have got worse, over all their benchmarks. The notes begin with how many have.
BITLAW_EXPORT ReportTable VerdictTable(const std::vector<DegradationVerdict>& verdicts,
                                       const DegradationSettings& settings);

/// That table as a section of a report, for papers too. Without verdicts it has no table, and says why where `notes`
/// do.
BITLAW_EXPORT ReportSection VerdictSection(const std::vector<DegradationVerdict>& verdicts,
                                           const std::vector<std::string>& notes,
                                           const DegradationSettings& settings = {});

}  // namespace bitlaw
