#pragma once

#include <filesystem>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// What a file of quantized layers holds.
struct BITLAW_EXPORT QuantizedFile {
  QuantizedModel model;
  Value about;  ///< What the writer said of it: model, quantizer, options, calibration. A map.
};

/// Writes codes (dense bits, sdk/packed_codes.h), scales in their dtype, zero points, group index and the layers'
/// numbers as a safetensors file that other programs can open. Durable and atomic: see base/files/durable_file.h.
///
///   <layer>.codes [bytes] U8, <layer>.scales [R, groups] F16 | F32 | F8_E4M3 | F8_E8M0 (StoredScales()), <layer>.zeros
///   [R, groups] U8 or, real ones, F16 | F32; <layer>.group_index [C_in] I32; <layer>.row_index [C_out] I32, without which
///   R = C_out, <layer>.input_scale [C_in] F32 and <layer>.levels [levels] F32 where there are any; after transforms <name> F32 for each norm and bias;
///   __metadata__: format, layers (JSON), about (JSON), codes_digest, text_digest; other_weights and kv_cache (JSON)
///   where there are any.
///
/// Equal contents give equal bytes; times are not stored. Errors: Error(kIo).
BITLAW_EXPORT void SaveQuantized(const std::filesystem::path& path, const QuantizedModel& model, const Value& about);

/// Reads such a file back and verifies both digests. Error(kIo) naming the file if it is missing, cut off, altered,
/// or of another format; a damaged file is never returned in part.
BITLAW_EXPORT QuantizedFile LoadQuantized(const std::filesystem::path& path);

}  // namespace bitlaw
