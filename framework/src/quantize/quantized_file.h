#pragma once

#include <filesystem>
#include <memory>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// What a file of quantized layers holds.
struct BITLAW_EXPORT QuantizedFile {
  QuantizedModel model;
  Value about{};  ///< What the writer said of it: model, quantizer, options, calibration. A map.
  /// Of OpenQuantized(): what model.layers[i].linear lacks, read anew at each call. Errors as LoadQuantized().
  ReadQuantized read{};
};

/// Writes codes (dense bits, sdk/packed_codes.h), scales in their dtype, zero points, group index and the layers'
/// numbers as a safetensors file that other programs can open. Durable and atomic: see base/files/durable_file.h.
///
///   <layer>.codes [bytes] U8, <layer>.scales [R, groups] F16 | F32 | F8_E4M3 | F8_E8M0 (StoredScales()), <layer>.zeros
///   [R, groups] U8 or, real ones, F16 | F32; <layer>.group_index [C_in] I32; <layer>.row_index [C_out] I32, without
///   which R = C_out, <layer>.input_scale [C_in] F32 and <layer>.levels [levels] F32 where there are any; after
///   transforms <name> F32 for each norm and bias;
///   __metadata__: format, layers (JSON), about (JSON), codes_digest, text_digest; other_weights, model_weights,
///   rotations, skipped and kv_cache (JSON) where there are any.
///
/// Equal contents give equal bytes; times are not stored. One layer's tensors at a time are in memory beside `model`.
/// Errors: Error(kIo).
BITLAW_EXPORT void SaveQuantized(const std::filesystem::path& path, const QuantizedModel& model, const Value& about);

/// Writes the same file layer by layer as they come, so that tensors of one layer at a time are in memory. They wait in
/// a nameless file beside `path`, since a safetensors file begins with what is known only at the end: for a moment the
/// disk holds them twice.
class BITLAW_EXPORT QuantizedFileWriter {
 public:
  /// Error(kIo) where `path` cannot be written.
  explicit QuantizedFileWriter(std::filesystem::path path);
  ~QuantizedFileWriter();

  /// The next layer, without its tensors from here on.
  void Take(QuantizedLayer& layer);
  /// The file, once all layers of `model` were taken.
  void Finish(const QuantizedModel& model, const Value& about);

 private:
  struct Taken;
  std::unique_ptr<Taken> taken_;
};

/// Reads such a file back and verifies both digests. Error(kIo) naming the file if it is missing, cut off, altered,
/// or of another format; a damaged file is never returned in part.
BITLAW_EXPORT QuantizedFile LoadQuantized(const std::filesystem::path& path);

/// The same, and verifies the same, but layers are without their tensors, which QuantizedFile::read gives: those of one
/// layer at a time are in memory. It keeps the file open.
BITLAW_EXPORT QuantizedFile OpenQuantized(const std::filesystem::path& path);

}  // namespace bitlaw
