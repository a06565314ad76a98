#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "bitlaw/base/error.h"
#include "golden_logits.h"
#include "support/models.h"
#include "support/seeded_checkpoint.h"

// Every architecture and rotary scaling against transformers, on models that both sides make from names and a formula.

namespace bitlaw {
namespace {

class Architecture : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    golden_ = ArchitectureGolden(GetParam());
    folder_ = std::filesystem::path(testing::TempDir()) / ("bitlaw_architecture_" + GetParam());
    WriteSeededCheckpoint(golden_, folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<Model> Open(Dtype dtype = Dtype::kFloat32) const {
    return MakeModelBackend("hf")->Open(folder_, {.dtype = dtype, .device = "cpu"});
  }

  nlohmann::json golden_;
  std::filesystem::path folder_;
};

TEST_P(Architecture, GivesTheLogitsOfThePublicImplementation) {
  const double error = LargestRelativeError(*Open(), golden_);
  RecordProperty("largest_relative_error", std::to_string(error));
  EXPECT_LT(error, 1e-4);
}

at::Tensor LogitsOf(Model& model, const at::Tensor& ids, const ForwardContext& context) {
  return model.Logits(model.Forward(ids, context));  // [B, T, V]
}

double Difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

// A header, a question after it and an answer a token at a time, beside a text of its own. As long as the longest
// prompt, or as long as the model's summary allows where frequencies change with the length.
TEST_P(Architecture, ReadsWithACacheWhatItReadsAtOnce) {
  const auto model = Open();
  const auto ids = golden_.at("prompts").back().at("ids").get<std::vector<int64_t>>();
  const int64_t total = std::min<int64_t>(static_cast<int64_t>(ids.size()), model->summary().max_positions);
  const at::Tensor text = at::tensor(ids).view({1, -1}).narrow(1, 0, total), other = text.flip(1);
  const at::Tensor expected = LogitsOf(*model, text, {}), expected_other = LogitsOf(*model, other, {});
  const int64_t header = total / 3, question = total / 2;
  KvCache cache(model->summary().num_blocks, 2 * total);
  const int64_t root = *cache.Add(KvCache::kNoParent, header), rest = *cache.Add(root, total - header),
                alone = *cache.Add(KvCache::kNoParent, total);
  std::vector<TokenRun> runs = {{root, header}};
  const at::Tensor first = LogitsOf(*model, text.narrow(1, 0, header), {&cache, runs});
  EXPECT_LT(Difference(first, expected.narrow(1, 0, header)), 1e-4);
  runs = {{rest, question - header}, {alone, total}};
  const at::Tensor ids_of_both = at::cat({text.narrow(1, header, question - header), other}, 1);
  const at::Tensor both = LogitsOf(*model, ids_of_both, {&cache, runs});
  EXPECT_LT(Difference(both.narrow(1, 0, question - header), expected.narrow(1, header, question - header)), 1e-4);
  EXPECT_LT(Difference(both.narrow(1, question - header, total), expected_other), 1e-4);
  runs = {{rest, 1}};
  for (int64_t t = question; t < total; ++t) {
    const at::Tensor next = LogitsOf(*model, text.narrow(1, t, 1), {&cache, runs});
    EXPECT_LT(Difference(next, expected.narrow(1, t, 1)), 1e-4) << "token " << t;
  }
}

TEST_P(Architecture, StaysCloseInBfloat16) {
  const auto exact = Open(), rounded = Open(Dtype::kBFloat16);
  const at::Tensor ids = at::tensor(golden_.at("prompts").front().at("ids").get<std::vector<int64_t>>()).view({1, -1});
  const at::Tensor a = LogitsOf(*exact, ids, {}), b = LogitsOf(*rounded, ids, {}).to(at::kFloat);
  // 8 significant bits through a few blocks of large random weights; this catches faults, not rounding.
  EXPECT_LT((a - b).square().mean().sqrt().item<double>(), 0.25 * a.std().item<double>());
}

INSTANTIATE_TEST_SUITE_P(Logits, Architecture, testing::ValuesIn(ArchitectureGoldens()),
                         [](const auto& tested) { return tested.param; });

// Where frequencies depend on the text's length, a text cannot grow beyond the original context piece by piece.
TEST(RotaryScaling, ATextThatOutgrowsItsFrequenciesIsRefused) {
  for (const char* name : {"phi3_longrope", "llama_dynamic"}) {
    SCOPED_TRACE(name);
    const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "bitlaw_outgrown";
    WriteSeededCheckpoint(ArchitectureGolden(name), folder);
    const auto model = MakeModelBackend("hf")->Open(folder, {});
    std::filesystem::remove_all(folder);
    EXPECT_EQ(model->summary().max_positions, 32);
    KvCache cache(2, 200);
    const at::Tensor ids = at::arange(90).view({1, -1});
    std::vector<TokenRun> runs = {{*cache.Add(KvCache::kNoParent, 90), 30}};
    model->Forward(ids.narrow(1, 0, 30), {&cache, runs});
    try {
      model->Forward(ids.narrow(1, 30, 30), {&cache, runs});
      FAIL();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "a text of 30 tokens is continued to 60, and beyond 32 its rotary frequencies are others. Read it "
                   "in one piece, or keep texts within the original context.");
    }
    // In one piece it is what it is without a cache.
    runs = {{*cache.Add(KvCache::kNoParent, 90), 90}};
    EXPECT_LT(Difference(model->Forward(ids, {&cache, runs}), model->Forward(ids, {})), 1e-4);
  }
}

}  // namespace
}  // namespace bitlaw
