#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/decoder/rotary_setting.h"

/// The part of the shared decoder that needs no libtorch: its configuration, and which tensors follow from it.

namespace bitlaw {

/// What may differ from block to block.
struct BITLAW_EXPORT BlockSetting {
  enum class Rotation { kRope, kLocalRope, kNone };
  int64_t window = 0;  ///< A token sees itself and the window - 1 tokens before it; 0: all before it.
  Rotation rotation = Rotation::kRope;
  bool is_dense = false;  ///< In a model of experts: one feed-forward of dense_ffn_size instead.
};

/// Where a block normalizes.
enum class NormPlace {
  kBefore,  ///< What attention and feed-forward read: input_layernorm, post_attention_layernorm (Llama).
  kAfter,   ///< What they give: post_attention_layernorm, post_feedforward_layernorm (OLMo 2).
  kBoth,    ///< Both, in four norms: those of kAfter, input_layernorm, pre_feedforward_layernorm (Gemma 2).
};

/// What a gate goes through before it multiplies.
enum class GateActivation {
  kSilu,      ///< x / (1 + exp(-x))
  kGeluTanh,  ///< x / (1 + exp(-2 sqrt(2 / pi) (x + 0.044715 x^3))): GELU with tanh in place of erf
};

/// A causal decoder with RMS norms, rotary positions, grouped-query attention and a gated feed-forward, or experts in
/// place of one in all blocks or some ("qwen3_moe", "mixtral"). Every architecture that bitlaw reads is a value of this.
struct BITLAW_EXPORT DecoderConfig {
  std::string architecture;     ///< "llama", ...: ModelSummary::architecture.
  int64_t vocab_size = 0;       ///< V
  int64_t hidden_size = 0;      ///< D
  int64_t ffn_size = 0;         ///< F; of one expert.
  int64_t dense_ffn_size = 0;   ///< F of the dense blocks of a model of experts.
  int64_t shared_ffn_size = 0;  ///< F of an expert that every token visits, beside the E; 0: there is none (Qwen2-MoE).
  int64_t num_blocks = 0;
  int64_t num_heads = 0;        ///< H
  int64_t num_kv_heads = 0;     ///< H_kv; divides H.
  int64_t head_dim = 0;         ///< Dh; even. H * Dh need not equal D.
  int64_t max_positions = 0;
  NormPlace norm_place = NormPlace::kBefore;
  double rms_norm_eps = 1e-5;
  bool norm_adds_one = false;   ///< Norms multiply by 1 + weight.
  RotarySetting rope;
  RotarySetting local_rope;     ///< Of the blocks whose setting says so.
  std::vector<BlockSetting> blocks;  ///< [num_blocks], or empty: all have the defaults.
  double embedding_scale = 1;   ///< Embeddings are multiplied by it.
  double query_scale = 0;       ///< Queries are multiplied by it; 0: 1 / sqrt(Dh).
  double attention_softcap = 0; ///< c: scores s become c tanh(s / c); 0: they stay.
  double logit_softcap = 0;     ///< The same of the logits.
  GateActivation activation = GateActivation::kSilu;
  bool tied_head = false;       ///< The output head is the input embedding.
  bool qkv_bias = false;        ///< q_proj, k_proj and v_proj have biases.
  bool o_bias = false;          ///< o_proj has one.
  bool mlp_bias = false;        ///< gate_proj, up_proj and down_proj have them.
  int64_t num_experts = 0;      ///< E; 0: dense.
  int64_t experts_per_token = 0;          ///< k; in [1, E] where there are experts.
  bool normalize_expert_weights = false;  ///< The k router shares are divided by their sum.
  bool qk_norm = false;         ///< RMS norm of queries and keys before the rotation, over Dh of each head.
  bool qk_norm_whole = false;   ///< With qk_norm: over all heads together, H Dh and H_kv Dh (OLMo 2).

  BlockSetting block(int64_t i) const { return blocks.empty() ? BlockSetting{} : blocks.at(static_cast<size_t>(i)); }
  bool has_experts(int64_t i) const { return num_experts > 0 && !block(i).is_dense; }
  int64_t num_expert_blocks() const {
    int64_t count = 0;
    for (int64_t i = 0; i < num_blocks; ++i) count += has_experts(i) ? 1 : 0;
    return count;
  }
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
/// Where frequencies depend on a text's length (RotarySetting::OriginalPositions()), max_positions of the summary are
/// those up to which they do not: texts with a common beginning share its keys, whatever their lengths.
/// The caller fills `baseline_note`.
BITLAW_EXPORT ModelSummary SummarizeDecoder(const DecoderConfig& config, const std::vector<StoredTensor>& stored,
                                            const std::string& name, const std::string& where);

}  // namespace bitlaw
