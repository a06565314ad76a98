#include <ATen/ATen.h>

#include <map>

#include "bitlaw/base/value.h"
#include "support/models.h"
#include "unit/models/file_fixture.h"

// What a configuration means where it is silent, null or contradicts itself. The right answers are those of the
// configuration classes and models of transformers 5.24.

namespace bitlaw {
namespace {

class HfConfig : public FileTest {
 protected:
  // A copy of a tiny checkpoint whose config.json is changed: an empty text removes a key, other texts are JSON.
  using Changes = std::vector<std::pair<std::string, std::string>>;
  void Change(const std::string& checkpoint, const Changes& changes) {
    std::filesystem::remove_all(folder_ / "tiny");
    std::filesystem::copy(std::filesystem::path(BITLAW_SOURCE_DIR "/tests/parity/logits") / checkpoint,
                          folder_ / "tiny");
    const Value config = ParseJson(Read(folder_ / "tiny/config.json"), "config");
    Value changed{Value::Map()};
    for (const auto& [key, value] : config.AsMap()) {
      if (std::none_of(changes.begin(), changes.end(), [&](const auto& c) { return c.first == key; })) {
        changed.Set(key, value);
      }
    }
    for (const auto& [key, json] : changes) {
      if (!json.empty()) changed.Set(key, ParseJson(json, "change"));
    }
    Write("tiny/config.json", changed.CanonicalJson());
  }
  std::string Text(const std::string& checkpoint, const Changes& changes) {
    Change(checkpoint, changes);
    return ErrorText([&] { hf_->Open(folder_ / "tiny", {}); });
  }
  at::Tensor Hidden(const std::string& checkpoint, const Changes& changes) {
    Change(checkpoint, changes);
    return hf_->Open(folder_ / "tiny", {})->Forward(at::arange(12).view({1, 12}), {});
  }
  // From which token on a text of `tokens` tokens reads otherwise with `changes` than with `others`; -1: nowhere.
  int64_t FirstDifference(const std::string& checkpoint, int64_t tokens, const Changes& changes,
                          const Changes& others) {
    const auto hidden = [&](const Changes& changed) {
      Change(checkpoint, changed);
      return hf_->Open(folder_ / "tiny", {})->Forward(at::arange(tokens).remainder(300).view({1, -1}), {})[0];
    };
    const at::Tensor different = (hidden(changes) - hidden(others)).abs().amax(-1).gt(1e-5).nonzero();  // [found, 1]
    return different.numel() > 0 ? different[0][0].item<int64_t>() : -1;
  }
  static Changes Rope(const std::string& map) { return {{"rope_parameters", ""}, {"rope_scaling", map}}; }
  static Changes Mistral(Changes more) {
    more.insert(more.end(), {{"architectures", "[\"MistralForCausalLM\"]"}, {"model_type", "\"mistral\""}});
    return more;
  }

  std::unique_ptr<ModelBackend> hf_ = MakeModelBackend("hf");
};

TEST_F(HfConfig, ARotaryScalingWithoutTheKeysOfItsTypeIsRefused) {
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"type": "linear"})")),
            "DIR/tiny/config.json: rope_scaling: 'factor' is missing. It must be a number.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "linear", "factor": null})")),
            "DIR/tiny/config.json: rope_scaling: 'factor' is null. It must be a number.");
  EXPECT_EQ(Text("tiny_llama", {{"rope_parameters", R"({"rope_type": "linear", "rope_theta": 10000.0})"}}),
            "DIR/tiny/config.json: rope_parameters: 'factor' is missing. It must be a number.");
  const std::string llama3 =
      R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0)";
  EXPECT_EQ(Text("tiny_llama", Rope(llama3 + "}")),
            "DIR/tiny/config.json: rope_scaling: 'original_max_position_embeddings' is missing. It must be a number.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0,
                                        "original_max_position_embeddings": 128})")),
            "DIR/tiny/config.json: rope_scaling: 'low_freq_factor' is missing. It must be a number.");
  Changes both = Rope(llama3 + ", \"original_max_position_embeddings\": 128}");
  EXPECT_EQ(Text("tiny_llama", both), "no error");
  both.push_back({"original_max_position_embeddings", "64"});
  EXPECT_EQ(Text("tiny_llama", both),
            "DIR/tiny/config.json: original_max_position_embeddings stands in 'config.json' and in 'rope_scaling' with "
            "different values. Keep the one that is right.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "yarn", "original_max_position_embeddings": 64})")),
            "DIR/tiny/config.json: rope_scaling: 'factor' is missing. It must be a number.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "yarn", "factor": 4.0})")),
            "DIR/tiny/config.json: rope_scaling: 'original_max_position_embeddings' is missing. It must be a number.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "dynamic"})")),
            "DIR/tiny/config.json: rope_scaling: 'factor' is missing. It must be a number.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "dynamic", "factor": 0.5})")),
            "DIR/tiny/config.json: rope_scaling.factor = 0.500000. It must be finite and at least 1.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "longrope", "short_factor": [1, 1, 1, 1]})")),
            "DIR/tiny/config.json: rope_scaling: 'long_factor' is missing. It must be a list of numbers.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "longrope", "short_factor": [1, 1], "long_factor": [1, 2, 3, 0],
                                        "original_max_position_embeddings": 64})")),
            "DIR/tiny/config.json: there are 2 short rotary factors. 8 rotating dimensions take 4.\n"
            "DIR/tiny/config.json: a long rotary factor is 0.000000. It must be finite and positive.");
  for (const char* type : {"su", "proportional"}) {
    EXPECT_EQ(Text("tiny_llama", Rope(std::string(R"({"factor": 2.0, "type": ")") + type + "\"}")),
              std::string("DIR/tiny/config.json: rope_scaling: rope_type '") + type +
                  "' is not supported. Supported: default, linear, llama3, yarn, dynamic, longrope.");
  }
}

TEST_F(HfConfig, ARotaryScalingThatWouldBeOverlookedIsRefused) {
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"factor": 4.0})")),
            "DIR/tiny/config.json: rope_scaling: factor = 4.0 has no rope_type that uses it. Name the type: linear, "
            "llama3, yarn, dynamic.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "default", "mrope_section": [2, 1, 1]})")),
            "DIR/tiny/config.json: rope_scaling: 'mrope_section' is a rotary setting that bitlaw does not compute.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
                                        "attn_factor": 0.878})")),
            "DIR/tiny/config.json: rope_scaling: 'attn_factor' is a factor that transformers passes by and vLLM "
            "multiplies the attention factor by. Leave it out for the former, or write 'attention_factor', the "
            "product, in its place.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"full_attention": {"rope_type": "linear", "factor": 4.0}})")),
            "DIR/tiny/config.json: rope_scaling: 'full_attention' is a map. Rotary settings for some blocks only are "
            "not supported.");
  EXPECT_EQ(Text("tiny_llama", Rope(R"({"rope_type": "default", "partial_rotary_factor": 0.5})")),
            "DIR/tiny/config.json: rope_scaling: partial_rotary_factor = 0.5 is not supported. All of a head must "
            "rotate.");
  EXPECT_EQ(Text("tiny_llama", {{"rope_scaling", R"({"type": "linear", "factor": 4.0})"}}),
            "DIR/tiny/config.json: 'rope_parameters' and 'rope_scaling' say different things. Keep the one that is "
            "right.");
  EXPECT_EQ(Text("tiny_llama", {{"rope_parameters", ""}, {"rope_theta", "null"}}),
            "DIR/tiny/config.json: 'rope_theta' is null. It must be a number.");
  // Without any map theta is 10000, and an empty map is none.
  const at::Tensor plain = Hidden("tiny_llama", {});
  EXPECT_TRUE(Hidden("tiny_llama", {{"rope_parameters", ""}}).equal(plain));
  EXPECT_TRUE(Hidden("tiny_llama", {{"rope_scaling", "{}"}}).equal(plain));
}

TEST_F(HfConfig, MistralHasAWindowOf4096UnlessItSaysNone) {
  const Changes none = Mistral({{"max_position_embeddings", "8192"}, {"sliding_window", "null"}});
  const Changes absent = Mistral({{"max_position_embeddings", "8192"}});
  EXPECT_EQ(4096, FirstDifference("tiny_llama", 4100, absent, none));  // The first that does not see token 0.
  // The key that switches a window on and off is Qwen's.
  const Changes off = Mistral({{"max_position_embeddings", "8192"}, {"use_sliding_window", "false"}});
  EXPECT_EQ(-1, FirstDifference("tiny_llama", 4100, absent, off));
  EXPECT_EQ(5, FirstDifference("tiny_llama", 12, Mistral({{"sliding_window", "5"}}), none));
  EXPECT_EQ(Text("tiny_llama", Mistral({{"sliding_window", "0"}})),
            "DIR/tiny/config.json: 'sliding_window' is 0. It must be positive.");
  EXPECT_EQ(Text("tiny_llama", {{"layer_types", R"(["full_attention", "sliding_attention"])"}}),
            "DIR/tiny/config.json: layer_types holds 'sliding_attention', which llama does not read. The configuration "
            "was edited or belongs to custom code.");
}

TEST_F(HfConfig, QwenHasAWindowInItsUpperBlocksIfOneIsUsed) {
  const auto used = [](Changes more) {
    more.insert(more.end(), {{"use_sliding_window", "true"}, {"layer_types", ""}});
    return more;
  };
  const Changes none = {{"layer_types", ""}};
  EXPECT_EQ(5, FirstDifference("tiny_qwen2", 12, used({{"sliding_window", "5"}, {"max_window_layers", "1"}}), none));
  // Two blocks; only those from max_window_layers on, 28 by default, have it.
  EXPECT_EQ(-1, FirstDifference("tiny_qwen2", 12, used({{"sliding_window", "5"}, {"max_window_layers", ""}}), none));
  EXPECT_EQ(-1, FirstDifference("tiny_qwen2", 12, used({{"sliding_window", "null"}, {"max_window_layers", "0"}}),
                                none));
  const Changes in_second = {{"sliding_window", "5"}, {"use_sliding_window", "true"}, {"max_window_layers", "0"},
                             {"layer_types", R"(["full_attention", "sliding_attention"])"}};
  EXPECT_EQ(-1, FirstDifference("tiny_qwen2", 12, in_second,
                          used({{"sliding_window", "5"}, {"max_window_layers", "1"}})));
  EXPECT_EQ(Text("tiny_qwen2", {{"layer_types", R"(["full_attention", "sliding_attention"])"}}),
            "DIR/tiny/config.json: layer_types holds 'sliding_attention', and no sliding_window is in use. Set "
            "use_sliding_window and sliding_window, or list 'full_attention'.");
  EXPECT_EQ(Text("tiny_qwen2", {{"layer_types", R"(["full_attention", "linear_attention"])"}}),
            "DIR/tiny/config.json: layer_types holds 'linear_attention'. Supported: 'full_attention' and "
            "'sliding_attention'.");
  EXPECT_EQ(Text("tiny_qwen2", {{"layer_types", R"(["full_attention"])"}}),
            "DIR/tiny/config.json: layer_types names 1 blocks, num_hidden_layers is 2.");
  // Qwen3-MoE: in all of its blocks.
  EXPECT_EQ(5, FirstDifference("tiny_qwen3_moe", 12, used({{"sliding_window", "5"}, {"max_window_layers", "28"}}),
                               none));
}

TEST_F(HfConfig, HeadsHaveTheDefaultsOfTheirModelType) {
  // Checkpoints of 4 query heads of 8 dimensions, 2 key-value heads. The shapes show what was assumed.
  const auto assumed = [&](const std::string& checkpoint, Changes changes) {
    const std::string text = Text(checkpoint, changes);
    const size_t at = text.find("self_attn.k_proj.weight is ");
    return at == std::string::npos ? text : text.substr(at, text.find(',', text.find("says", at)) - at);
  };
  const std::string sizes = "self_attn.k_proj.weight is [16, 32] where the configuration says ";
  EXPECT_EQ(assumed("tiny_llama", {{"num_key_value_heads", ""}}), sizes + "[32");
  EXPECT_EQ(assumed("tiny_llama", {{"num_key_value_heads", "null"}}), sizes + "[32");
  EXPECT_EQ(assumed("tiny_llama", Mistral({{"num_key_value_heads", "null"}})),
            "DIR/tiny/config.json: 'num_key_value_heads' is null. It must be an integer.");
  EXPECT_EQ(assumed("tiny_llama", Mistral({{"num_key_value_heads", ""}})),
            "DIR/tiny/config.json: num_kv_heads = 8 does not divide num_heads = 4.");
  EXPECT_EQ(assumed("tiny_qwen2", {{"num_key_value_heads", ""}}),
            "DIR/tiny/config.json: num_kv_heads = 32 does not divide num_heads = 4.");
  EXPECT_EQ(assumed("tiny_qwen3_moe", {{"num_key_value_heads", ""}}),
            "self_attn.k_proj.weight is [24, 32] where the configuration says [48")
      << "4 by default, of 12 dimensions";
  EXPECT_EQ(Text("tiny_llama", {{"head_dim", "null"}}), "no error") << "32 / 4";
  EXPECT_EQ(Text("tiny_qwen3", {{"head_dim", "null"}}),
            "DIR/tiny/config.json: 'head_dim' is null. It must be an integer.");
  EXPECT_NE(Text("tiny_qwen3", {{"head_dim", ""}}).find("k_norm.weight is [12] where the configuration says [128]"),
            std::string::npos);
}

TEST_F(HfConfig, NumbersAndFlagsThatAreNullAreRefused) {
  for (const char* key : {"rms_norm_eps", "max_position_embeddings", "vocab_size"}) {
    const std::string text = Text("tiny_llama", {{key, "null"}});
    EXPECT_NE(text.find(std::string("'") + key + "' is null. It must be "), std::string::npos) << text;
  }
  for (const char* key : {"tie_word_embeddings", "attention_bias", "mlp_bias"}) {
    EXPECT_EQ(Text("tiny_llama", {{key, "null"}}),
              std::string("DIR/tiny/config.json: '") + key + "' is null. It must be true or false.");
  }
  EXPECT_EQ(Text("tiny_qwen3_moe", {{"norm_topk_prob", "null"}}),
            "DIR/tiny/config.json: 'norm_topk_prob' is null. It must be true or false.");
}

// What each block calls for is seen in what a checkpoint of experts in both blocks lacks.
TEST_F(HfConfig, BlocksOfExpertsAreEveryNthAndNotThoseListed) {
  const std::string gate0 = "model.layers.0.mlp.gate_proj.weight", gate1 = "model.layers.1.mlp.gate_proj.weight";
  const auto missing = [&](const Changes& changes) {
    const std::string text = Text("tiny_qwen3_moe", changes);
    const size_t from = text.find("Missing: "), to = text.find(". Of another shape");
    return from == std::string::npos ? text : text.substr(from, to - from);
  };
  const auto feed_forward = [](int block) {
    const std::string stem = "model.layers." + std::to_string(block) + ".mlp.";
    return stem + "gate_proj.weight, " + stem + "up_proj.weight, " + stem + "down_proj.weight";
  };
  EXPECT_EQ(missing({{"decoder_sparse_step", "1"}, {"mlp_only_layers", "null"}}), "no error");
  EXPECT_EQ(missing({{"mlp_only_layers", "[2, -1]"}}), "no error") << "blocks that are not there";
  EXPECT_EQ(missing({{"decoder_sparse_step", "2"}}), "Missing: " + feed_forward(0));
  EXPECT_EQ(missing({{"mlp_only_layers", "[1]"}}), "Missing: " + feed_forward(1));
  for (const Changes& none : std::vector<Changes>{{{"decoder_sparse_step", "3"}},
                                                  {{"mlp_only_layers", "[0, 1]"}},
                                                  {{"num_experts", "0"}, {"num_local_experts", ""}}}) {
    EXPECT_EQ(missing(none), "Missing: " + feed_forward(0) + ", " + feed_forward(1));
  }
  EXPECT_EQ(missing({{"decoder_sparse_step", "0"}}),
            "DIR/tiny/config.json: 'decoder_sparse_step' is 0. It must be positive.");
  for (const char* wrong : {"1", "[true]", "[0.5]"}) {
    EXPECT_EQ(missing({{"mlp_only_layers", wrong}}),
              std::string("DIR/tiny/config.json: 'mlp_only_layers' is ") + wrong +
                  ". It must be a list of block numbers.");
  }
}

TEST_F(HfConfig, BiasesAreThoseThatTheModelTypeReads) {
  // Mistral and Qwen2 do not read attention_bias, and only Llama reads mlp_bias.
  EXPECT_EQ(Text("tiny_llama", Mistral({{"attention_bias", "true"}, {"mlp_bias", "true"}, {"sliding_window", "null"}})),
            "no error");
  EXPECT_EQ(Text("tiny_qwen2", {{"attention_bias", "true"}}), "no error");
  EXPECT_EQ(Text("tiny_qwen3", {{"mlp_bias", "true"}}), "no error");
  EXPECT_NE(Text("tiny_llama", {{"mlp_bias", "true"}}).find("Missing: model.layers.0.mlp.gate_proj.bias"),
            std::string::npos);
}

TEST_F(HfConfig, NamesOfOneThingMustAgree) {
  EXPECT_EQ(Text("tiny_llama", {{"model_type", "\"mistral\""}}),
            "DIR/tiny/config.json: model_type 'mistral' and architecture 'LlamaForCausalLM' name different models. The "
            "configuration was edited or belongs to custom code.");
  EXPECT_EQ(Text("tiny_qwen3_moe", {{"num_experts", "4"}, {"num_local_experts", "8"}}),
            "DIR/tiny/config.json: num_experts = 4 and num_local_experts = 8 are two names of one number. Keep the one "
            "that is right.");
  EXPECT_EQ(Text("tiny_llama", {{"hidden_act", "\"swish\""}}), "no error") << "another name of silu";
}

}  // namespace
}  // namespace bitlaw
