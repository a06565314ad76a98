#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

struct QuantizedLinear;

/// One quantized layer of a model that is to be exported.
struct BITLAW_EXPORT ExportLayer {
  const LinearShape& shape;
  const QuantizedLinear& linear;
};

/// Writes a quantized model as a checkpoint that other programs open.
///
/// Threads: const calls are safe from several threads. This header is free of torch.
class BITLAW_EXPORT Exporter {
 public:
  virtual ~Exporter() = default;

  /// Why the format cannot hold this model with these layers (grid, group size, activations, architecture). Empty exactly
  /// when it can. Looks at shapes and grids, not at codes.
  virtual std::string ExplainUnsupported(const ModelSummary& model, std::span<const ExportLayer> layers) const = 0;

  /// Writes the checkpoint into `folder`, which exists and is empty. What is not quantized (embeddings, norms, tokenizer)
  /// comes from `checkpoint`, the model that was quantized. What a reader dequantizes is QuantizedLinear::Dequantize().
  /// Errors   Error(kUnsupported) with ExplainUnsupported's text; Error(kIo).
  virtual void Export(const std::filesystem::path& checkpoint, const ModelSummary& model,
                      std::span<const ExportLayer> layers, const std::filesystem::path& folder) const = 0;
};

}  // namespace bitlaw
