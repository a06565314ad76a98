#include "names.h"

#include <array>
#include <charconv>
#include <system_error>
#include <utility>

namespace bitlaw {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 10> kInBlock = {{{"self_attn.q_proj", "attn_q"},
                                                                         {"self_attn.k_proj", "attn_k"},
                                                                         {"self_attn.v_proj", "attn_v"},
                                                                         {"self_attn.o_proj", "attn_output"},
                                                                         {"self_attn.q_norm", "attn_q_norm"},
                                                                         {"self_attn.k_norm", "attn_k_norm"},
                                                                         {"mlp.gate", "ffn_gate_inp"},
                                                                         {"mlp.gate_proj", "ffn_gate"},
                                                                         {"mlp.up_proj", "ffn_up"},
                                                                         {"mlp.down_proj", "ffn_down"}}};

// Norms of a block: before attention and feed-forward, after them, or both.
std::string NormName(std::string_view stem, std::string_view architecture) {
  const bool is_gemma = architecture == "gemma2" || architecture == "gemma3";
  if (stem == "input_layernorm") return "attn_norm";
  if (stem == "pre_feedforward_layernorm") return "ffn_norm";
  if (stem == "post_feedforward_layernorm") return "post_ffw_norm";
  const bool is_after = is_gemma || architecture == "olmo2";
  if (stem == "post_attention_layernorm") return is_after ? "post_attention_norm" : "ffn_norm";
  return "";
}

}  // namespace

std::string GgufName(const std::string& name, std::string_view architecture) {
  constexpr std::string_view kLayers = "model.layers.";
  if (name == "model.embed_tokens.weight") return "token_embd.weight";
  if (name == "model.norm.weight") return "output_norm.weight";
  if (name == "lm_head.weight") return "output.weight";
  const size_t number_end = name.find('.', kLayers.size()), part = name.rfind('.');
  if (!name.starts_with(kLayers) || number_end == std::string::npos || part <= number_end) return "";
  std::string stem = name.substr(number_end + 1, part - number_end - 1);
  const bool is_of_expert = ExpertOf(name).has_value();
  if (is_of_expert) stem = "mlp." + stem.substr(stem.rfind('.') + 1);
  std::string found = NormName(stem, architecture);
  for (const auto& [hugging_face, gguf] : kInBlock) {
    if (stem == hugging_face) found = gguf;
  }
  if (found.empty()) return "";
  if (is_of_expert) found += "_exps";
  return "blk." + name.substr(kLayers.size(), number_end - kLayers.size()) + "." + found + name.substr(part);
}

std::optional<int64_t> ExpertOf(std::string_view name) {
  constexpr std::string_view kExperts = ".mlp.experts.";
  const size_t at = name.find(kExperts);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(at + kExperts.size());
  int64_t expert = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), expert);
  const bool is_number = error == std::errc() && expert >= 0 && end != rest.data() + rest.size() && *end == '.';
  return is_number ? std::optional(expert) : std::nullopt;
}

bool InterleavesHeads(std::string_view architecture) { return architecture == "llama" || architecture == "smollm3"; }

}  // namespace bitlaw
