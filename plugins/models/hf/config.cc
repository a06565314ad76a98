#include "config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "architectures.h"
#include "bitlaw/base/error.h"
#include "fields.h"
#include "rope.h"

namespace bitlaw {

namespace {

using Biases = Architecture::Biases;
using Window = Architecture::Window;

constexpr int64_t kDefaultMaxWindowLayers = 28;
constexpr int64_t kDefaultNoRopeInterval = 4;
constexpr int64_t kMostBlocks = 1 << 16;  // Of lists; how many blocks there may be is checked with the rest.

int64_t BlocksOf(const DecoderConfig& config) { return std::clamp<int64_t>(config.num_blocks, 0, kMostBlocks); }

// Which blocks layer_types gives a window; empty where it is absent or null.
std::vector<bool> LayerTypes(const Fields& fields, const DecoderConfig& config) {
  const Value* types = fields.Find("layer_types");
  if (types == nullptr) return {};
  if (!types->is_list()) fields.Wrong("layer_types", *types, "a list");
  std::vector<bool> windowed;
  for (const Value& type : types->AsList()) {
    const bool is_sliding = type.is_string() && type.AsString() == "sliding_attention";
    if (!is_sliding && (!type.is_string() || type.AsString() != "full_attention")) {
      fields.Unsupported("layer_types holds " + type.Text() +
                         ". Supported: 'full_attention' and 'sliding_attention'.");
    }
    windowed.push_back(is_sliding);
  }
  if (static_cast<int64_t>(windowed.size()) != config.num_blocks) {
    fields.Unsupported("layer_types names " + std::to_string(windowed.size()) + " blocks, num_hidden_layers is " +
                       std::to_string(config.num_blocks) + ".");
  }
  return windowed;
}

bool HasSliding(const std::vector<bool>& windowed) {
  return std::find(windowed.begin(), windowed.end(), true) != windowed.end();
}

// Which blocks have a window where layer_types does not say.
bool HasWindow(const Fields& fields, const Architecture& architecture, const DecoderConfig& config, int64_t i) {
  switch (architecture.window) {
    case Window::kNone: return false;
    case Window::kEverywhere:
    case Window::kUsed: return true;
    case Window::kUsedInUpper: return i >= fields.IntOr("max_window_layers", kDefaultMaxWindowLayers);
    case Window::kUsedInLowerOdd: return i % 2 == 0 && i < fields.IntOr("max_window_layers", kDefaultMaxWindowLayers);
    case Window::kUsedWithoutRope: return config.block(i).rotation == BlockSetting::Rotation::kNone;
    case Window::kByPattern: {
      // Gemma 3 alone reads the key.
      const int64_t pattern = architecture.local_rope_theta == 0
                                  ? architecture.window_pattern
                                  : fields.IntOr("sliding_window_pattern", architecture.window_pattern);
      if (pattern < 1) fields.Wrong("sliding_window_pattern", *fields.Find("sliding_window_pattern"), "positive");
      return (i + 1) % pattern != 0;
    }
  }
  return false;
}

// Sets the windows of config.blocks, whose rotations are known.
void ReadWindows(const Fields& fields, const Architecture& architecture, DecoderConfig& config) {
  const std::vector<bool> listed = LayerTypes(fields, config);
  const bool reads_list = architecture.window == Window::kUsedInUpper || architecture.window == Window::kByPattern ||
                          architecture.window == Window::kUsedInLowerOdd ||
                          architecture.window == Window::kUsedWithoutRope;
  if (!reads_list && HasSliding(listed)) {
    fields.Unsupported(std::string("layer_types holds 'sliding_attention', which ") + architecture.name +
                       " does not read. The configuration was edited or belongs to custom code.");
  }
  if (architecture.window == Window::kNone) return;
  const bool is_optional = architecture.window != Window::kEverywhere && architecture.window != Window::kByPattern;
  const bool is_used = !is_optional || fields.BoolOr("use_sliding_window", false);
  const bool is_null = fields.IsNull("sliding_window") ||
                       (architecture.default_window == 0 && fields.Find("sliding_window") == nullptr);
  if (!is_used || (is_null && architecture.window != Window::kByPattern)) {
    if (reads_list && HasSliding(listed)) {
      fields.Unsupported("layer_types holds 'sliding_attention', and no sliding_window is in use. Set "
                         "use_sliding_window and sliding_window, or list 'full_attention'.");
    }
    return;
  }
  const int64_t window = fields.IntOr("sliding_window", architecture.default_window);
  if (window < 1) fields.Wrong("sliding_window", *fields.Find("sliding_window"), "positive");
  for (int64_t i = 0; i < BlocksOf(config); ++i) {
    const bool is_windowed = reads_list && !listed.empty() ? listed[static_cast<size_t>(i)]
                                                           : HasWindow(fields, architecture, config, i);
    BlockSetting& block = config.blocks.at(static_cast<size_t>(i));
    if (is_windowed) block.window = window;
    if (is_windowed && architecture.local_rope_theta != 0) block.rotation = BlockSetting::Rotation::kLocalRope;
  }
}

// Sets the rotations of config.blocks that are none: no_rope_layers has a 0 for them.
void ReadNoRopeLayers(const Fields& fields, const Architecture& architecture, DecoderConfig& config) {
  if (!architecture.skips_rope) return;
  const Value* list = fields.Find("no_rope_layers");
  if (list != nullptr && !list->is_list()) fields.Wrong("no_rope_layers", *list, "a list of 0 and 1");
  if (list != nullptr && static_cast<int64_t>(list->AsList().size()) < config.num_blocks) {
    fields.Unsupported("no_rope_layers names " + std::to_string(list->AsList().size()) +
                       " blocks, num_hidden_layers is " + std::to_string(config.num_blocks) + ".");
  }
  const int64_t interval = fields.IntOr("no_rope_layer_interval", kDefaultNoRopeInterval);
  if (interval < 1) fields.Wrong("no_rope_layer_interval", *fields.Find("no_rope_layer_interval"), "positive");
  for (int64_t i = 0; i < BlocksOf(config); ++i) {
    bool rotates = (i + 1) % interval != 0;
    if (list != nullptr) {
      const Value& flag = list->AsList()[static_cast<size_t>(i)];
      if (!flag.is_int() || (flag.AsInt() != 0 && flag.AsInt() != 1)) {
        fields.Wrong("no_rope_layers", *list, "a list of 0 and 1");
      }
      rotates = flag.AsInt() == 1;
    }
    if (!rotates) config.blocks.at(static_cast<size_t>(i)).rotation = BlockSetting::Rotation::kNone;
  }
}

// Sets which of config.blocks are dense: every decoder_sparse_step-th has experts but those of mlp_only_layers.
void ReadDenseBlocks(const Fields& fields, const Architecture& architecture, DecoderConfig& config) {
  if (architecture.experts != Architecture::Experts::kQwen || config.num_experts <= 0) return;
  const int64_t step = fields.IntOr("decoder_sparse_step", 1);
  if (step < 1) fields.Wrong("decoder_sparse_step", *fields.Find("decoder_sparse_step"), "positive");
  for (int64_t i = 0; i < BlocksOf(config); ++i) {
    config.blocks.at(static_cast<size_t>(i)).is_dense = (i + 1) % step != 0;
  }
  if (const Value* dense = fields.Find("mlp_only_layers")) {
    if (!dense->is_list()) fields.Wrong("mlp_only_layers", *dense, "a list of block numbers");
    for (const Value& block : dense->AsList()) {
      if (!block.is_int()) fields.Wrong("mlp_only_layers", *dense, "a list of block numbers");
      // transformers passes by numbers of blocks that are not there.
      if (block.AsInt() < 0 || block.AsInt() >= BlocksOf(config)) continue;
      config.blocks.at(static_cast<size_t>(block.AsInt())).is_dense = true;
    }
  }
  if (config.num_blocks < 1 || config.num_expert_blocks() > 0) return;
  // Nothing is left of the experts.
  config.num_experts = config.experts_per_token = config.shared_ffn_size = 0;
  config.ffn_size = std::exchange(config.dense_ffn_size, 0);
  for (BlockSetting& block : config.blocks) block.is_dense = false;
}

void ReadBlocks(const Fields& fields, const Architecture& architecture, DecoderConfig& config) {
  config.blocks.assign(static_cast<size_t>(BlocksOf(config)), BlockSetting{});
  ReadNoRopeLayers(fields, architecture, config);
  ReadWindows(fields, architecture, config);
  ReadDenseBlocks(fields, architecture, config);
  const bool is_uniform = std::all_of(config.blocks.begin(), config.blocks.end(), [](const BlockSetting& block) {
    return block.window == 0 && block.rotation == BlockSetting::Rotation::kRope && !block.is_dense;
  });
  if (is_uniform) config.blocks.clear();
}

GateActivation ReadActivation(const Fields& fields, const Architecture& architecture) {
  const std::string name = fields.StringOr(architecture.activation_key, architecture.activation);
  if (name == "silu" || name == "swish") return GateActivation::kSilu;  // Two names of one function.
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return GateActivation::kGeluTanh;
  // The first Gemma's files say so and mean the other.
  if (name == "gelu" && std::string(architecture.name) == "gemma") return GateActivation::kGeluTanh;
  fields.Unsupported(std::string(architecture.activation_key) + " '" + name +
                     "' is not supported. Supported: silu, gelu_pytorch_tanh.");
}

// What multiplies or bounds numbers on their way.
void ReadScales(const Fields& fields, const Architecture& architecture, DecoderConfig& config) {
  config.norm_place = architecture.norm_place;
  config.norm_adds_one = architecture.norm_adds_one;
  config.activation = ReadActivation(fields, architecture);
  if (architecture.scales_embedding) config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  if (architecture.scales_queries) {
    const double size = fields.RealOr("query_pre_attn_scalar", 256);
    if (!(size > 0)) fields.Wrong("query_pre_attn_scalar", *fields.Find("query_pre_attn_scalar"), "positive");
    config.query_scale = 1 / std::sqrt(size);
  }
  const auto cap = [&](const char* key, double otherwise) {
    if (fields.IsNull(key)) return 0.0;
    const double value = fields.RealOr(key, otherwise);
    if (fields.Find(key) != nullptr && !(value > 0)) fields.Wrong(key, *fields.Find(key), "positive, or null for none");
    return value;
  };
  if (architecture.reads_logit_softcap) {
    config.logit_softcap = cap("final_logit_softcapping", architecture.logit_softcap);
  }
  if (architecture.reads_attention_softcap) {
    config.attention_softcap = cap("attn_logit_softcapping", architecture.attention_softcap);
  } else if (architecture.reads_logit_softcap && fields.Find("attn_logit_softcapping") != nullptr) {
    fields.Unsupported(std::string("attn_logit_softcapping is given, which the public implementation of ") +
                       architecture.name + " does not apply. Set it to null.");
  }
}

// What would change the numbers and this decoder does not compute.
void RefuseUnknownMath(const Fields& fields) {
  if (fields.Find("use_bidirectional_attention") != nullptr && fields.BoolOr("use_bidirectional_attention", false)) {
    fields.Unsupported("use_bidirectional_attention is true. Only causal models are supported.");
  }
}

// Qwen's size of an expert stands beside that of the dense blocks.
void ReadExperts(const Fields& fields, const Architecture& architecture, DecoderConfig& config) {
  if (architecture.experts == Architecture::Experts::kNone) return;
  if (architecture.experts == Architecture::Experts::kMixtral) {
    config.num_experts = fields.IntOr("num_local_experts", architecture.num_experts);
    config.experts_per_token = fields.IntOr("num_experts_per_tok", architecture.experts_per_token);
    config.normalize_expert_weights = true;
    return;
  }
  config.num_experts = fields.IntOr("num_experts", fields.IntOr("num_local_experts", architecture.num_experts));
  if (const int64_t local = fields.IntOr("num_local_experts", config.num_experts); local != config.num_experts) {
    fields.Unsupported("num_experts = " + std::to_string(config.num_experts) + " and num_local_experts = " +
                       std::to_string(local) + " are two names of one number. Keep the one that is right.");
  }
  if (config.num_experts == 0) return;  // A model of the kind without experts is dense.
  config.dense_ffn_size = std::exchange(config.ffn_size, fields.Int("moe_intermediate_size"));
  config.experts_per_token = fields.IntOr("num_experts_per_tok", architecture.experts_per_token);
  if (architecture.shared_ffn_size > 0) {
    config.shared_ffn_size = fields.IntOr("shared_expert_intermediate_size", architecture.shared_ffn_size);
    if (config.shared_ffn_size < 1) {
      fields.Wrong("shared_expert_intermediate_size", *fields.Find("shared_expert_intermediate_size"), "positive");
    }
  }
  config.normalize_expert_weights = fields.BoolOr("norm_topk_prob", false);
}

// Gemma 3 of 4 billion parameters and more. Its files leave out what Gemma3TextConfig of transformers has by default.
constexpr char kGemma3[] = "Gemma3ForConditionalGeneration", kGemma3Type[] = "gemma3";

Value Gemma3Defaults() {
  return Value::Map{{"architectures", Value::List{"Gemma3ForCausalLM"}},
                    {"model_type", "gemma3_text"},
                    {"vocab_size", 262208},
                    {"hidden_size", 2304},
                    {"intermediate_size", 9216},
                    {"num_hidden_layers", 26},
                    {"num_attention_heads", 8},
                    {"max_position_embeddings", 131072}};
}

}  // namespace

bool ReadsImages(const Value& config) {
  const Value* classes = config.Find("architectures");
  const Value* type = config.Find("model_type");
  return classes != nullptr && classes->is_list() && classes->AsList().size() == 1 && classes->AsList()[0].is_string() &&
         classes->AsList()[0].AsString() == kGemma3 && type != nullptr && type->is_string() &&
         type->AsString() == kGemma3Type;
}

Value TextConfigOf(const Value& config, const std::string& where) {
  if (!ReadsImages(config)) return config;
  const Value* text = config.Find("text_config");
  if (text == nullptr || !text->is_map()) {
    throw Error(ErrorKind::kIo, where + ": 'text_config' is " + (text == nullptr ? "missing" : text->Text()) +
                                    ". It must be a map, of the model that reads text.");
  }
  Value result = Gemma3Defaults();
  for (const auto& [key, value] : text->AsMap()) {
    if (key != "architectures") result.Set(key, value);
  }
  for (const char* key : {"tie_word_embeddings", "quantization_config"}) {
    if (const Value* value = config.Find(key)) result.Set(key, *value);
  }
  return result;
}

bool IsOfImages(std::string_view tensor) {
  constexpr std::string_view kModel = "model.";
  if (tensor.starts_with(kModel)) tensor.remove_prefix(kModel.size());
  return tensor.starts_with("vision_tower.") || tensor.starts_with("multi_modal_projector.");
}

DecoderConfig ReadHfConfig(const Value& json, const std::filesystem::path& file) {
  const Fields fields(json, file.string());
  const Architecture& architecture = FindArchitecture(fields);
  DecoderConfig config;
  config.architecture = architecture.name;
  config.vocab_size = fields.Int("vocab_size");
  config.hidden_size = fields.Int("hidden_size");
  config.ffn_size = fields.Int("intermediate_size");
  config.num_blocks = fields.Int("num_hidden_layers");
  config.num_heads = fields.Int("num_attention_heads");
  const auto int_or = [&](const char* key, int64_t stated, bool null_counts, int64_t computed) {
    if (null_counts && fields.IsNull(key)) return computed;
    return fields.IntOr(key, stated != 0 ? stated : computed);
  };
  config.num_kv_heads =
      int_or("num_key_value_heads", architecture.num_kv_heads, architecture.num_kv_heads_null, config.num_heads);
  config.head_dim = int_or("head_dim", architecture.head_dim, architecture.head_dim_null,
                           config.num_heads > 0 ? config.hidden_size / config.num_heads : 0);
  config.max_positions = fields.Int("max_position_embeddings");
  config.rms_norm_eps = fields.RealOr("rms_norm_eps", architecture.rms_norm_eps);
  config.tied_head = fields.BoolOr("tie_word_embeddings", architecture.tied_head);
  config.o_bias = architecture.biases == Biases::kAsAttentionBiasSays && fields.BoolOr("attention_bias", false);
  config.qkv_bias = config.o_bias || (architecture.biases == Biases::kQueriesKeysValues &&
                                      (!architecture.reads_qkv_bias || fields.BoolOr("qkv_bias", true)));
  config.mlp_bias = architecture.mlp_bias && fields.BoolOr("mlp_bias", false);
  config.qk_norm = architecture.qk_norm;
  config.qk_norm_whole = architecture.qk_norm_whole;
  RefuseUnknownMath(fields);
  ReadScales(fields, architecture, config);
  ReadExperts(fields, architecture, config);
  ReadBlocks(fields, architecture, config);
  ReadRope(fields, architecture, config);
  CheckDecoderConfig(config, file.string());
  return config;
}

}  // namespace bitlaw
