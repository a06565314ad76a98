#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// How an exporter would store one quantized layer.
struct BITLAW_EXPORT StorageRule {
  int bits = 4;                     ///< Bits a code, and a zero point.
  bool symmetric = false;           ///< The zero point is a constant: nothing is stored for it.
  int64_t group_size = -1;          ///< Columns that share a scale; -1 or more than C_in: the whole row.
  int scale_bits = 16;              ///< A scale: 16, 32, or 8; 0 where the tensor has one.
  bool stores_group_index = false;  ///< Groups are not runs of neighbouring columns: 32 bits a column.
  int tensor_bits = 0;              ///< Once a layer.
};

/// Columns a group really has: `group_size`, or C_in where that is -1 ("row") or reaches past the row.
BITLAW_EXPORT int64_t EffectiveGroupSize(int64_t group_size, int64_t in_features);

/// Groups in a row: ceil(C_in / effective group size).
BITLAW_EXPORT int64_t GroupCount(int64_t group_size, int64_t in_features);

/// G, G_min and G_mean of a quantizer whose groups of `group_size` are the same in every layer: Quantizer::factors().
/// "row" (-1) asks for groups of the model's largest C_in, the smallest number that comes to the same.
BITLAW_EXPORT std::vector<Factor> GroupFactors(int64_t group_size, const ModelSummary& model);

/// Why `layer` cannot have groups of `group_size`; empty exactly when it can. A last group that is shorter than the
/// others needs `allow_partial_group`.
BITLAW_EXPORT std::string ExplainGroupSize(const LinearShape& layer, int64_t group_size, bool allow_partial_group);

/// Stored bits a weight:
///
///   B + groups * (scale_bits + (symmetric ? 0 : B)) / C_in + (stores_group_index ? 32 / C_out : 0)
///     + tensor_bits / (C_in C_out)
///
/// B = 4, asymmetric, G = 128, float16 scales: 4 + (16 + 4) / 128 = 4.15625.
BITLAW_EXPORT double StoredBitsPerWeight(const LinearShape& layer, const StorageRule& rule);

}  // namespace bitlaw
