#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/sdk/checkpoint/gguf_file.h"

namespace bitlaw {

/// Why no type of GGUF says what the layer's codes say, to the bit. Empty exactly when one does:
///
///   Q4_0, Q5_0, Q8_0   d (q - 8), d (q - 16), d q   symmetric integers of up to 4, 5, 8 bits
///   Q4_1, Q5_1         d q + m                      others of up to 4, 5 bits whose -scale zero is a float16 number
///   MXFP4              2^e f[q]                     grid mxfp4
///
/// Blocks have 32 columns, which must share a group; a group may have several. `is_table`: an embedding or a head, whose
/// scales have no dtype to choose.
std::string ExplainNoBlocks(const QuantizedLinear& linear, bool is_table);

/// Of a layer without an ExplainNoBlocks().
const GgmlType& BlockTypeOf(const QuantizedLinear& linear);

/// The blocks of its rows, those of `order` [C_out] int64, in this order; all as they come if that is undefined.
std::string BlocksOf(const QuantizedLinear& linear, const at::Tensor& order);

}  // namespace bitlaw
