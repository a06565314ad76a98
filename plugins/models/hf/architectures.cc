#include "architectures.h"

#include <array>

namespace bitlaw {
namespace {

using Biases = Architecture::Biases;
using Experts = Architecture::Experts;
using Window = Architecture::Window;

constexpr std::array<Architecture, 13> kArchitectures = {{
    {.class_name = "LlamaForCausalLM", .base_name = "LlamaModel", .name = "llama",
     .biases = Biases::kAsAttentionBiasSays, .mlp_bias = true},
    {.class_name = "MistralForCausalLM", .base_name = "MistralModel", .name = "mistral", .num_kv_heads = 8,
     .num_kv_heads_null = false, .window = Window::kEverywhere, .default_window = 4096},
    {.class_name = "MixtralForCausalLM", .base_name = "MixtralModel", .name = "mixtral", .num_kv_heads = 8,
     .num_kv_heads_null = false, .window = Window::kEverywhere, .rms_norm_eps = 1e-5, .rope_theta = 1e6,
     .experts = Experts::kMixtral, .num_experts = 8, .experts_per_token = 2},
    {.class_name = "Qwen2ForCausalLM", .base_name = "Qwen2Model", .name = "qwen2",
     .biases = Biases::kQueriesKeysValues, .num_kv_heads = 32, .head_dim_null = false, .window = Window::kUsedInUpper,
     .default_window = 4096},
    {.class_name = "Qwen2MoeForCausalLM", .base_name = "Qwen2MoeModel", .name = "qwen2_moe",
     .biases = Biases::kQueriesKeysValues, .reads_qkv_bias = true, .num_kv_heads = 16, .head_dim_null = false,
     .window = Window::kUsedInLowerOdd, .default_window = 4096, .experts = Experts::kQwen, .num_experts = 60,
     .experts_per_token = 4, .shared_ffn_size = 5632},
    {.class_name = "Qwen3ForCausalLM", .base_name = "Qwen3Model", .name = "qwen3",
     .biases = Biases::kAsAttentionBiasSays, .qk_norm = true, .num_kv_heads = 32, .head_dim = 128,
     .head_dim_null = false, .window = Window::kUsedInUpper, .default_window = 4096},
    {.class_name = "Qwen3MoeForCausalLM", .base_name = "Qwen3MoeModel", .name = "qwen3_moe",
     .biases = Biases::kAsAttentionBiasSays, .qk_norm = true, .num_kv_heads = 4, .num_kv_heads_null = false,
     .head_dim_null = false, .window = Window::kUsed, .default_window = 4096, .experts = Experts::kQwen,
     .num_experts = 128, .experts_per_token = 8},
    {.class_name = "SmolLM3ForCausalLM", .base_name = "SmolLM3Model", .name = "smollm3",
     .biases = Biases::kAsAttentionBiasSays, .mlp_bias = true, .num_kv_heads = 4, .window = Window::kUsedWithoutRope,
     .tied_head = true, .rope_theta = 2e6, .skips_rope = true},
    {.class_name = "Olmo2ForCausalLM", .base_name = "Olmo2Model", .name = "olmo2",
     .biases = Biases::kAsAttentionBiasSays, .qk_norm = true, .qk_norm_whole = true, .norm_place = NormPlace::kAfter,
     .rms_norm_eps = 1e-5},
    {.class_name = "GemmaForCausalLM", .base_name = "GemmaModel", .name = "gemma",
     .biases = Biases::kAsAttentionBiasSays, .num_kv_heads = 16, .num_kv_heads_null = false, .head_dim = 256,
     .head_dim_null = false, .norm_adds_one = true, .tied_head = true, .scales_embedding = true,
     .activation = "gelu_pytorch_tanh"},
    {.class_name = "Gemma2ForCausalLM", .base_name = "Gemma2Model", .name = "gemma2",
     .biases = Biases::kAsAttentionBiasSays, .num_kv_heads = 4, .num_kv_heads_null = false, .head_dim = 256,
     .head_dim_null = false, .window = Window::kByPattern, .default_window = 4096, .window_pattern = 2,
     .norm_place = NormPlace::kBoth, .norm_adds_one = true, .tied_head = true, .scales_embedding = true,
     .scales_queries = true, .attention_softcap = 50, .logit_softcap = 30, .reads_attention_softcap = true,
     .reads_logit_softcap = true, .activation_key = "hidden_activation", .activation = "gelu_pytorch_tanh"},
    {.class_name = "Gemma3ForCausalLM", .base_name = "Gemma3TextModel", .name = "gemma3_text",
     .biases = Biases::kAsAttentionBiasSays, .qk_norm = true, .num_kv_heads = 4, .num_kv_heads_null = false,
     .head_dim = 256, .head_dim_null = false, .window = Window::kByPattern, .default_window = 4096,
     .window_pattern = 6, .norm_place = NormPlace::kBoth, .norm_adds_one = true, .tied_head = true,
     .scales_embedding = true, .scales_queries = true, .reads_logit_softcap = true,
     .activation_key = "hidden_activation", .activation = "gelu_pytorch_tanh", .rope_theta = 1e6,
     .local_rope_theta = 1e4},
    {.class_name = "Phi3ForCausalLM", .base_name = "Phi3Model", .name = "phi3", .window = Window::kEverywhere,
     .rms_norm_eps = 1e-5, .partial_rope = true},
}};

}  // namespace

std::span<const Architecture> Architectures() { return kArchitectures; }

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
  fields.Unsupported("architecture '" + class_name + "' is not supported. Supported: " + known +
                     ", and the text of Gemma3ForConditionalGeneration.");
}

}  // namespace bitlaw
