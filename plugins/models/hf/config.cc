#include "config.h"

#include <algorithm>
#include <array>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"

namespace bitlaw {

namespace {

struct Architecture {
  const char* class_name;
  const char* name;
  bool qkv_bias;         ///< Always; otherwise as attention_bias says.
  bool qk_norm;
  double rms_norm_eps;   ///< The default where config.json is silent.
};

constexpr std::array<Architecture, 5> kArchitectures = {{{"LlamaForCausalLM", "llama", false, false, 1e-6},
                                                         {"MistralForCausalLM", "mistral", false, false, 1e-6},
                                                         {"Qwen2ForCausalLM", "qwen2", true, false, 1e-6},
                                                         {"Qwen3ForCausalLM", "qwen3", false, true, 1e-6},
                                                         {"Qwen3MoeForCausalLM", "qwen3_moe", false, true, 1e-6}}};

// Reads fields of config.json. A null is the same as an absent field, as in transformers.
class Fields {
 public:
  Fields(const Value& map, std::string where) : map_(map), where_(std::move(where)) {}

  const Value* Find(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && !found->is_null() ? found : nullptr;
  }
  int64_t Int(const char* key) const {
    const Value* value = Find(key);
    if (value == nullptr) throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is missing. It must be an integer.");
    return AsInt(key, *value);
  }
  int64_t IntOr(const char* key, int64_t otherwise) const {
    const Value* value = Find(key);
    return value != nullptr ? AsInt(key, *value) : otherwise;
  }
  double RealOr(const char* key, double otherwise) const {
    const Value* value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) Wrong(key, *value, "a number");
    return value->AsReal();
  }
  bool BoolOr(const char* key, bool otherwise) const {
    const Value* value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) Wrong(key, *value, "true or false");
    return value->AsBool();
  }
  std::string StringOr(const char* key, const std::string& otherwise) const {
    const Value* value = Find(key);
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
    if (class_name == architecture.class_name) return architecture;
  }
  fields.Unsupported("architecture '" + class_name + "' is not supported. Supported: " + known + ".");
}

// rope_parameters (transformers 5) or rope_scaling (4); theta stands in the former or beside the latter.
void ReadRope(const Fields& fields, DecoderConfig& config) {
  config.rope_theta = fields.RealOr("rope_theta", 10000.0);
  const char* key = fields.Find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const Value* map = fields.Find(key);
  if (map == nullptr) return;
  if (!map->is_map()) fields.Wrong(key, *map, "a map");
  const Fields rope(*map, fields.where() + ": " + key);
  config.rope_theta = rope.RealOr("rope_theta", config.rope_theta);
  const std::string type = rope.StringOr("rope_type", rope.StringOr("type", "default"));
  if (type == "default") return;
  if (type == "linear") {
    // Clamped, because the size is only checked with the rest of the configuration.
    config.rope_divisors.assign(static_cast<size_t>(std::clamp<int64_t>(config.head_dim / 2, 0, 1 << 23)),
                                static_cast<float>(rope.RealOr("factor", 1.0)));
  } else if (type == "llama3") {
    Llama3RopeScaling scaling;
    const auto required = [&](const char* name) {
      const Value* value = rope.Find(name);
      if (value == nullptr) throw Error(ErrorKind::kIo, rope.where() + ": '" + name + "' is missing.");
      return rope.RealOr(name, 0.0);
    };
    scaling.factor = required("factor");
    scaling.low_freq_factor = required("low_freq_factor");
    scaling.high_freq_factor = required("high_freq_factor");
    scaling.original_max_positions = required("original_max_position_embeddings");
    config.rope_scaling = scaling;
  } else {
    rope.Unsupported("rope_type '" + type + "' is not supported. Supported: default, linear, llama3.");
  }
}

// What would change the numbers and this decoder does not compute.
void RefuseUnknownMath(const Fields& fields, const DecoderConfig& config) {
  if (fields.Find("quantization_config") != nullptr) {
    fields.Unsupported(
        "'quantization_config' says that the weights are quantized already. Use the original checkpoint, so that the "
        "baseline is one.");
  }
  const std::string activation = fields.StringOr("hidden_act", "silu");
  if (activation != "silu") fields.Unsupported("hidden_act '" + activation + "' is not supported. Supported: silu.");
  const int64_t window = fields.IntOr("sliding_window", 0);
  const bool window_in_use = fields.BoolOr("use_sliding_window", config.architecture == "mistral");
  if (window > 0 && window < config.max_positions && window_in_use) {
    fields.Unsupported("sliding_window = " + std::to_string(window) + " is not supported. Every token must see all " +
                       std::to_string(config.max_positions) + " positions.");
  }
  if (const Value* factor = fields.Find("partial_rotary_factor");
      factor != nullptr && fields.RealOr("partial_rotary_factor", 1.0) != 1.0) {
    fields.Unsupported("partial_rotary_factor = " + factor->Text() + " is not supported. All of a head must rotate.");
  }
}

// Experts in every block; their size stands beside that of a dense feed-forward, which no block has.
void ReadExperts(const Fields& fields, DecoderConfig& config) {
  config.ffn_size = fields.Int("moe_intermediate_size");
  config.num_experts = fields.IntOr("num_experts", fields.IntOr("num_local_experts", 128));
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

Value ReadJsonMap(const std::filesystem::path& file, uint64_t max_bytes) {
  Value value = ParseJson(ReadRegularFile(file, max_bytes), file.string());
  if (!value.is_map()) throw Error(ErrorKind::kIo, file.string() + ": the top level is not a map.");
  return value;
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
  config.num_kv_heads = fields.IntOr("num_key_value_heads", config.num_heads);
  config.head_dim = fields.IntOr("head_dim", config.num_heads > 0 ? config.hidden_size / config.num_heads : 0);
  config.max_positions = fields.Int("max_position_embeddings");
  config.rms_norm_eps = fields.RealOr("rms_norm_eps", architecture.rms_norm_eps);
  config.tied_head = fields.BoolOr("tie_word_embeddings", false);
  const bool attention_bias = fields.BoolOr("attention_bias", false);
  config.qkv_bias = architecture.qkv_bias || attention_bias;
  config.o_bias = !architecture.qkv_bias && attention_bias;
  config.mlp_bias = fields.BoolOr("mlp_bias", false);
  config.qk_norm = architecture.qk_norm;
  if (config.architecture == "qwen3_moe") ReadExperts(fields, config);
  RefuseUnknownMath(fields, config);
  ReadRope(fields, config);
  CheckDecoderConfig(config, file.string());
  return config;
}

}  // namespace bitlaw
