#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/data/fit_rows.h"
#include "fit/law/response_inverse.h"
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
  std::string name;                   ///< "KM"; "general": all tasks; "all": all rows.
  std::vector<std::string> tasks;     ///< Whose mean acc_adj is; empty for tables without tasks.
  Table table;                        ///< One row a trial, or the caller's rows as they were.
  std::vector<Exclusion> incomplete;  ///< Trials without all of the tasks: a mean of others would not compare.
  size_t incoming = 0;                ///< Trials (or rows) before those were left out.
};

struct BITLAW_EXPORT StrataData {
  std::vector<StratumData> strata;
  std::vector<std::string> notes;  ///< What was done to the table, for the report: one sentence each.
};

/// The name of the stratum of observations that is the mean over all tasks.
inline constexpr const char* kGeneralStratum = "general";
/// The name of the stratum of other tables that has all rows, one under the other.
inline constexpr const char* kAllRows = "all";

/// Splits a table into strata.
///
/// Observations (a table with columns `trial`, `task` and `acc_adj`): rows that are primary and of metric_kind accuracy
/// are kept; per trial and stratum, value, chance and acc_adj become means over the stratum's tasks, and standard_error
/// that of the mean acc_adj, sqrt(sum_t (se_t / (1 - chance_t))^2) / tasks. "general" is the mean over the tasks of all
/// strata. Any other column of numbers that varies between the tasks of a trial becomes its mean too. With
/// `average_tasks` false a row stays a row: one a trial and task, with the task's own counts. Other tables: rows stay
/// as they are, split by the column `stratum` if there is one, with all of them in the stratum "all". WithAccuracy() is
/// applied first. Error(kSpec) for a stratum of the table that is called "general" or "all".
BITLAW_EXPORT StrataData SplitStrata(const Table& table, bool average_tasks = true);

/// What is done with accuracies at or below chance, for which -log(acc_adj) has no value.
enum class ChanceRule {
  kLikelihood,  ///< They enter a binomial likelihood of the counts, which has a value for them. Fits to the response
                ///< itself still lack them, and count them.
  kExclude,     ///< Rows with acc_adj <= 0 or >= 1 are left out of every fit and counted: only survivors are left.
};
BITLAW_EXPORT std::string Name(ChanceRule rule);

/// What acc_adj follows from in a table without that column: (acc - chance) / (1 - chance), or the same with
/// correct / total (or correct / items) for acc. "" if it has acc_adj or nothing to compute it from.
BITLAW_EXPORT std::string AccuracyFormula(const Table& table);
/// The table with the column acc_adj, where AccuracyFormula() has it.
BITLAW_EXPORT Table WithAccuracy(Table table);
/// Whether a row is kept for validation: Table::Flag() of `hold_out` (null: no), where a missing cell is no.
BITLAW_EXPORT bool IsHeldOut(const TableColumn* hold_out, const Table& table, size_t row);

/// The rows of a table that a law can be fitted to, and those that it is checked on.
struct BITLAW_EXPORT LawRows {
  FitRows fit;                    ///< Rows with a response.
  std::vector<size_t> fit_index;  ///< Row of the table.
  /// Rows with counts, those at or below chance (y is NaN there) included; empty if the table has no counts, the
  /// response cannot be inverted, or the rule is kExclude.
  FitRows counted;
  std::vector<size_t> counted_index;
  FitRows held_out;  ///< Rows whose hold_out is not 0. They never enter a fit.
  std::vector<size_t> held_out_index;
  /// Rows, held out or not, that were not left out or only because of an accuracy at or below chance or of exactly 1,
  /// which the logarithm cannot take: errors in accuracy are over these.
  std::vector<size_t> complete_index;
  std::vector<Exclusion> excluded;  ///< From fits to the response.
  std::vector<Exclusion> held_out_excluded;
  size_t incoming = 0, held_out_incoming = 0;
  size_t at_chance = 0;       ///< Rows to fit with acc_adj <= 0.
  std::string why_no_counts;  ///< Why `counted` is empty.
  /// By name: rows below chance beyond doubt; of a response that is a column (a loss), rows where it is not positive.
  std::vector<std::string> warnings;
};

struct BITLAW_EXPORT RowOptions {
  ChanceRule rule = ChanceRule::kLikelihood;
  bool take_log = false;  ///< A response that is not positive is left out too, since the fit takes its logarithm.
  /// Row weights, proportional to 1 / variance of the response: an expression over columns; "item_errors": from the
  /// column standard_error (of acc_adj) by the delta method; "": all 1. Rows without a positive one are left out.
  std::string weights;
};

/// Applies the law's response and covariates, leaves out rows with a missing or not finite value (in order: missing
/// covariate, linear features or the law's domain (law_domain.h), impossible accuracy, accuracy far below chance, chance
/// rule, response, weight) and counts each. A column that the law needs and the table lacks is an Error(kSpec).
///
/// Counts come from columns `correct` and `total`, or `value` (or `acc`) and `items`. A row that is a mean over several
/// tasks (column `tasks` > 1) gets the counts with the same chance-adjusted accuracy and standard error: total =
/// p (1 - p) / ((1 - chance) standard_error)^2, correct = p total, p = chance + (1 - chance) acc_adj.
BITLAW_EXPORT LawRows SelectRows(const Law& law, const Table& table, const RowOptions& options);

/// "N does not vary: it is 134515008 in all 24 rows." for the first covariate that does not; "" if all do.
BITLAW_EXPORT std::string ExplainConstantCovariate(const Law& law, const FitRows& rows);

}  // namespace bitlaw
