#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

/// The part of the shared decoder that needs no libtorch: its configuration, and which tensors follow from it.

namespace bitlaw {

/// Frequency scaling of Llama 3.1 and later ("rope_type": "llama3").
struct BITLAW_EXPORT Llama3RopeScaling {
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double original_max_positions = 8192.0;
};

/// A pre-norm causal decoder with rotary positions, grouped-query attention and a gated feed-forward, or experts in
/// place of one ("qwen3_moe").
struct BITLAW_EXPORT DecoderConfig {
  std::string architecture;     ///< "llama", ...: ModelSummary::architecture.
  int64_t vocab_size = 0;       ///< V
  int64_t hidden_size = 0;      ///< D
  int64_t ffn_size = 0;         ///< F; of one expert.
  int64_t num_blocks = 0;
  int64_t num_heads = 0;        ///< H
  int64_t num_kv_heads = 0;     ///< H_kv; divides H.
  int64_t head_dim = 0;         ///< Dh; even. H * Dh need not equal D.
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::optional<Llama3RopeScaling> rope_scaling;
  /// Empty, or Dh / 2 numbers that the rotary frequencies are divided by (GGUF stores a scaling in this form).
  std::vector<float> rope_divisors;
  bool tied_head = false;       ///< The output head is the input embedding.
  bool qkv_bias = false;        ///< q_proj, k_proj and v_proj have biases.
  bool o_bias = false;          ///< o_proj has one.
  bool mlp_bias = false;        ///< gate_proj, up_proj and down_proj have them.
  int64_t num_experts = 0;      ///< E; 0: dense.
  int64_t experts_per_token = 0;          ///< k; in [1, E] where there are experts.
  bool normalize_expert_weights = false;  ///< The k router shares are divided by their sum.
  bool qk_norm = false;         ///< RMS norm over Dh of each query and key head before the rotation.
};

/// One tensor as a checkpoint stores it. Names are those of Hugging Face checkpoints, whatever the format:
/// "model.layers.0.self_attn.q_proj.weight".
struct BITLAW_EXPORT StoredTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::string dtype;  ///< "F32", "BF16", "Q4_1", ...
};

/// Error(kIo) "`where`: ..." with every number that is missing, out of range or at odds with another.
BITLAW_EXPORT void CheckDecoderConfig(const DecoderConfig& config, const std::string& where);

/// Every tensor that `config` calls for, in the order in which a forward pass reads them; dtype is empty.
BITLAW_EXPORT std::vector<StoredTensor> ExpectedTensors(const DecoderConfig& config);

/// Compares what is stored with what `config` calls for and describes the model.
///
/// Errors   Error(kIo) "`where`: ..." that lists missing tensors, tensors of another shape, and unused tensors, all
///          in one text. Tolerated by name: rotary buffers ("...rotary_emb.inv_freq") and, with a tied head,
///          "lm_head.weight" of the embedding's shape.
/// The caller fills `baseline_note`.
BITLAW_EXPORT ModelSummary SummarizeDecoder(const DecoderConfig& config, const std::vector<StoredTensor>& stored,
                                            const std::string& name, const std::string& where);

}  // namespace bitlaw
