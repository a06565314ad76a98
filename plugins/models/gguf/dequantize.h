#pragma once

#include <cstddef>
#include <cstdint>

#include "bitlaw/sdk/checkpoint/gguf_file.h"

namespace bitlaw {

/// Elements [begin, end) of `stored`, which holds blocks of `type`, into out[0 .. end - begin). Both bounds are
/// multiples of the block's elements; type.is_readable must hold.
///
/// Every product and sum is one float32 operation in the order of the public gguf package, so results are the same
/// to the bit. Formulas, with d, m the block's float16 scale and offset:
///   Q4_0 d (q - 8)   Q4_1 d q + m   Q5_0 d (q - 16)   Q5_1 d q + m   Q8_0 d q
///   Q2_K, Q4_K, Q5_K (d s) q - (d_min m)   Q3_K (d s) (q - 4)   Q6_K (d s) (q - 32)
///   IQ4_NL d t[q]   IQ4_XS (d s) t[q]   MXFP4 2^e f[q]   TQ1_0, TQ2_0 d (q - 1)
/// with s, m: 4- to 8-bit integers a sub-block, t and f: tables of sixteen numbers
void Dequantize(const GgmlType& type, const std::byte* stored, uint64_t begin, uint64_t end, float* out);

}  // namespace bitlaw
