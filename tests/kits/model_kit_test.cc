#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "bitlaw/base/fingerprint.h"
#include "bitlaw/testing/byte_tokenizer.h"
#include "bitlaw/testing/model_conformance.h"
#include "plugin/host.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ByteTokenizer;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ModelFaults;

// The backends in the tree that have weights, over checkpoints of tests/parity and a mixture of the lab; hf_shapes has none.
TEST(ModelKit, EveryBackendInTheTreeKeepsItsPromises) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_model_hf.so");
  host.LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_model_gguf.so");
  ASSERT_THAT(host.Names(ComponentKind::kModel), ElementsAre("gguf", "hf", "hf_shapes"));
  const auto faults = [&](const std::string& backend, const std::string& path) {
    const Options options = host.Find(ComponentKind::kModel, backend).schema.Resolve(Value(), backend);
    return ModelFaults(*host.MakeModelBackend(backend, options), backend, std::string(BITLAW_SOURCE_DIR "/") + path);
  };
  for (const char* model : {"tiny_llama", "tiny_llama3", "tiny_qwen2", "tiny_qwen3", "tiny_qwen3_moe"}) {
    EXPECT_THAT(faults("hf", std::string("tests/parity/logits/") + model), ElementsAre()) << model;
  }
  EXPECT_THAT(faults("hf", "examples/knowledge-lab/models/lab-moe-518k"), ElementsAre());
  EXPECT_THAT(faults("gguf", "tests/parity/logits/tiny.gguf"), ElementsAre());
}

DecoderConfig KitConfig() {
  DecoderConfig config = SmallConfig();
  config.vocab_size = 260;
  return config;
}

// Random decoders as the checkpoints of a format whose files end in .kit, with room for one mistake.
class Random : public ModelBackend {
 public:
  bool Claims(const fs::path& path) const override { return path.extension() == ".kit"; }
  std::string ExplainUnsupported(const fs::path&) const override { return ""; }
  ModelSummary Inspect(const fs::path&) const override {
    return SummarizeDecoder(KitConfig(), ExpectedTensors(KitConfig()), "random", "random");
  }
  std::vector<fs::path> Files(const fs::path& path) const override { return {path}; }
  std::unique_ptr<Tokenizer> OpenTokenizer(const fs::path&) const override { return std::make_unique<ByteTokenizer>(); }
  std::unique_ptr<Model> Open(const fs::path& path, const ComputeSetting& compute) const override {
    if (!fs::exists(path)) throw Error(ErrorKind::kIo, path.string() + ": there is no such file.");
    return OpenDecoder(KitConfig(), Random::Inspect(path), std::make_unique<RandomWeights>(KitConfig(), 7),
                       std::make_unique<ByteTokenizer>(), compute);
  }
};

// Hands everything on to a model.
class Through : public Model {
 public:
  explicit Through(std::unique_ptr<Model> inner) : inner_(std::move(inner)) {}
  const ModelSummary& summary() const override { return inner_->summary(); }
  const ComputeSetting& compute() const override { return inner_->compute(); }
  const Tokenizer& tokenizer() const override { return inner_->tokenizer(); }
  Block& block(int64_t i) override { return inner_->block(i); }
  void DropBlock(int64_t i) override { inner_->DropBlock(i); }
  at::Tensor Embed(const at::Tensor& tokens) override { return inner_->Embed(tokens); }
  at::Tensor Logits(const at::Tensor& hidden) override { return inner_->Logits(hidden); }
  void RoundKvCache(const KvCacheGrid& grid) override { inner_->RoundKvCache(grid); }

 protected:
  std::unique_ptr<Model> inner_;
};
template <class Wrong>
class Opens : public Random {
  std::unique_ptr<Model> Open(const fs::path& path, const ComputeSetting& compute) const override {
    return std::make_unique<Wrong>(Random::Open(path, compute));
  }
};
class LooksAhead : public Through {
 public:
  using Through::Through;
  at::Tensor Embed(const at::Tensor& tokens) override {
    const at::Tensor rows = inner_->Embed(tokens);
    return rows + rows.mean(1, true);
  }
};
class MixesTheBatch : public Through {
 public:
  using Through::Through;
  at::Tensor Embed(const at::Tensor& tokens) override {
    const at::Tensor rows = inner_->Embed(tokens);
    return tokens.size(0) > 1 ? rows + rows.mean(0, true) : rows;
  }
};
class CountsFromThePass : public Through {
 public:
  using Through::Through;
  at::Tensor Embed(const at::Tensor& tokens) override {
    const at::Tensor rows = inner_->Embed(tokens);
    return rows + at::arange(rows.size(1), rows.options()).view({1, -1, 1}) * 0.1;
  }
};
class KeepsBlocks : public Through {
 public:
  using Through::Through;
  void DropBlock(int64_t) override {}
};
class IsNotFinite : public Through {
 public:
  using Through::Through;
  at::Tensor Logits(const at::Tensor& hidden) override { return inner_->Logits(hidden) / 0; }
};
class DoesNotRound : public Through {
 public:
  using Through::Through;
  void RoundKvCache(const KvCacheGrid&) override {}
};
class IsNoisy : public Through {
 public:
  using Through::Through;
  at::Tensor Logits(const at::Tensor& hidden) override { return inner_->Logits(hidden) + 1e-7 * ++calls_; }

 private:
  int calls_ = 0;
};

class ClaimsAll : public Random {
  bool Claims(const fs::path&) const override { return true; }
};
class CountsWrong : public Random {
  ModelSummary Inspect(const fs::path& path) const override {
    ModelSummary summary = Random::Inspect(path);
    ++summary.parameters_quantizable;
    return summary;
  }
};
template <class Change>
class Says : public Random {
  ModelSummary Inspect(const fs::path& path) const override {
    ModelSummary summary = Random::Inspect(path);
    Change()(summary);
    return summary;
  }
};
struct SwapsLayers {
  void operator()(ModelSummary& summary) const { std::swap(summary.linears[0], summary.linears[1]); }
};
struct HidesAProducer {
  void operator()(ModelSummary& summary) const { summary.sites[0].producer = ""; }
};
class FilesElsewhere : public Random {
  std::vector<fs::path> Files(const fs::path& path) const override { return {path.parent_path() / "weights.bin"}; }
};
class OpensWhatIsNotThere : public Random {
  std::unique_ptr<Model> Open(const fs::path&, const ComputeSetting& compute) const override {
    return Random::Open(fs::path(BITLAW_SOURCE_DIR) / "LICENSE", compute);
  }
};
class TakesAnotherDevice : public Random {
  std::unique_ptr<Model> Open(const fs::path& path, const ComputeSetting& compute) const override {
    return Random::Open(path, {.dtype = compute.dtype, .device = "cpu"});
  }
};
class StaysInFloat32 : public Random {
  std::unique_ptr<Model> Open(const fs::path& path, const ComputeSetting& compute) const override {
    return Random::Open(path, {.dtype = Dtype::kFloat32, .device = compute.device});
  }
};
class AnotherOneEachTime : public Random {
  std::unique_ptr<Model> Open(const fs::path& path, const ComputeSetting& compute) const override {
    if (!fs::exists(path)) throw Error(ErrorKind::kIo, path.string() + ": there is no such file.");
    return OpenDecoder(KitConfig(), Inspect(path), std::make_unique<RandomWeights>(KitConfig(), ++seed_),
                       std::make_unique<ByteTokenizer>(), compute);
  }
  mutable uint64_t seed_ = 0;
};

class ModelKitFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("bitlaw_model_kit_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::create_directories(folder_);
    std::ofstream(folder_ / "a.kit") << "7\n";
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(ModelKitFolder, NamesWhatABackendGetsWrong) {
  const auto faults = [&](const auto& backend) { return ModelFaults(backend, "m", folder_ / "a.kit"); };
  const std::string where = "model 'm': ";
  EXPECT_THAT(faults(Random()), ElementsAre());
  EXPECT_THAT(faults(Opens<Through>()), ElementsAre());
  EXPECT_THAT(faults(Opens<LooksAhead>()), Contains(where + "logits depend on later tokens."));
  EXPECT_THAT(faults(Opens<MixesTheBatch>()), Contains(where + "a text alone has other logits than in a batch."));
  EXPECT_THAT(
      faults(Opens<CountsFromThePass>()),
      ElementsAre(where + "token by token through a cache the logits are others.",
                  where + "as two branches of one text the logits are others.",
                  where + "with rounded keys and values the logits are others token by token through a cache."));
  EXPECT_THAT(faults(Opens<KeepsBlocks>()),
              Contains(where + "blocks that were dropped do not come back as they were."));
  EXPECT_THAT(faults(Opens<IsNotFinite>()), ElementsAre(where + "its logits are not finite."));
  EXPECT_THAT(faults(Opens<DoesNotRound>()),
              ElementsAre(where + "keys and values of 3 bits leave the logits as they were."));
  EXPECT_THAT(faults(Opens<IsNoisy>()), Contains(where + "it gives other logits the second time."));
  EXPECT_THAT(faults(ClaimsAll()), ElementsAre(where + "it claims a path that is not there."));
  EXPECT_THAT(faults(CountsWrong()),
              ElementsAre(HasSubstr("parameters_quantizable is 15361, and its layers have 15360")));
  EXPECT_THAT(faults(Says<SwapsLayers>()),
              ElementsAre(where + "its blocks have other layers, or another order of them, than its summary."));
  EXPECT_THAT(faults(Says<HidesAProducer>()), ElementsAre(where + "its blocks have other sites than its summary."));
  EXPECT_THAT(faults(FilesElsewhere()), ElementsAre(where + "'weights.bin', of its files, is not there."));
  EXPECT_THAT(faults(OpensWhatIsNotThere()), ElementsAre(where + "it opens a checkpoint that is not there."));
  EXPECT_THAT(faults(TakesAnotherDevice()),
              ElementsAre(where + "asked for a device that is not there, it opens the model on another."));
  EXPECT_THAT(faults(StaysInFloat32()),
              ElementsAre(where + "asked for bfloat16, it computes otherwise and does not refuse."));
  EXPECT_THAT(faults(AnotherOneEachTime()), Contains(where + "opened again, it gives other logits."));
}

}  // namespace
}  // namespace bitlaw
