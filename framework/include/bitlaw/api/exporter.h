#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

namespace at {
class Tensor;
}

namespace bitlaw {

struct KvCacheGrid;
class Rotation;
struct QuantizedLinear;

/// One quantized layer of a model that is to be exported.
struct BITLAW_EXPORT ExportLayer {
  const LinearShape& shape;
  const QuantizedLinear& linear;
};

/// One weight of a model that is not quantized and no longer what the checkpoint has: a norm, a bias or the embedding
/// that a transform changed. "lm_head.weight" of a checkpoint whose head is its embedding: here it no longer is.
struct BITLAW_EXPORT ExportWeight {
  const std::string& name;  ///< In the checkpoint.
  const at::Tensor& value;
};

/// A rotation that the model computes in each pass (Block::RotateOnline).
struct BITLAW_EXPORT ExportRotation {
  const std::string& place;
  const Rotation& rotation;
};

/// A quantized model that is to be exported. What it refers to outlives the calls.
struct BITLAW_EXPORT ExportModel {
  const ModelSummary& summary;
  std::span<const ExportLayer> layers;          ///< Empty where the weights stay as they are.
  std::span<const ExportWeight> other_weights{};  ///< They take the place of the checkpoint's.
  const KvCacheGrid* kv_cache = nullptr;        ///< What keys and values are rounded to; null: they are not.
  std::span<const ExportRotation> rotations{};  ///< Without them the weights are another model's.
};

/// Writes a quantized model as a checkpoint that other programs open.
///
/// Threads: const calls are safe from several threads. This header is free of torch.
class BITLAW_EXPORT Exporter {
 public:
  virtual ~Exporter() = default;

  /// Why the format cannot hold this model (grid, group size, activations, KV cache, architecture). Empty exactly when
  /// it can. Looks at shapes and grids, not at codes.
  virtual std::string ExplainUnsupported(const ExportModel& model) const = 0;

  /// Whether its format says what ExportModel::rotations are; otherwise a model that has any is refused before it is
  /// asked.
  virtual bool writes_rotations() const { return false; }

  /// Writes the checkpoint into `folder`, which exists and is empty. What is neither quantized nor among the other
  /// weights (embeddings, tokenizer, untouched norms) comes from `checkpoint`, the model that was quantized. What a
  /// reader dequantizes is QuantizedLinear::Dequantize().
  /// Errors   Error(kUnsupported) with ExplainUnsupported's text; Error(kIo).
  virtual void Export(const std::filesystem::path& checkpoint, const ExportModel& model,
                      const std::filesystem::path& folder) const = 0;
};

/// Why `exporter` cannot write `model`: its own reason, or rotations that its format does not have. Empty exactly when
/// it can.
BITLAW_EXPORT std::string ExplainExport(const Exporter& exporter, const ExportModel& model);

}  // namespace bitlaw
