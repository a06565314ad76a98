#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/options/factor_roles.h"
#include "records/table.h"

namespace bitlaw {

/// The column with the acc_adj of the unquantized model of each row, over the same tasks: what anchored laws have as a
/// covariate.
inline constexpr const char* kBaselineAccuracy = "baseline_acc_adj";

/// Whether a covariate is what the unquantized model measured in the same stratum: baseline_acc_adj,
/// baseline_bits_per_byte, baseline_answer_characters.
BITLAW_EXPORT bool IsAnchorColumn(const std::string& covariate);

/// Whether the law has kBaselineAccuracy as a covariate: it says what is left of it.
BITLAW_EXPORT bool IsAnchored(const Law& law);

/// Which rows are of an unquantized model itself: the column `quantizer` says "none", or every column of precision that
/// the row has a value of is at its anchor (16 bits) or above, and the row's accuracy is its baseline, where the table has
/// both.
BITLAW_EXPORT std::vector<bool> UnquantizedRows(const Table& table, const FactorRoles& roles);

/// For each row, the rows of the table that measured its unquantized model: UnquantizedRows() of the same model (column
/// `model`, else N), and of the same task and stratum, where the table has such columns. Empty where there is none.
BITLAW_EXPORT std::vector<std::vector<size_t>> BaselineRowsOf(const Table& table, const FactorRoles& roles);

/// The table with kBaselineAccuracy, where it lacks it: from the columns baseline_value and chance, else as the mean
/// acc_adj of BaselineRowsOf(). Observations with baseline_value, and tables without either, stay as they are.
BITLAW_EXPORT Table WithBaseline(Table table, const FactorRoles& roles = {});

/// The names of the models (or their N) among these rows that have no kBaselineAccuracy, in order of appearance.
BITLAW_EXPORT std::vector<std::string> ModelsWithoutBaseline(const Table& table, const std::vector<bool>& is_counted);

}  // namespace bitlaw
