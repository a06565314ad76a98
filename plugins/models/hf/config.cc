#include "config.h"

#include <algorithm>
#include <array>
#include <optional>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// What a model class of transformers takes where config.json is silent, and which keys it reads at all. Keys without a
// column here have one default for all: rms_norm_eps 1e-6, rope_theta 10000, hidden_act silu, tie_word_embeddings and
// attention_bias and mlp_bias false.
struct Architecture {
  const char* class_name;
  const char* base_name;    ///< The same without a head, as AutoModel saves it.
  const char* name;         ///< model_type.
  enum class Biases { kNone, kAsAttentionBiasSays, kQueriesKeysValues } biases;
  bool mlp_bias;            ///< Reads mlp_bias.
  bool qk_norm;
  int64_t num_kv_heads;     ///< 0: as many as heads.
  bool num_kv_heads_null;   ///< A null means as many as heads; otherwise it is refused.
  int64_t head_dim;         ///< 0: hidden_size / num_attention_heads.
  bool head_dim_null;       ///< A null means hidden_size / num_attention_heads; otherwise it is refused.
  enum class Window { kIgnored, kAlways, kWhereUsed, kWhereUsedInAllBlocks } window;
};

using Biases = Architecture::Biases;
using Window = Architecture::Window;

constexpr std::array<Architecture, 5> kArchitectures = {{
    {"LlamaForCausalLM", "LlamaModel", "llama", Biases::kAsAttentionBiasSays, true, false, 0, true, 0, true,
     Window::kIgnored},
    {"MistralForCausalLM", "MistralModel", "mistral", Biases::kNone, false, false, 8, false, 0, true, Window::kAlways},
    {"Qwen2ForCausalLM", "Qwen2Model", "qwen2", Biases::kQueriesKeysValues, false, false, 32, true, 0, false,
     Window::kWhereUsed},
    {"Qwen3ForCausalLM", "Qwen3Model", "qwen3", Biases::kAsAttentionBiasSays, false, true, 32, true, 128, false,
     Window::kWhereUsed},
    {"Qwen3MoeForCausalLM", "Qwen3MoeModel", "qwen3_moe", Biases::kAsAttentionBiasSays, false, true, 4, false, 0, false,
     Window::kWhereUsedInAllBlocks},
}};

constexpr double kDefaultRmsNormEps = 1e-6;
constexpr double kDefaultRopeTheta = 10000.0;
constexpr int64_t kDefaultSlidingWindow = 4096;
constexpr int64_t kDefaultMaxWindowLayers = 28;

// Reads fields of config.json. A number, flag or string that is null is refused, as in transformers.
class Fields {
 public:
  Fields(const Value& map, std::string where) : map_(map), where_(std::move(where)) {}

  /// Null for a field that is absent or null.
  const Value* Find(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && !found->is_null() ? found : nullptr;
  }
  bool IsNull(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && found->is_null();
  }
  int64_t Int(const char* key) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is missing. It must be an integer.");
    return AsInt(key, *value);
  }
  int64_t IntOr(const char* key, int64_t otherwise) const {
    const Value* value = map_.Find(key);
    return value != nullptr ? AsInt(key, *value) : otherwise;
  }
  double Real(const char* key) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is missing. It must be a number.");
    if (!value->is_number()) Wrong(key, *value, "a number");
    return value->AsReal();
  }
  double RealOr(const char* key, double otherwise) const {
    return map_.Find(key) != nullptr ? Real(key) : otherwise;
  }
  bool BoolOr(const char* key, bool otherwise) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) Wrong(key, *value, "true or false");
    return value->AsBool();
  }
  std::string StringOr(const char* key, const std::string& otherwise) const {
    const Value* value = map_.Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) Wrong(key, *value, "a string");
    return value->AsString();
  }
  [[noreturn]] void Unsupported(const std::string& what) const {
    throw Error(ErrorKind::kUnsupported, where_ + ": " + what);
  }
  [[noreturn]] void Wrong(const char* key, const Value& value, const char* must_be) const {
    throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is " + value.Text() + ". It must be " + must_be + ".");
  }
  const Value::Map& entries() const { return map_.AsMap(); }
  const std::string& where() const { return where_; }

 private:
  int64_t AsInt(const char* key, const Value& value) const {
    if (!value.is_int()) Wrong(key, value, "an integer");
    return value.AsInt();
  }
  const Value& map_;
  std::string where_;
};

const Architecture& FindArchitecture(const Fields& fields) {
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    known += (known.empty() ? "" : ", ") + std::string(architecture.class_name);
  }
  const Value* list = fields.Find("architectures");
  if (list == nullptr || !list->is_list() || list->AsList().size() != 1 || !list->AsList()[0].is_string()) {
    fields.Unsupported("'architectures' does not name one model class. Supported: " + known + ".");
  }
  const std::string& class_name = list->AsList()[0].AsString();
  for (const Architecture& architecture : kArchitectures) {
    if (class_name != architecture.class_name && class_name != architecture.base_name) continue;
    // transformers opens the model that model_type names, whatever class saved it.
    const std::string type = fields.StringOr("model_type", architecture.name);
    if (type != architecture.name) {
      fields.Unsupported("model_type '" + type + "' and architecture '" + class_name +
                         "' name different models. The configuration was edited or belongs to custom code.");
    }
    return architecture;
  }
  fields.Unsupported("architecture '" + class_name + "' is not supported. Supported: " + known + ".");
}

// The one map of rotary settings: rope_scaling (transformers 4) or rope_parameters (5). Null where there is none.
const Value* RopeMap(const Fields& fields, const char** key) {
  const Value* found = nullptr;
  for (const char* candidate : {"rope_parameters", "rope_scaling"}) {
    const Value* map = fields.Find(candidate);
    if (map == nullptr) continue;
    if (!map->is_map()) fields.Wrong(candidate, *map, "a map");
    if (map->AsMap().empty()) continue;
    if (found != nullptr && !(*found == *map)) {
      fields.Unsupported("'rope_parameters' and 'rope_scaling' say different things. Keep the one that is right.");
    }
    found = map;
    *key = candidate;
  }
  return found;
}

void RequireWholeRotation(const Fields& fields) {
  const Value* factor = fields.Find("partial_rotary_factor");
  if (factor != nullptr && fields.Real("partial_rotary_factor") != 1.0) {
    fields.Unsupported("partial_rotary_factor = " + factor->Text() + " is not supported. All of a head must rotate.");
  }
}

// theta stands in the map or beside it.
void ReadRope(const Fields& fields, DecoderConfig& config) {
  RequireWholeRotation(fields);
  config.rope_theta = fields.RealOr("rope_theta", kDefaultRopeTheta);
  const char* key = nullptr;
  const Value* map = RopeMap(fields, &key);
  if (map == nullptr) return;
  const Fields rope(*map, fields.where() + ": " + key);
  for (const auto& [name, value] : rope.entries()) {
    if (value.is_map()) {
      rope.Unsupported("'" + name + "' is a map. Rotary settings for some blocks only are not supported.");
    }
  }
  RequireWholeRotation(rope);
  config.rope_theta = rope.RealOr("rope_theta", config.rope_theta);
  const char* type_key = rope.Find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = rope.Find(type_key) != nullptr ? rope.StringOr(type_key, "") : "default";
  if (type == "default") {
    if (rope.Find("factor") != nullptr && rope.Real("factor") != 1.0) {
      rope.Unsupported("factor = " + rope.Find("factor")->Text() +
                       " has no rope_type that uses it. Name the type: linear, llama3.");
    }
  } else if (type == "linear") {
    const auto factor = static_cast<float>(rope.Real("factor"));
    // Clamped, because the size is only checked with the rest of the configuration.
    config.rope_divisors.assign(static_cast<size_t>(std::clamp<int64_t>(config.head_dim / 2, 0, 1 << 23)), factor);
  } else if (type == "llama3") {
    Llama3RopeScaling scaling;
    scaling.factor = rope.Real("factor");
    scaling.low_freq_factor = rope.Real("low_freq_factor");
    scaling.high_freq_factor = rope.Real("high_freq_factor");
    scaling.original_max_positions = rope.Real("original_max_position_embeddings");
    if (fields.Find("original_max_position_embeddings") != nullptr &&
        fields.Real("original_max_position_embeddings") != scaling.original_max_positions) {
      fields.Unsupported("original_max_position_embeddings stands in 'config.json' and in '" + std::string(key) +
                         "' with different values. Keep the one that is right.");
    }
    config.rope_scaling = scaling;
  } else {
    rope.Unsupported("rope_type '" + type + "' is not supported. Supported: default, linear, llama3.");
  }
}

// The window that some block has, or nullopt if every token sees all before it.
std::optional<int64_t> WindowInUse(const Fields& fields, const Architecture& architecture, int64_t num_blocks) {
  if (architecture.window == Window::kIgnored) return std::nullopt;
  if (architecture.window != Window::kAlways && !fields.BoolOr("use_sliding_window", false)) return std::nullopt;
  if (fields.IsNull("sliding_window")) return std::nullopt;
  const int64_t window = fields.IntOr("sliding_window", kDefaultSlidingWindow);
  // Where blocks are listed, RefuseUnknownMath() has seen that all are of full attention.
  const bool in_upper_blocks_only = architecture.window == Window::kWhereUsed;
  if (in_upper_blocks_only && (fields.Find("layer_types") != nullptr ||
                               fields.IntOr("max_window_layers", kDefaultMaxWindowLayers) >= num_blocks)) {
    return std::nullopt;
  }
  return window;
}

// What would change the numbers and this decoder does not compute.
void RefuseUnknownMath(const Fields& fields, const Architecture& architecture, const DecoderConfig& config) {
  if (fields.Find("quantization_config") != nullptr) {
    fields.Unsupported(
        "'quantization_config' says that the weights are quantized already. Use the original checkpoint, so that the "
        "baseline is one.");
  }
  const std::string activation = fields.StringOr("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {  // Two names of one function.
    fields.Unsupported("hidden_act '" + activation + "' is not supported. Supported: silu.");
  }
  if (const Value* types = fields.Find("layer_types")) {
    if (!types->is_list()) fields.Wrong("layer_types", *types, "a list");
    for (const Value& type : types->AsList()) {
      if (!type.is_string() || type.AsString() != "full_attention") {
        fields.Unsupported("layer_types holds " + type.Text() + ". Every block must be of 'full_attention'.");
      }
    }
  }
  const std::optional<int64_t> window = WindowInUse(fields, architecture, config.num_blocks);
  if (window && *window < config.max_positions) {
    fields.Unsupported("sliding_window = " + std::to_string(*window) +
                       (fields.Find("sliding_window") == nullptr ? " (the default of this model type)" : "") +
                       " is not supported. Every token must see all " + std::to_string(config.max_positions) +
                       " positions.");
  }
}

// Experts in every block; their size stands beside that of a dense feed-forward, which no block has.
void ReadExperts(const Fields& fields, DecoderConfig& config) {
  config.ffn_size = fields.Int("moe_intermediate_size");
  config.num_experts = fields.IntOr("num_experts", fields.IntOr("num_local_experts", 128));
  if (const int64_t local = fields.IntOr("num_local_experts", config.num_experts); local != config.num_experts) {
    fields.Unsupported("num_experts = " + std::to_string(config.num_experts) + " and num_local_experts = " +
                       std::to_string(local) + " are two names of one number. Keep the one that is right.");
  }
  config.experts_per_token = fields.IntOr("num_experts_per_tok", 8);
  config.normalize_expert_weights = fields.BoolOr("norm_topk_prob", false);
  if (const int64_t step = fields.IntOr("decoder_sparse_step", 1); step != 1) {
    fields.Unsupported("decoder_sparse_step = " + std::to_string(step) +
                       " is not supported. Every block must have experts.");
  }
  const Value* dense = fields.Find("mlp_only_layers");
  if (dense != nullptr && (!dense->is_list() || !dense->AsList().empty())) {
    fields.Unsupported("mlp_only_layers = " + dense->Text() + " is not supported. Every block must have experts.");
  }
}

}  // namespace

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
  config.rms_norm_eps = fields.RealOr("rms_norm_eps", kDefaultRmsNormEps);
  config.tied_head = fields.BoolOr("tie_word_embeddings", false);
  config.o_bias = architecture.biases == Biases::kAsAttentionBiasSays && fields.BoolOr("attention_bias", false);
  config.qkv_bias = config.o_bias || architecture.biases == Biases::kQueriesKeysValues;
  config.mlp_bias = architecture.mlp_bias && fields.BoolOr("mlp_bias", false);
  config.qk_norm = architecture.qk_norm;
  if (config.architecture == "qwen3_moe") ReadExperts(fields, config);
  RefuseUnknownMath(fields, architecture, config);
  ReadRope(fields, config);
  CheckDecoderConfig(config, file.string());
  return config;
}

}  // namespace bitlaw
