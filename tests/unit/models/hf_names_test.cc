#include <ATen/ATen.h>

#include <functional>
#include <map>

#include "bitlaw/sdk/checkpoint/safetensors.h"
#include "support/models.h"
#include "unit/models/file_fixture.h"

// The other names and layouts under which tools store the tensors of one model.

namespace bitlaw {
namespace {

struct Stored {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};
using Tensors = std::map<std::string, Stored>;

Tensors ReadTensors(const std::filesystem::path& path) {
  const auto file = MappedFile::Open(path);
  Tensors tensors;
  for (const SafetensorsEntry& entry : ReadSafetensorsHeader(*file)) {
    const char* begin = reinterpret_cast<const char*>(file->bytes()) + entry.offset_bytes;
    tensors[entry.name] = {entry.dtype, entry.shape, std::string(begin, entry.size_bytes)};
  }
  return tensors;
}

std::string FileOf(const Tensors& tensors) {
  std::string header = "{", data;
  for (const auto& [name, tensor] : tensors) {
    std::string shape;
    for (const int64_t size : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(size);
    header += (header.size() > 1 ? ",\"" : "\"") + name + R"(":{"dtype":")" + tensor.dtype + R"(","shape":[)" + shape +
              R"(],"data_offsets":[)" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + tensor.bytes.size()) + "]}";
    data += tensor.bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return Le<uint64_t>(header.size()) + header + data;
}

class HfNames : public FileTest {
 protected:
  // A copy of a checkpoint with one shard whose tensors are changed; `config` replaces texts in config.json.
  void Copy(const std::string& checkpoint, const std::function<void(Tensors&)>& change,
            const std::vector<std::pair<std::string, std::string>>& config = {}) {
    std::filesystem::remove_all(folder_ / "tiny");
    std::filesystem::copy(std::filesystem::path(BITLAW_SOURCE_DIR "/tests/parity/logits") / checkpoint,
                          folder_ / "tiny");
    Tensors tensors = ReadTensors(folder_ / "tiny/model.safetensors");
    change(tensors);
    std::filesystem::remove(folder_ / "tiny/model.safetensors");
    Write("tiny/model.safetensors", FileOf(tensors));
    std::string text = Read(folder_ / "tiny/config.json");
    for (const auto& [from, to] : config) {
      ASSERT_NE(text.find(from), std::string::npos) << from;
      text.replace(text.find(from), from.size(), to);
    }
    Write("tiny/config.json", text);
  }
  std::string Text() const {
    return ErrorText([&] { hf_->Open(folder_ / "tiny", {}); });
  }
  at::Tensor Logits() const {
    const auto model = hf_->Open(folder_ / "tiny", {});
    return model->Logits(model->Forward(at::arange(12).view({1, 12}), {}));
  }
  at::Tensor LogitsOf(const std::string& checkpoint, const std::function<void(Tensors&)>& change,
                      const std::vector<std::pair<std::string, std::string>>& config = {}) {
    Copy(checkpoint, change, config);
    return Logits();
  }
  // Every name that has `from` in front gets `to` instead.
  static std::function<void(Tensors&)> Renamed(const std::string& from, const std::string& to) {
    return [from, to](Tensors& tensors) {
      Tensors renamed;
      for (auto& [name, tensor] : tensors) {
        renamed[name.starts_with(from) ? to + name.substr(from.size()) : name] = tensor;
      }
      tensors = renamed;
    };
  }

  std::unique_ptr<ModelBackend> hf_ = MakeModelBackend("hf");
};

constexpr char kEmbedding[] = "model.embed_tokens.weight";

TEST_F(HfNames, ATiedMatrixMayBeStoredUnderTheHeadsNameOnly) {
  const at::Tensor right = LogitsOf("tiny_llama", [](Tensors&) {});
  EXPECT_TRUE(LogitsOf("tiny_llama", Renamed(kEmbedding, "lm_head.weight")).equal(right));
}

TEST_F(HfNames, ATiedHeadThatIsAnotherMatrixIsRefused) {
  const auto with_head = [](size_t changed_byte) {
    return [changed_byte](Tensors& tensors) {
      Stored head = tensors.at(kEmbedding);
      if (changed_byte < head.bytes.size()) head.bytes[changed_byte] ^= 1;
      tensors["lm_head.weight"] = head;
    };
  };
  const at::Tensor right = LogitsOf("tiny_llama", [](Tensors&) {});
  EXPECT_TRUE(LogitsOf("tiny_llama", with_head(SIZE_MAX)).equal(right)) << "the same matrix twice";
  // [300, 32] float32: byte 38399 is the last one of the last row.
  Copy("tiny_llama", with_head(38399));
  const std::string refusal =
      "DIR/tiny: tie_word_embeddings is true, but the stored lm_head.weight differs from model.embed_tokens.weight in "
      "1 of 300 rows. Set tie_word_embeddings to false in config.json to use the stored head, or save the model "
      "without it to use the embedding.";
  EXPECT_EQ(Text(), refusal);
  // What it advises works.
  Copy("tiny_llama", with_head(38399), {{"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"}});
  EXPECT_EQ(Text(), "no error");
  // Equal values in another dtype are the same matrix: zeros in float64 and in float32.
  Copy("tiny_llama", [](Tensors& tensors) {
    Stored& embedding = tensors.at(kEmbedding);
    embedding.bytes.assign(embedding.bytes.size(), '\0');
    tensors["lm_head.weight"] = {"F64", embedding.shape, embedding.bytes + embedding.bytes};
  });
  EXPECT_EQ(Text(), "no error");
}

TEST_F(HfNames, AModelWithoutItsHeadHasNoPrefix) {
  const at::Tensor right = LogitsOf("tiny_llama", [](Tensors&) {});
  EXPECT_TRUE(LogitsOf("tiny_llama", Renamed("model.", ""), {{"LlamaForCausalLM", "LlamaModel"}}).equal(right));
  EXPECT_TRUE(LogitsOf("tiny_llama", Renamed("model.", "")).equal(right));
  // Not tied, it has no head to evaluate.
  Copy("tiny_llama", Renamed("model.", ""),
       {{"LlamaForCausalLM", "LlamaModel"}, {"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"}});
  EXPECT_EQ(Text(),
            "DIR/tiny: the tensors are not those of a llama model with this configuration. Missing: lm_head.weight. Of "
            "another shape: (none). Unused: (none). The checkpoint is incomplete or its configuration is another "
            "model's.");
}

TEST_F(HfNames, AModelInsideAnotherHasALongerPrefix) {
  const at::Tensor right = LogitsOf("tiny_llama", [](Tensors&) {});
  for (const char* prefix : {"language_model.model.", "_orig_mod.model.", "module.model.", "transformer."}) {
    EXPECT_TRUE(LogitsOf("tiny_llama", Renamed("model.", prefix)).equal(right)) << prefix;
  }
  // With its head beside it, which goes by the outer part of the prefix.
  const at::Tensor untied = LogitsOf("tiny_qwen2", [](Tensors&) {});
  EXPECT_TRUE(LogitsOf("tiny_qwen2", Renamed("", "language_model.")).equal(untied));
  // Anything else in the file stays unused, and is said.
  Copy("tiny_llama", [](Tensors& tensors) {
    Renamed("model.", "language_model.model.")(tensors);
    tensors["vision_tower.weight"] = {"F32", {1}, std::string(4, '\0')};
  });
  EXPECT_EQ(Text(),
            "DIR/tiny: the tensors are not those of a llama model with this configuration. Missing: (none). Of another "
            "shape: (none). Unused: vision_tower.weight. The checkpoint is incomplete or its configuration is another "
            "model's.");
  Copy("tiny_llama", [](Tensors& tensors) { tensors["norm.weight"] = tensors.at("model.norm.weight"); });
  EXPECT_NE(Text().find("Unused: norm.weight."), std::string::npos);
}

// Puts the experts of every block into two tensors, as transformers 5 keeps them.
void FuseExperts(Tensors& tensors) {
  Tensors fused;
  for (const auto& [name, tensor] : tensors) {
    const size_t experts = name.find(".mlp.experts.");
    if (experts == std::string::npos) fused[name] = tensor;
  }
  for (int block = 0; tensors.count("model.layers." + std::to_string(block) + ".input_layernorm.weight") > 0; ++block) {
    const std::string stem = "model.layers." + std::to_string(block) + ".mlp.experts.";
    Stored gate_up, down;
    int64_t experts = 0;
    for (; tensors.count(stem + std::to_string(experts) + ".up_proj.weight") > 0; ++experts) {
      const std::string expert = stem + std::to_string(experts);
      const Stored &gate = tensors.at(expert + ".gate_proj.weight"), &up = tensors.at(expert + ".up_proj.weight"),
                   &out = tensors.at(expert + ".down_proj.weight");
      gate_up.bytes += gate.bytes + up.bytes;
      down.bytes += out.bytes;
      gate_up.dtype = down.dtype = gate.dtype;
      gate_up.shape = {experts + 1, 2 * gate.shape[0], gate.shape[1]};
      down.shape = {experts + 1, out.shape[0], out.shape[1]};
    }
    fused[stem + "gate_up_proj"] = gate_up;
    fused[stem + "down_proj"] = down;
  }
  tensors = fused;
}

TEST_F(HfNames, FusedExpertsAreTheSameModel) {
  Copy("tiny_qwen3_moe", [](Tensors&) {});
  const at::Tensor right = Logits();
  const ModelSummary split = hf_->Inspect(folder_ / "tiny");
  Copy("tiny_qwen3_moe", FuseExperts);
  EXPECT_TRUE(Logits().equal(right));
  // Quantizers see the same layers in the same order, so they give the same codes.
  const ModelSummary fused = hf_->Inspect(folder_ / "tiny");
  ASSERT_EQ(fused.linears.size(), split.linears.size());
  for (size_t i = 0; i < split.linears.size(); ++i) EXPECT_EQ(fused.linears[i].name, split.linears[i].name);
  EXPECT_EQ(fused.parameters_total, split.parameters_total);
  EXPECT_EQ(fused.stored_dtype, split.stored_dtype);
  // Without the prefix, too.
  Copy("tiny_qwen3_moe", [](Tensors& tensors) {
    FuseExperts(tensors);
    Renamed("model.", "")(tensors);
  });
  EXPECT_TRUE(Logits().equal(right));
}

TEST_F(HfNames, FusedExpertsOfAnotherShapeOrStoredTwiceAreRefused) {
  const std::string name = "model.layers.0.mlp.experts.gate_up_proj";
  Copy("tiny_qwen3_moe", [&](Tensors& tensors) {
    FuseExperts(tensors);
    std::swap(tensors.at(name).shape[1], tensors.at(name).shape[2]);
  });
  EXPECT_EQ(Text(), "DIR/tiny: fused experts 'model.layers.0.mlp.experts.gate_up_proj' are [5, 32, 48] where the "
                    "configuration says [5, 48, 32] [E, 2 F, D].");
  Copy("tiny_qwen3_moe", [&](Tensors& tensors) {
    Tensors fused = tensors;
    FuseExperts(fused);
    tensors[name] = fused.at(name);
  });
  EXPECT_EQ(Text(), "DIR/tiny: holds 'model.layers.0.mlp.experts.0.gate_proj.weight' and "
                    "'model.layers.0.mlp.experts.gate_up_proj', which are the same weights twice.");
}

}  // namespace
}  // namespace bitlaw
