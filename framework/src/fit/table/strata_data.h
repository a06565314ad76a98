#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/options/grouping.h"
#include "records/table.h"

namespace bitlaw {

/// Rows left out for one reason.
struct BITLAW_EXPORT Exclusion {
  std::string reason;   ///< "acc_adj is at or below chance", "G is missing", ...
  std::string example;  ///< "row 3 (line 4): acc_adj = -0.02"
  size_t rows = 0;
};

/// Adds one row to the exclusion of this reason; `example` is kept for the first.
BITLAW_EXPORT void CountExclusion(std::vector<Exclusion>& exclusions, const std::string& reason,
                                  const std::string& example);
/// How reports name a row: its label or trial (with its task, where rows are of tasks), or where it stands in the file.
BITLAW_EXPORT std::string RowLabel(const Table& table, size_t row);

/// The rows of one stratum, before any law has looked at them.
struct BITLAW_EXPORT StratumData {
  std::string name;                   ///< "KM"; of a pool kGeneralStratum or kAllRows.
  bool is_pool = false;               ///< All tasks or all rows, beside the strata that the table names.
  std::vector<std::string> tasks;     ///< Whose mean acc_adj is; empty for tables without tasks.
  Table table;                        ///< One row a trial, or the caller's rows as they were.
  std::vector<Exclusion> incomplete;  ///< Trials without all of the tasks: a mean of others would not compare.
  size_t incoming = 0;                ///< Trials (or rows) before those were left out.
};

struct BITLAW_EXPORT StrataData {
  std::vector<StratumData> strata;
  std::vector<std::string> notes;  ///< What was done to the table, for the report: one sentence each.
};

/// Splits a table into strata.
///
/// Observations (a table with columns `trial`, `task` and `acc_adj`): rows that are primary and of metric_kind accuracy
/// are kept; per trial and stratum, value, chance and acc_adj become means over the stratum's tasks, and standard_error
/// that of the mean acc_adj, sqrt(sum_t (se_t / (1 - chance_t))^2) / tasks. "general" is the mean over the tasks of all
/// strata. Any other column of numbers that varies between the tasks of a trial becomes its mean too. With
/// `average_tasks` false a row stays a row: one a trial and task, with the task's own counts. Other tables: rows stay
/// as they are, split by the column `stratum` if there is one, with all of them in the stratum "all". WithAccuracy()
/// and WithBaseline() are applied first. Error(kSpec) for a stratum of the table that is called "general" or "all".
BITLAW_EXPORT StrataData SplitStrata(const Table& table, bool average_tasks = true);

/// What acc_adj follows from in a table without that column: (acc - chance) / (1 - chance), or the same with
/// correct / total (or correct / items) for acc. "" if it has acc_adj or nothing to compute it from.
BITLAW_EXPORT std::string AccuracyFormula(const Table& table);
/// The table with the column acc_adj, where AccuracyFormula() has it.
BITLAW_EXPORT Table WithAccuracy(Table table);
/// Whether a row is kept for validation: Table::Flag() of `hold_out` (null: no), where a missing cell is no.
BITLAW_EXPORT bool IsHeldOut(const TableColumn* hold_out, const Table& table, size_t row);

}  // namespace bitlaw
