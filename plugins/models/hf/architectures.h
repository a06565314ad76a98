#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "bitlaw/sdk/decoder/decoder_config.h"
#include "fields.h"

namespace bitlaw {

/// What a model class of transformers computes, what it takes where config.json is silent, and which keys it reads at
/// all. The members' defaults are those of most classes.
struct Architecture {
  const char* class_name;
  const char* base_name;  ///< The same without a head, as AutoModel saves it.
  const char* name;       ///< model_type.

  /// kQueriesKeysValues unless qkv_bias, where the class reads it, is false.
  enum class Biases { kNone, kAsAttentionBiasSays, kQueriesKeysValues } biases = Biases::kNone;
  bool reads_qkv_bias = false;
  bool mlp_bias = false;  ///< Reads mlp_bias.
  bool qk_norm = false, qk_norm_whole = false;
  int64_t num_kv_heads = 0;        ///< 0: as many as heads.
  bool num_kv_heads_null = true;   ///< A null means as many as heads; otherwise it is refused.
  int64_t head_dim = 0;            ///< 0: hidden_size / num_attention_heads.
  bool head_dim_null = true;       ///< A null means hidden_size / num_attention_heads; otherwise it is refused.

  /// Which blocks have a sliding window.
  enum class Window {
    kNone,            ///< None: sliding_window is not read.
    kEverywhere,      ///< All, unless sliding_window is null.
    kUsed,            ///< All, where use_sliding_window is true.
    kUsedInUpper,     ///< Those from max_window_layers on, or as layer_types says, where use_sliding_window is true.
    kUsedInLowerOdd,  ///< The first and every other one below max_window_layers, or as layer_types says, likewise.
    kUsedWithoutRope, ///< Those that do not rotate, or as layer_types says, where use_sliding_window is true.
    kByPattern,       ///< As layer_types says; without it all but every `window_pattern`-th.
  } window = Window::kNone;
  int64_t default_window = 0;  ///< 0: none.
  int64_t window_pattern = 0;

  NormPlace norm_place = NormPlace::kBefore;
  bool norm_adds_one = false;
  double rms_norm_eps = 1e-6;
  bool tied_head = false;
  bool scales_embedding = false;  ///< By sqrt(hidden_size).
  bool scales_queries = false;    ///< By 1 / sqrt(query_pre_attn_scalar), 256 by default.
  double attention_softcap = 0, logit_softcap = 0;          ///< Where the configuration is silent.
  bool reads_attention_softcap = false, reads_logit_softcap = false;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";

  double rope_theta = 10000.0;
  double local_rope_theta = 0;   ///< 0: one setting for all blocks. Otherwise windowed blocks have their own.
  bool skips_rope = false;       ///< Reads no_rope_layers.
  bool partial_rope = false;     ///< Reads partial_rotary_factor; its scaling is longrope or none.

  enum class Experts { kNone, kQwen, kMixtral } experts = Experts::kNone;
  int64_t num_experts = 0, experts_per_token = 0, shared_ffn_size = 0;  ///< Where the configuration is silent.
};

std::span<const Architecture> Architectures();

/// The one that config.json names. Error(kUnsupported) for another, with those that are known.
const Architecture& FindArchitecture(const Fields& fields);

}  // namespace bitlaw
