#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>

#include "bitlaw/base/error.h"
#include "support/models.h"
#include "support/seeded_checkpoint.h"
#include "unit/models/gguf_bytes.h"

// A GGUF file and a Hugging Face folder of the same weights, as llama.cpp's conversion writes the one from the other:
// names, norms with their 1 added, interleaved heads. The folders' logits are compared with transformers' elsewhere.

namespace bitlaw {
namespace {

using namespace gguf_bytes;  // NOLINT(google-build-using-namespace)
using Json = nlohmann::json;

// Names of llama.cpp for those of a block; ffn_norm depends on where norms stand.
const std::map<std::string, std::string> kNames = {
    {"input_layernorm", "attn_norm"},           {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},             {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},         {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},        {"self_attn.k_norm", "attn_k_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},  {"post_feedforward_layernorm", "post_ffw_norm"},
    {"mlp.gate_proj", "ffn_gate"},              {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},             {"mlp.down_proj", "ffn_down"}};

struct Twin {
  std::string golden, architecture;
  int64_t blocks;                       // Of the file; blocks beyond the golden's have its first one's shapes.
  Json changes;                         // Of the golden's configuration.
  std::vector<std::string> keys;        // Metadata beside the sizes.
  bool interleaved = false;
};

class GgufFileOf {
 public:
  GgufFileOf(const Twin& twin, const Json& golden) : twin_(twin), config_(golden.at("config")) {
    const bool has_four_norms = golden.dump().find("pre_feedforward_layernorm") != std::string::npos;
    for (const auto& entry : golden.at("tensors")) {
      const auto name = entry[0].get<std::string>();
      Add(name, entry[1].get<std::vector<int64_t>>(),
          SeededWeights(name, Count(entry[1]), entry[2].get<double>(), entry[3].get<double>()), has_four_norms);
    }
  }
  void AddTensor(const std::string& name, const std::vector<int64_t>& shape, const std::string& bytes) {
    std::vector<uint64_t> sizes(shape.rbegin(), shape.rend());
    headers_ += Tensor(name, sizes, 0, data_.size());
    data_ += bytes;
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
    ++tensors_;
  }
  std::string Bytes() const {
    const auto key = [&](const std::string& name, int64_t value) {
      return Key(twin_.architecture + "." + name, kUint32, Le(static_cast<uint32_t>(value)));
    };
    const auto size = [&](const char* name) { return config_.at(name).get<int64_t>(); };
    std::vector<std::string> keys = {
        Key("general.architecture", kString, Text(twin_.architecture)),
        key("embedding_length", size("hidden_size")), key("feed_forward_length", size("intermediate_size")),
        key("block_count", twin_.blocks), key("attention.head_count", size("num_attention_heads")),
        key("attention.head_count_kv", size("num_key_value_heads")),
        key("context_length", size("max_position_embeddings")),
        Key(twin_.architecture + ".attention.layer_norm_rms_epsilon", kFloat32,
            Le(static_cast<float>(config_.at("rms_norm_eps").get<double>()))),
        Key("tokenizer.ggml.model", kString, Text("gpt2")), Key("tokenizer.ggml.pre", kString, Text("gpt-2")),
        Key("tokenizer.ggml.tokens", kArray, Le<uint32_t>(kString) + Le<uint64_t>(2) + Text("a") + Text("b"))};
    if (config_.contains("head_dim") && config_.at("head_dim").is_number()) {
      keys.push_back(key("attention.key_length", size("head_dim")));
    }
    keys.insert(keys.end(), twin_.keys.begin(), twin_.keys.end());
    std::string bytes = "GGUF" + Le<uint32_t>(3) + Le<uint64_t>(tensors_) + Le<uint64_t>(keys.size());
    for (const std::string& one : keys) bytes += one;
    bytes += headers_;
    bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
    return bytes + data_;
  }

 private:
  static int64_t Count(const Json& shape) {
    int64_t count = 1;
    for (const Json& size : shape) count *= size.get<int64_t>();
    return count;
  }
  void Add(const std::string& name, const std::vector<int64_t>& shape, std::string bytes, bool has_four_norms) {
    std::string to = name == "model.embed_tokens.weight" ? "token_embd.weight"
                     : name == "model.norm.weight"       ? "output_norm.weight"
                     : name == "lm_head.weight"          ? "output.weight"
                                                         : "";
    if (to.empty()) {
      const size_t number = std::strlen("model.layers."), dot = name.find('.', number), end = name.rfind('.');
      const std::string stem = name.substr(dot + 1, end - dot - 1);
      const bool is_second = stem == "post_attention_layernorm";
      const bool has_norms_after = has_four_norms || twin_.architecture == "olmo2";
      to = "blk." + name.substr(number, dot - number) + "." +
           (is_second ? (has_norms_after ? "post_attention_norm" : "ffn_norm") : kNames.at(stem)) + name.substr(end);
      if (twin_.interleaved && (stem == "self_attn.q_proj" || stem == "self_attn.k_proj")) {
        const int64_t dh = config_.at("hidden_size").get<int64_t>() / config_.at("num_attention_heads").get<int64_t>();
        const at::Tensor rows = at::from_blob(bytes.data(), shape, at::kFloat);
        const at::Tensor interleaved = rows.view({-1, 2, dh / 2, shape[1]}).transpose(1, 2).contiguous();
        std::memcpy(bytes.data(), interleaved.clone().data_ptr(), bytes.size());
      }
    }
    if (twin_.architecture.starts_with("gemma") && name.ends_with("norm.weight")) {
      at::from_blob(bytes.data(), shape, at::kFloat).add_(1);
    }
    AddTensor(to, shape, bytes);
  }

  const Twin& twin_;
  const Json config_;
  std::string headers_, data_;
  uint64_t tensors_ = 0;
};

// The golden with changed settings and as many blocks as asked for.
Json Changed(const Twin& twin) {
  Json golden = ArchitectureGolden(twin.golden);
  for (const auto& [key, value] : twin.changes.items()) golden["config"][key] = value;
  const auto held = golden["config"]["num_hidden_layers"].get<int64_t>();
  golden["config"]["num_hidden_layers"] = twin.blocks;
  const Json tensors = golden["tensors"];
  const std::string first = "model.layers.0.";
  for (int64_t i = held; i < twin.blocks; ++i) {
    for (Json entry : tensors) {
      const auto name = entry[0].get<std::string>();
      if (!name.starts_with(first)) continue;
      entry[0] = "model.layers." + std::to_string(i) + "." + name.substr(first.size());
      golden["tensors"].push_back(entry);
    }
  }
  return golden;
}

void ExpectTheSameLogits(const Twin& twin, const std::vector<std::pair<std::string, std::vector<float>>>& more = {}) {
  SCOPED_TRACE(twin.architecture);
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / ("bitlaw_twin_" + twin.architecture);
  const Json golden = Changed(twin);
  WriteSeededCheckpoint(golden, folder);
  GgufFileOf file(twin, golden);
  for (const auto& [name, numbers] : more) {
    std::string bytes;
    for (const float number : numbers) bytes += Le(number);
    file.AddTensor(name, {static_cast<int64_t>(numbers.size())}, bytes);
  }
  std::ofstream(folder / "twin.gguf", std::ios::binary) << file.Bytes();
  const auto hf = MakeModelBackend("hf")->Open(folder, {});
  const auto gguf = MakeModelBackend("gguf")->Open(folder / "twin.gguf", {});
  std::filesystem::remove_all(folder);
  EXPECT_EQ(gguf->summary().parameters_total, hf->summary().parameters_total);
  EXPECT_EQ(gguf->summary().max_positions, hf->summary().max_positions);
  for (const int64_t tokens : {20, 90}) {
    const at::Tensor ids = at::arange(tokens).mul(7).remainder(300).view({1, -1});
    const at::Tensor ours = gguf->Logits(gguf->Forward(ids, {})), theirs = hf->Logits(hf->Forward(ids, {}));
    EXPECT_LT((ours - theirs).abs().max().item<double>(), 2e-5) << tokens << " tokens";
  }
}

std::string Real(const std::string& key, double value) { return Key(key, kFloat32, Le(static_cast<float>(value))); }
std::string Number(const std::string& key, uint32_t value) { return Key(key, kUint32, Le(value)); }

TEST(GgufTwins, OfGemmaAreTheSameModel) {
  const Json rope = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
  ExpectTheSameLogits({"gemma", "gemma", 2, {}, {}});
  ExpectTheSameLogits({"gemma2", "gemma2", 3, {{"query_pre_attn_scalar", 12}},
                       {Number("gemma2.attention.sliding_window", 12), Real("gemma2.attn_logit_softcapping", 3),
                        Real("gemma2.final_logit_softcapping", 8)}});
  ExpectTheSameLogits(
      {"gemma3", "gemma3", 7,
       {{"query_pre_attn_scalar", 12}, {"layer_types", nullptr},
        {"rope_parameters", {{"sliding_attention", rope},
                             {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}}}}},
       {Number("gemma3.attention.sliding_window", 12), Real("gemma3.rope.freq_base", 1e6),
        Key("gemma3.rope.scaling.type", kString, Text("linear")), Real("gemma3.rope.scaling.factor", 8)}});
}

TEST(GgufTwins, OfOlmo2SmolLm3AndPhi3AreTheSameModel) {
  ExpectTheSameLogits({"olmo2", "olmo2", 2, {}, {}});
  ExpectTheSameLogits({"smollm3", "smollm3", 5,
                       {{"no_rope_layers", nullptr}, {"no_rope_layer_interval", 4}, {"layer_types", nullptr}},
                       {Real("smollm3.rope.freq_base", 2e6)}, true});
  ExpectTheSameLogits({"phi3", "phi3", 2, {}, {Number("phi3.attention.sliding_window", 12)}});
  // sqrt(1 + ln 4 / ln 32): 128 positions made of 32.
  ExpectTheSameLogits({"phi3_longrope", "phi3", 2, {},
                       {Number("phi3.rope.dimension_count", 6), Real("phi3.rope.scaling.attn_factor", 1.1832159566),
                        Number("phi3.rope.scaling.original_context_length", 32)}},
                      {{"rope_factors_short.weight", {1.0F, 1.1F, 1.3F}},
                       {"rope_factors_long.weight", {1.2F, 2.5F, 6.0F}}});
}

}  // namespace
}  // namespace bitlaw
