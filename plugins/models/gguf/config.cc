#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "architectures.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "checkpoint.h"

// What a file's metadata mean as a decoder configuration.

namespace bitlaw {
namespace {

constexpr char kRopeFrequencies[] = "rope_freqs.weight";

}  // namespace

void GgufCheckpoint::ReadArchitecture() {
  const auto name = file_.String("general.architecture");
  if (!name) throw Error(ErrorKind::kIo, file_.where() + ": metadata key 'general.architecture' is missing.");
  architecture_ = FindGgufArchitecture(*name);
  if (architecture_ == nullptr) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": architecture '" + std::string(*name) +
                                             "' is not supported. Supported: " + KnownGgufArchitectures() + ".");
  }
  config_.architecture = *name;
  config_.norm_place = architecture_->norm_place;
  config_.qk_norm_whole = architecture_->qk_norm_whole;
  config_.activation = architecture_->activation;
}

void GgufCheckpoint::ReadConfig() {
  const std::string prefix = config_.architecture + ".";
  const auto required = [&](const char* key) {
    const auto value = file_.Int(prefix + key);
    if (!value) throw Error(ErrorKind::kIo, file_.where() + ": metadata key '" + prefix + key + "' is missing.");
    return *value;
  };
  if (file_.Int(prefix + "expert_count").value_or(0) > 0) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": has " + std::to_string(required("expert_count")) +
                                             " experts a block. Only dense models are supported.");
  }
  config_.hidden_size = required("embedding_length");
  config_.ffn_size = required("feed_forward_length");
  config_.num_blocks = required("block_count");
  config_.num_heads = required("attention.head_count");
  config_.num_kv_heads = file_.Int(prefix + "attention.head_count_kv").value_or(config_.num_heads);
  config_.max_positions = required("context_length");
  config_.head_dim = file_.Int(prefix + "attention.key_length")
                         .value_or(config_.num_heads > 0 ? config_.hidden_size / config_.num_heads : 0);
  const std::string epsilon = prefix + "attention.layer_norm_rms_epsilon";
  if (!file_.Has(epsilon)) {
    throw Error(ErrorKind::kIo, file_.where() + ": metadata key '" + epsilon + "' is missing.");
  }
  config_.rms_norm_eps = *file_.Real(epsilon);
  config_.rope.theta = file_.Real(prefix + "rope.freq_base").value_or(10000.0);
  const int64_t rotated = file_.Int(prefix + "rope.dimension_count").value_or(config_.head_dim);
  if (architecture_->long_rope) {
    config_.rope.dims = rotated;
  } else if (rotated != config_.head_dim) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": rotates " + std::to_string(rotated) + " of " +
                                             std::to_string(config_.head_dim) +
                                             " dimensions of a head. All of them must rotate.");
  }
  ReadRope();
  RefuseUnknownMath();
  const auto embedding = tensors_.find("model.embed_tokens.weight");
  if (embedding != tensors_.end() && embedding->second.shape.size() == 2) {
    config_.vocab_size = embedding->second.shape[0];
  } else {
    throw Error(ErrorKind::kIo, file_.where() + ": tensor 'token_embd.weight' is missing or no matrix.");
  }
  const auto has = [&](const char* name) { return tensors_.count(std::string("model.layers.0.") + name) > 0; };
  config_.tied_head = tensors_.count("lm_head.weight") == 0;
  config_.qkv_bias = has("self_attn.q_proj.bias");
  config_.o_bias = has("self_attn.o_proj.bias");
  config_.mlp_bias = has("mlp.gate_proj.bias");
  config_.qk_norm = has("self_attn.q_norm.weight");
  ReadBlocks();
  ReadScales();
  CheckDecoderConfig(config_, file_.where());
}

// Which blocks have a window, and how they rotate.
void GgufCheckpoint::ReadBlocks() {
  const std::string prefix = config_.architecture + ".";
  const int64_t blocks = std::clamp<int64_t>(config_.num_blocks, 0, 1 << 16);
  config_.blocks.assign(static_cast<size_t>(blocks), BlockSetting{});
  int64_t window = 0;
  if (architecture_->window_period > 0) {
    window = file_.Int(prefix + "attention.sliding_window").value_or(architecture_->default_window);
    const std::string pattern = prefix + "attention.sliding_window_pattern";
    if (file_.Has(pattern) && file_.Int(pattern) != architecture_->window_period) {
      throw Error(ErrorKind::kUnsupported, file_.where() + ": '" + pattern + "' is not " +
                                               std::to_string(architecture_->window_period) + ", which " +
                                               config_.architecture + " has.");
    }
  }
  const double local_theta = architecture_->local_rope_theta;
  if (local_theta > 0) config_.local_rope.theta = file_.Real(prefix + "rope.freq_base_swa").value_or(local_theta);
  for (int64_t i = 0; i < blocks; ++i) {
    BlockSetting& block = config_.blocks[static_cast<size_t>(i)];
    const int64_t period = architecture_->window_period, step = architecture_->no_rope_period;
    if (window > 0 && (period == 1 || (i + 1) % period != 0)) {
      block.window = window;
      if (local_theta > 0) block.rotation = BlockSetting::Rotation::kLocalRope;
    }
    if (step > 0 && (i + 1) % step == 0) block.rotation = BlockSetting::Rotation::kNone;
  }
  const bool is_uniform = std::all_of(config_.blocks.begin(), config_.blocks.end(), [](const BlockSetting& block) {
    return block.window == 0 && block.rotation == BlockSetting::Rotation::kRope;
  });
  if (is_uniform) config_.blocks.clear();
}

void GgufCheckpoint::ReadScales() {
  const std::string prefix = config_.architecture + ".";
  const auto width = static_cast<double>(config_.hidden_size);
  if (architecture_->scales_embedding) config_.embedding_scale = std::sqrt(width);
  if (architecture_->blocks_of_wide_heads == config_.num_blocks && config_.num_heads > 0) {
    config_.query_scale = 1 / std::sqrt(width / static_cast<double>(config_.num_heads));
  }
  if (!architecture_->softcaps) return;
  config_.attention_softcap = file_.Real(prefix + "attn_logit_softcapping").value_or(50);
  config_.logit_softcap = file_.Real(prefix + "final_logit_softcapping").value_or(30);
}

// Settings that change what the model computes; llama.cpp reads them for other architectures.
void GgufCheckpoint::RefuseUnknownMath() const {
  const std::string prefix = config_.architecture + ".";
  const auto unsupported = [&](const std::string& what) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": " + what);
  };
  const int64_t window = file_.Int(prefix + "attention.sliding_window").value_or(0);
  if (architecture_->window_period == 0 && window > 0 && window < config_.max_positions) {
    unsupported("'" + prefix + "attention.sliding_window' is " + std::to_string(window) +
                ". Every token must see all " + std::to_string(config_.max_positions) + " positions.");
  }
  if (!file_.Bool(prefix + "attention.causal").value_or(true)) {
    unsupported("'" + prefix + "attention.causal' is false. Only causal models are supported.");
  }
  for (const char* key : {"attention.scale", "attention.clamp_kqv", "attention.temperature_scale",
                          "attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "embedding_scale",
                          "residual_scale"}) {
    if (architecture_->softcaps && std::string_view(key).ends_with("softcapping")) continue;
    if (const double value = file_.Real(prefix + key).value_or(0.0); value != 0.0) {
      unsupported("'" + prefix + key + "' is " + Value(value).Text() + ", which bitlaw does not compute.");
    }
  }
}

// llama.cpp's rules: a factor alone is linear, and so is the key from before there were types. It also reads the type
// linear without a factor as no scaling: there the factor may have been lost, so it is refused.
void GgufCheckpoint::ReadRope() {
  const std::string prefix = config_.architecture + ".rope.";
  const auto unsupported = [&](const std::string& what) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": " + what);
  };
  static constexpr std::array<std::string_view, 8> kKnown = {
      "dimension_count", "freq_base",           "scale_linear",       "scaling.type",
      "scaling.factor",  "scaling.attn_factor", "scaling.finetuned", "scaling.original_context_length"};
  for (const std::string& key : file_.Keys(prefix)) {
    if (architecture_->local_rope_theta > 0 && key == prefix + "freq_base_swa") continue;
    if (std::find(kKnown.begin(), kKnown.end(), std::string_view(key).substr(prefix.size())) == kKnown.end()) {
      unsupported("metadata key '" + key + "' is a rotary setting that bitlaw does not compute.");
    }
  }
  if (architecture_->long_rope && ReadLongRope()) return;
  if (const double scale = file_.Real(prefix + "scaling.attn_factor").value_or(1.0); scale != 1.0) {
    unsupported("'" + prefix + "scaling.attn_factor' is " + Value(scale).Text() + ". Only 1 is supported.");
  }
  const std::string type(file_.String(prefix + "scaling.type").value_or("linear"));
  if (type != "none" && type != "linear") {
    unsupported("rope scaling '" + type + "' is not supported. Supported: none, linear, and rope_freqs.weight.");
  }
  // A factor of 0 means none.
  std::optional<double> factor = file_.Real(prefix + "scaling.factor");
  if (!factor) factor = file_.Real(prefix + "scale_linear");
  if (!factor && file_.String(prefix + "scaling.type") == "linear") {
    throw Error(ErrorKind::kIo, file_.where() + ": '" + prefix + "scaling.type' is linear, and '" + prefix +
                                    "scaling.factor' is missing. Convert the model again.");
  }
  const int64_t dims = config_.rope.RotatedDims(config_.head_dim);
  const auto pairs = static_cast<size_t>(std::clamp<int64_t>(dims / 2, 0, 1 << 23));
  if (type == "linear" && factor.value_or(0.0) != 0.0 && *factor != 1.0) {
    config_.rope.divisors.assign(pairs, static_cast<float>(*factor));
  }
  if (tensors_.count(kRopeFrequencies) == 0) return;
  if (config_.architecture != "llama") {
    unsupported("has '" + std::string(kRopeFrequencies) + "', which llama.cpp does not apply to " +
                config_.architecture + ".");
  }
  // The one tensor that is configuration: Dh / 2 divisors (Llama 3's scaling), on top of a factor.
  const std::vector<float> divisor = TakeRotaryNumbers(kRopeFrequencies, config_.head_dim);
  if (config_.rope.divisors.empty()) config_.rope.divisors.assign(pairs, 1.0f);
  for (size_t j = 0; j < pairs; ++j) config_.rope.divisors[j] *= divisor[j];
}

// A tensor of a number a rotating pair, which is no weight.
std::vector<float> GgufCheckpoint::TakeRotaryNumbers(const std::string& name, int64_t dims) {
  const auto found = tensors_.find(name);
  int64_t elements = 1;
  for (const int64_t size : found->second.shape) elements = elements > (1 << 24) ? elements : elements * size;
  if (elements != dims / 2) {
    throw Error(ErrorKind::kIo, file_.where() + ": tensor '" + name + "' has " + std::to_string(elements) +
                                    " elements. " + (dims == config_.head_dim ? "head_dim" : "rope.dimension_count") +
                                    " = " + std::to_string(dims) + " takes " + std::to_string(dims / 2) + ".");
  }
  const at::Tensor numbers = Load(name, at::kFloat).contiguous();
  tensors_.erase(found);
  return {numbers.data_ptr<float>(), numbers.data_ptr<float>() + elements};
}

// Whether there are factors for long and short texts; then they are the scaling.
bool GgufCheckpoint::ReadLongRope() {
  constexpr char kLong[] = "rope_factors_long.weight", kShort[] = "rope_factors_short.weight";
  if (tensors_.count(kLong) == 0 || tensors_.count(kShort) == 0) return false;
  const std::string prefix = config_.architecture + ".rope.scaling.";
  LongRopeScaling scaling;
  scaling.long_factors = TakeRotaryNumbers(kLong, config_.rope.RotatedDims(config_.head_dim));
  scaling.short_factors = TakeRotaryNumbers(kShort, config_.rope.RotatedDims(config_.head_dim));
  scaling.original_max_positions =
      static_cast<double>(file_.Int(prefix + "original_context_length").value_or(config_.max_positions));
  scaling.attention_factor = file_.Real(prefix + "attn_factor").value_or(1.0);
  config_.rope.scaling = scaling;
  return true;
}

}  // namespace bitlaw
