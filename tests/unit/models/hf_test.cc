#include <ATen/ATen.h>

#include "support/models.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

const std::filesystem::path kTiny = BITLAW_SOURCE_DIR "/tests/parity/logits/tiny_llama";
const std::filesystem::path kSharded = BITLAW_SOURCE_DIR "/tests/parity/logits/tiny_qwen3";

class HfBackendTest : public FileTest {
 protected:
  // A copy of a checkpoint, to be broken.
  void Copy(const std::filesystem::path& from) {
    std::filesystem::remove_all(folder_ / "tiny");
    std::filesystem::copy(from, folder_ / "tiny");
  }
  // The error of a copy whose `file` has `from` replaced by `to`, which must be there.
  std::string TextWith(const std::string& file, const std::string& from, const std::string& to) {
    std::string text = Read(folder_ / "tiny" / file);
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    Write("tiny/" + file, text.substr(0, at) + to + text.substr(at + from.size()));
    const std::string error = Text();
    Write("tiny/" + file, text);
    return error;
  }
  std::string Text() const {
    return ErrorText([&] { hf_->Open(folder_ / "tiny", {}); });
  }

  std::unique_ptr<ModelBackend> hf_ = MakeModelBackend("hf");
};

TEST_F(HfBackendTest, ClaimsFoldersWithAConfiguration) {
  EXPECT_TRUE(hf_->Claims(kTiny));
  EXPECT_TRUE(hf_->Claims(kTiny.string() + "/"));
  EXPECT_FALSE(hf_->Claims(kTiny / "config.json"));
  EXPECT_FALSE(hf_->Claims(folder_));
}

TEST_F(HfBackendTest, DescribesACheckpointFromItsHeaders) {
  const ModelSummary summary = hf_->Inspect(kTiny.string() + "/");
  EXPECT_EQ(summary.name, "tiny_llama");
  EXPECT_EQ(summary.architecture, "llama");
  EXPECT_EQ(summary.stored_dtype, "float32");
  EXPECT_EQ(summary.baseline_note, "");
  EXPECT_EQ(summary.vocab_size, 300);
  // A block: q and o 32*32 each, k and v 16*32 each, three of 32*64.
  EXPECT_EQ(summary.parameters_quantizable, 2 * (2 * 1024 + 2 * 512 + 3 * 2048));
  EXPECT_EQ(summary.parameters_embedding, 300 * 32);
  EXPECT_EQ(hf_->ExplainUnsupported(kTiny), "");
  EXPECT_EQ(hf_->Inspect(kSharded).stored_dtype, "bfloat16");
}

TEST_F(HfBackendTest, ListsEveryFileThatDeterminesTheNumbers) {
  std::vector<std::string> names;
  for (const auto& file : hf_->Files(kSharded)) names.push_back(file.filename());
  EXPECT_EQ(names, (std::vector<std::string>{"config.json", "model.safetensors.index.json",
                                             "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                             "tokenizer.json"}));
}

TEST_F(HfBackendTest, RefusesWhatItDoesNotComputeByName) {
  Copy(kTiny);
  EXPECT_EQ(TextWith("config.json", "LlamaForCausalLM", "GPT2LMHeadModel"),
            "DIR/tiny/config.json: architecture 'GPT2LMHeadModel' is not supported. Supported: LlamaForCausalLM, "
            "MistralForCausalLM, MixtralForCausalLM, Qwen2ForCausalLM, Qwen2MoeForCausalLM, Qwen3ForCausalLM, "
            "Qwen3MoeForCausalLM, SmolLM3ForCausalLM, Olmo2ForCausalLM, GemmaForCausalLM, Gemma2ForCausalLM, Gemma3ForCausalLM, "
            "Phi3ForCausalLM, and the text of Gemma3ForConditionalGeneration.");
  EXPECT_EQ(TextWith("config.json", "\"silu\"", "\"gelu\""),
            "DIR/tiny/config.json: hidden_act 'gelu' is not supported. Supported: silu, gelu_pytorch_tanh.");
  EXPECT_EQ(TextWith("config.json", "\"rope_type\": \"default\"", "\"rope_type\": \"proportional\""),
            "DIR/tiny/config.json: rope_parameters: rope_type 'proportional' is not supported. Supported: default, "
            "linear, llama3, yarn, dynamic, longrope.");
  EXPECT_EQ(TextWith("config.json", "\"mlp_bias\"", "\"quantization_config\": {}, \"mlp_bias\""),
            "DIR/tiny/config.json: quantization_config: quant_method '' is not supported. Supported: gptq, awq, "
            "compressed-tensors. Use the original checkpoint.");
  EXPECT_EQ(hf_->ExplainUnsupported(folder_ / "tiny"), "");
}

TEST_F(HfBackendTest, RefusesAConfigurationThatIsWrong) {
  Copy(kTiny);
  EXPECT_EQ(TextWith("config.json", "\"hidden_size\": 32", "\"hidden_size\": \"32\""),
            "DIR/tiny/config.json: 'hidden_size' is '32'. It must be an integer.");
  EXPECT_EQ(TextWith("config.json", "\"hidden_size\": 32,", ""),
            "DIR/tiny/config.json: 'hidden_size' is missing. It must be an integer.");
  EXPECT_EQ(TextWith("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000"),
            "DIR/tiny/config.json: num_blocks = 1000000000. It must lie in [1, 4096].");
  EXPECT_EQ(TextWith("config.json", "\"head_dim\": 8", "\"head_dim\": 4611686018427387904"),
            "DIR/tiny/config.json: head_dim = 4611686018427387904. It must lie in [1, 16777216].");
}

TEST_F(HfBackendTest, ReadsRotaryScalingInBothSpellings) {
  Copy(kTiny);
  const at::Tensor tokens = at::arange(12).view({1, 12});
  const std::string config = Read(folder_ / "tiny/config.json");
  // The tiny checkpoint is written by transformers 5; version 4 wrote rope_scaling and put theta beside it.
  const size_t begin = config.find("\"rope_parameters\""), end = config.find('}', begin) + 1;
  const auto hidden = [&](const std::string& rope) {
    Write("tiny/config.json", std::string(config).replace(begin, end - begin, rope));
    return hf_->Open(folder_ / "tiny", {})->Forward(tokens, {});
  };
  const at::Tensor unscaled = hidden(config.substr(begin, end - begin));
  const at::Tensor now = hidden(R"("rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 4.0})");
  const at::Tensor before = hidden(R"("rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0})");
  EXPECT_TRUE(now.equal(before));
  EXPECT_FALSE(now.allclose(unscaled, 1e-3, 1e-3));
  EXPECT_TRUE(hidden(R"("rope_theta": 10000.0)").equal(unscaled));
}

TEST_F(HfBackendTest, ListsMissingAndUnusedTensors) {
  Copy(kTiny);
  EXPECT_EQ(TextWith("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"),
            "DIR/tiny: the tensors are not those of a llama model with this configuration. Missing: (none). Of another "
            "shape: (none). Unused: model.layers.1.input_layernorm.weight, model.layers.1.mlp.down_proj.weight, "
            "model.layers.1.mlp.gate_proj.weight, model.layers.1.mlp.up_proj.weight, "
            "model.layers.1.post_attention_layernorm.weight, model.layers.1.self_attn.k_proj.weight, "
            "model.layers.1.self_attn.o_proj.weight, model.layers.1.self_attn.q_proj.weight, "
            "model.layers.1.self_attn.v_proj.weight. The checkpoint is incomplete or its configuration is another "
            "model's.");
  EXPECT_EQ(TextWith("config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"),
            "DIR/tiny: the tensors are not those of a llama model with this configuration. Missing: lm_head.weight. Of "
            "another shape: (none). Unused: (none). The checkpoint is incomplete or its configuration is another "
            "model's.");
}

TEST_F(HfBackendTest, RefusesPicklesWithTheReason) {
  Copy(kTiny);
  std::filesystem::rename(folder_ / "tiny/model.safetensors", folder_ / "tiny/pytorch_model.bin");
  EXPECT_EQ(Text(),
            "DIR/tiny/pytorch_model.bin: is a pickle, and opening a pickle runs whatever code its author put in. Save "
            "the model as safetensors (save_pretrained of transformers does).");
  std::filesystem::remove(folder_ / "tiny/pytorch_model.bin");
  EXPECT_EQ(Text(),
            "DIR/tiny: holds neither model.safetensors nor model.safetensors.index.json. The checkpoint is "
            "incomplete.");
}

TEST_F(HfBackendTest, RefusesAnIndexAndShardsThatDisagree) {
  Copy(kSharded);
  EXPECT_EQ(Text(), "no error");
  EXPECT_EQ(TextWith("model.safetensors.index.json", "\"model.norm.weight\"", "\"model.norm.weights\""),
            "DIR/tiny/model-00002-of-00002.safetensors: holds tensor 'model.norm.weight', which the index does not "
            "place there. The files belong to different checkpoints.");
  EXPECT_EQ(TextWith("model.safetensors.index.json", "\"weight_map\": {",
                     "\"weight_map\": {\"x\": \"../../etc/passwd\","),
            "DIR/tiny/model.safetensors.index.json: 'x' lies in '../../etc/passwd'. A shard must be a file name in the "
            "same folder.");
  EXPECT_EQ(TextWith("model.safetensors.index.json", "\"weight_map\": {",
                     "\"weight_map\": {\"x\": \"model-00001-of-00002.safetensors\","),
            "DIR/tiny/model.safetensors.index.json: names tensors that are not in their shards: x "
            "(model-00001-of-00002.safetensors).");
  std::filesystem::remove(folder_ / "tiny/model-00002-of-00002.safetensors");
  EXPECT_EQ(Text(),
            "DIR/tiny/model.safetensors.index.json: names shards that are not there: "
            "model-00002-of-00002.safetensors. The checkpoint is incomplete.");
}

TEST_F(HfBackendTest, RefusesAFolderWithoutATokenizer) {
  Copy(kTiny);
  std::filesystem::remove(folder_ / "tiny/tokenizer.json");
  EXPECT_EQ(Text(),
            "DIR/tiny: holds no tokenizer.json. Slow tokenizers are not supported; save the fast one (save_pretrained "
            "of transformers does).");
  Write("tiny/tokenizer.model", "a protobuf");
  EXPECT_EQ(Text(),
            "DIR/tiny: holds tokenizer.model and no tokenizer.json. Convert it: "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers.");
}

TEST_F(HfBackendTest, WeightsCanBeWrittenThroughAViewWithoutTouchingTheFile) {
  Copy(kTiny);
  const std::string before = Read(folder_ / "tiny/model.safetensors");
  const auto model = hf_->Open(folder_ / "tiny", {});
  at::Tensor weight = model->block(0).stage_linears(0)[0]->weight();
  weight.zero_();
  EXPECT_EQ(Read(folder_ / "tiny/model.safetensors"), before);
}

TEST_F(HfBackendTest, SurvivesRandomChangesOfItsFiles) {
  Copy(kTiny);
  Rng rng(20261122);
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"}) {
    const std::string good = Read(folder_ / "tiny" / file);
    for (int i = 0; i < 100; ++i) {
      Write(std::string("tiny/") + file, Mutated(good, 2000, rng));
      Text();  // An Error or an open model; anything else ends the test.
    }
    Write(std::string("tiny/") + file, good);
  }
  EXPECT_EQ(Text(), "no error");
}

}  // namespace
}  // namespace bitlaw
