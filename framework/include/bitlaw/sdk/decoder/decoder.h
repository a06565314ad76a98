#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>

#include "bitlaw/api/model.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/decoder/decoder_config.h"

namespace bitlaw {

/// Where a decoder's weights come from: one implementation a checkpoint format.
class BITLAW_EXPORT WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// The tensor of this name (as ExpectedTensors() spells it) in `dtype` (float32 or bfloat16), in its stored shape
  /// and on the CPU. A view of the mapped file where the stored dtype is `dtype`, otherwise a converted copy.
  /// Only called with names that SummarizeDecoder() has seen. Safe from several threads.
  virtual at::Tensor Load(const std::string& name, at::ScalarType dtype) const = 0;

  /// What the inputs of a linear layer are rounded to, in a checkpoint whose inputs are quantized as well. `layer` as
  /// LinearShape::name has it. Safe from several threads.
  virtual std::optional<ActivationGrid> InputGrid(const std::string& /*layer*/) const { return std::nullopt; }
};

/// A model of `config` over `weights`. Returns at once: the embedding, the head and each block are loaded when they
/// are first used.
///
/// Errors   Error(kSpec) for a device that libtorch does not know, Error(kUnsupported) for one that is not here;
///          Error(kIo) if the tokenizer has more entries than the model.
BITLAW_EXPORT std::unique_ptr<Model> OpenDecoder(const DecoderConfig& config, ModelSummary summary,
                                                 std::unique_ptr<WeightSource> weights,
                                                 std::unique_ptr<Tokenizer> tokenizer, const ComputeSetting& compute);

/// The rotary frequencies of a text of `tokens` tokens, [d / 2] float32, in radians a position. `tokens` matters where
/// RotarySetting::OriginalPositions() says so; 0: a short text.
BITLAW_EXPORT at::Tensor RotaryFrequencies(const RotarySetting& rope, int64_t head_dim, int64_t tokens = 0);

}  // namespace bitlaw
