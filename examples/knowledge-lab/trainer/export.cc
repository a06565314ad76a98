#include <ATen/ATen.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"
#include "train.h"

namespace bitlaw::lab {
namespace {

using Json = nlohmann::ordered_json;

void Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw Error(ErrorKind::kIo, path.string() + ": cannot be written.");
}

}  // namespace

void ExportHuggingFace(const Rung& rung, Net& net, const World& world, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const NetConfig& config = net.config();
  const char* class_name = config.experts > 0       ? "Qwen3MoeForCausalLM"
                           : config.has_head_norm() ? "Qwen3ForCausalLM"
                                                    : "LlamaForCausalLM";
  Json file = {{"architectures", Json::array({class_name})},
               {"model_type", config.family},
               {"attention_bias", false},
               {"bos_token_id", Vocabulary::kBos},
               {"eos_token_id", Vocabulary::kBos},
               {"head_dim", config.head_dim},
               {"hidden_act", "silu"},
               {"hidden_size", config.hidden},
               {"intermediate_size", config.ffn},
               {"max_position_embeddings", 512},
               {"num_attention_heads", config.heads},
               {"num_hidden_layers", config.layers},
               {"num_key_value_heads", config.kv_heads},
               {"rms_norm_eps", config.norm_eps},
               {"rope_theta", config.rope_theta},
               {"tie_word_embeddings", true},
               {"torch_dtype", "bfloat16"},
               {"vocab_size", config.vocab}};
  if (!config.has_head_norm()) file["mlp_bias"] = false;
  if (config.experts > 0) {
    file["moe_intermediate_size"] = config.ffn;
    file["num_experts"] = config.experts;
    file["num_experts_per_tok"] = config.chosen;
    file["norm_topk_prob"] = true;
    file["decoder_sparse_step"] = 1;
    file["mlp_only_layers"] = Json::array();
  }
  Write(folder / "config.json", file.dump(2) + "\n");
  Write(folder / "generation_config.json", Json{{"bos_token_id", 0}, {"eos_token_id", 0}}.dump(2) + "\n");
  Write(folder / "tokenizer.json", world.vocabulary().TokenizerJson());
  Write(folder / "tokenizer_config.json", Json{{"bos_token", "<|bos|>"},
                                               {"eos_token", "<|bos|>"},
                                               {"model_max_length", 512},
                                               {"tokenizer_class", "PreTrainedTokenizerFast"}}
                                                  .dump(2) +
                                              "\n");

  Json header = {{"__metadata__", {{"format", "pt"}, {"rung", rung.name}}}};
  std::string bytes;
  for (const Net::View& view : net.Named()) {
    int64_t size = 1;
    for (const int64_t extent : view.shape) size *= extent;
    const at::Tensor rounded = net.parameters().narrow(0, view.offset, size).to(at::kBFloat16).contiguous();
    const size_t begin = bytes.size();
    bytes.append(static_cast<const char*>(rounded.data_ptr()), static_cast<size_t>(size) * 2);
    header[view.name] = {{"dtype", "BF16"}, {"shape", view.shape}, {"data_offsets", {begin, bytes.size()}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  std::string head(8, '\0');
  std::memcpy(head.data(), &length, 8);
  Write(folder / "model.safetensors", head + text + bytes);
}

}  // namespace bitlaw::lab
