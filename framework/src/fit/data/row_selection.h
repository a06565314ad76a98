#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/data/fit_rows.h"
#include "fit/options/fit_settings.h"
#include "fit/table/strata_data.h"
#include "records/table.h"

namespace bitlaw {

/// Correct answers among all and the share of them that a guess gets, row by row of a table; NaN where a row has none.
struct BITLAW_EXPORT TableCounts {
  std::vector<double> correct, total, chance;  ///< [rows]; empty where `why_none` says why.
  std::string why_none;
};
/// The counts that SelectRows() takes.
BITLAW_EXPORT TableCounts CountsOf(const Table& table);

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
  /// Of an anchored law, for each row of the table: the rows that measured its unquantized model (BaselineRowsOf()).
  std::vector<std::vector<size_t>> baseline_rows;
  size_t incoming = 0, held_out_incoming = 0;
  size_t at_chance = 0;       ///< Rows to fit with acc_adj <= 0.
  std::string why_no_counts;  ///< Why `counted` is empty.
  /// By name: rows below chance beyond doubt; of a response that is a column (a loss), rows where it is not positive.
  std::vector<std::string> warnings;
};

/// Whether a fit of the law takes the logarithm of the response: its linear form is of the logarithm, or its own
/// procedure is. No fit then has rows whose response is not positive (RowOptions::take_log).
BITLAW_EXPORT bool TakesLog(const Law& law);

struct BITLAW_EXPORT RowOptions {
  ChanceRule rule = ChanceRule::kLikelihood;
  bool take_log = false;  ///< A response that is not positive is left out too, since the fit takes its logarithm.
  /// Row weights, proportional to 1 / variance of the response: an expression over columns; "item_errors": from the
  /// column standard_error (of acc_adj) by the delta method; "": all 1. Rows without a positive one are left out.
  std::string weights;
  const FactorRoles* roles = nullptr;  ///< Tell unquantized rows (UnquantizedRows()); null: the standard ones.
};

/// Applies the law's response and covariates, leaves out rows with a missing or not finite value (in order: of a law
/// with an anchor (IsAnchorColumn()) unquantized models; of an anchored law (IsAnchored()) those at chance without
/// quantization; missing covariate, linear features or the law's domain (law_domain.h), impossible accuracy, accuracy
/// far below chance, chance rule, response, weight) and counts each. A column that the law needs and the table lacks is
/// an Error(kSpec), and so is an anchored law of models none of which was measured without quantization.
///
/// Counts come from columns `correct` and `total`, or `value` (or `acc`) and `items`. A row that is a mean over several
/// tasks (column `tasks` > 1) gets the counts with the same chance-adjusted accuracy and standard error: total =
/// p (1 - p) / ((1 - chance) standard_error)^2, correct = p total, p = chance + (1 - chance) acc_adj.
BITLAW_EXPORT LawRows SelectRows(const Law& law, const Table& table, const RowOptions& options);

}  // namespace bitlaw
