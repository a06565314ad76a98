#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

struct MadeRecipe;

/// `embeddings` and `head` of a recipe: the matrices outside of all blocks (ModelSummary::tables), rounded to nearest
/// on integers with float16 scales. Their options are embeddings.bits, .group_size, .symmetric and head.bits, ...
/// beside those of the other parts.
const OptionSchema& TableSchema();

/// How one table is rounded.
struct TableRule {
  int bits = 8;
  int64_t group_size = 64;  ///< Columns; -1: the row.
  bool symmetric = false;
};

/// {bits, group_size, symmetric} of each part that says a width into `recipe`; the others are taken out of `shown`.
void SplitTables(const Value& options, Value& recipe, Value& shown);

/// What is done to each of summary.tables: `embeddings` to the first, a tied head with it, `head` to the second.
BITLAW_EXPORT std::vector<std::optional<TableRule>> TableRulesOf(const Value& recipe, const ModelSummary& summary);

/// Stored bits a weight of a table.
BITLAW_EXPORT double BitsPerWeight(const LinearShape& table, const TableRule& rule);

/// Weights that bytes of a model count beside what its summary says is quantized.
struct BITLAW_EXPORT WeightsBeside {
  double rounded_tables = 0;  ///< In tables that are rounded: bits_effective is of them as well.
  double added = 0;           ///< That transforms add, in 16 bits.
};
BITLAW_EXPORT WeightsBeside WeightsBesideOf(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary);

/// B_embedding and B_head where the recipe has one of the parts, 16 for what is not rounded.
std::vector<Factor> TableFactors(const Value& recipe, const ModelSummary& summary);

/// Error(kUnsupported) where weights stay as they are, for then there are no codes to keep those of tables with.
void CheckTables(const Value& recipe, bool keeps_weights);

/// Why the parts cannot be done to a model. Empty exactly when they can, or where there are none.
std::string ExplainUnsupportedTables(const Value& recipe, const ModelSummary& summary);

}  // namespace bitlaw
