// Blocks that are read while the one before computes.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/decoder/decoder.h"
#include "evaluate/block_stream.h"
#include "quantize/quantize_model.h"
#include "support/quantizers.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

// What a source was asked, and what of it is in memory.
struct Watch {
  std::mutex mutex;
  std::atomic<int> loads = 0;
  std::map<std::string, std::thread::id> reader;  // Of each tensor.
  std::multiset<int> live;                        // The block of each tensor that is held.
  size_t most_blocks = 0;
  std::string fails;  // A tensor that cannot be read, once.
  ErrorKind kind = ErrorKind::kIo;
  std::chrono::milliseconds takes{0};
};

int BlockOf(const std::string& name) {
  return name.starts_with("model.layers.") ? std::stoi(name.substr(13)) : -1;
}

class WatchedWeights : public WeightSource {
 public:
  WatchedWeights(const DecoderConfig& config, std::shared_ptr<Watch> watch)
      : weights_(config, 7), watch_(std::move(watch)) {}

  at::Tensor Load(const std::string& name, at::ScalarType dtype) const override {
    std::this_thread::sleep_for(watch_->takes);
    ++watch_->loads;
    const int block = BlockOf(name);
    const at::Tensor kept = weights_.Load(name, dtype).clone();
    const std::scoped_lock lock(watch_->mutex);
    if (name == watch_->fails) {
      watch_->fails.clear();
      throw Error(watch_->kind, name + ": is not there");
    }
    watch_->reader[name] = std::this_thread::get_id();
    if (block < 0) return kept;
    watch_->live.insert(block);
    const std::set<int> blocks(watch_->live.begin(), watch_->live.end());
    watch_->most_blocks = std::max(watch_->most_blocks, blocks.size());
    return at::from_blob(
        kept.data_ptr(), kept.sizes(),
        [kept, block, watch = watch_](void*) {
          const std::scoped_lock lock(watch->mutex);
          watch->live.erase(watch->live.find(block));
        },
        kept.options());
  }

 private:
  const RandomWeights weights_;
  const std::shared_ptr<Watch> watch_;
};

DecoderConfig FourBlocks() {
  DecoderConfig config = SmallConfig();
  config.num_blocks = 4;
  return config;
}

constexpr int kTensorsOfABlock = 9;

class ReadAhead : public ::testing::Test {
 protected:
  std::unique_ptr<Model> Open() const {
    const DecoderConfig config = FourBlocks();
    return OpenDecoder(config, SummarizeDecoder(config, ExpectedTensors(config), "watched", "watched"),
                       std::make_unique<WatchedWeights>(config, watch_),
                       std::make_unique<NoTokenizer>(config.vocab_size), {});
  }
  bool WasReadHere(const std::string& name) const { return watch_->reader.at(name) == std::this_thread::get_id(); }
  std::string ErrorOf(Model& model, int64_t block) const {
    try {
      model.block(block);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
};

TEST_F(ReadAhead, ReadsABlockOnceAndOnAnotherThread) {
  const auto model = Open();
  model->ReadAhead(1);
  model->ReadAhead(1);
  Block& block = model->block(1);
  EXPECT_EQ(watch_->loads, kTensorsOfABlock);
  EXPECT_FALSE(WasReadHere("model.layers.1.mlp.down_proj.weight"));
  EXPECT_EQ(&model->block(1), &block);
  model->ReadAhead(1);  // It is there.
  EXPECT_EQ(watch_->loads, kTensorsOfABlock);
  const auto plain = RandomDecoder(FourBlocks());
  const at::Tensor tokens = SomeTokens(2, 5);
  EXPECT_TRUE(model->Forward(tokens, {}).equal(plain->Forward(tokens, {})));
}

TEST_F(ReadAhead, CarriesTheReadersErrorToWhoeverUsesTheBlock) {
  watch_->fails = "model.layers.2.self_attn.k_proj.weight";
  const auto model = Open();
  model->ReadAhead(2);
  EXPECT_EQ(ErrorOf(*model, 2), "model.layers.2.self_attn.k_proj.weight: is not there");
  EXPECT_EQ(ErrorOf(*model, 2), "");  // Read again, and found.
  EXPECT_TRUE(WasReadHere("model.layers.2.self_attn.k_proj.weight"));
}

TEST_F(ReadAhead, ReadsAgainWhatFoundNoMemoryBesideTheBlockBefore) {
  watch_->fails = "model.layers.2.self_attn.k_proj.weight";
  watch_->kind = ErrorKind::kBudget;
  const auto model = Open();
  model->ReadAhead(2);
  EXPECT_EQ(ErrorOf(*model, 2), "");
  EXPECT_TRUE(WasReadHere("model.layers.2.self_attn.k_proj.weight"));
}

TEST_F(ReadAhead, ReadsNothingMoreOfABlockThatIsDropped) {
  watch_->takes = std::chrono::milliseconds(20);
  const auto model = Open();
  model->ReadAhead(3);
  while (watch_->loads == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  model->DropBlock(3);
  const int loads = watch_->loads;
  EXPECT_LT(loads, kTensorsOfABlock);
  EXPECT_TRUE(watch_->live.empty());
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(watch_->loads, loads);
}

TEST_F(ReadAhead, EndsWithItsModel) {
  watch_->takes = std::chrono::milliseconds(20);
  Open()->ReadAhead(3);
  EXPECT_LT(watch_->loads, kTensorsOfABlock);
  EXPECT_TRUE(watch_->live.empty());
}

TEST_F(ReadAhead, HoldsTwoBlocksOfAStream) {
  const auto model = Open();
  const std::vector<int32_t> ids = {3, 1, 4, 1, 5, 9};
  KvCache cache(4, 16);
  const TokenRun run{*cache.Add(KvCache::kNoParent, 6), 6};
  BlockStream stream(*model);
  const size_t pass = stream.Note(ids, cache, {&run, 1});
  stream.Run();
  EXPECT_LE(watch_->most_blocks, 2U);
  EXPECT_TRUE(watch_->live.empty());
  EXPECT_EQ(watch_->loads, 4 * kTensorsOfABlock + 1);  // And the embedding.
  for (const char* block : {"0", "1", "2", "3"}) {
    EXPECT_FALSE(WasReadHere("model.layers." + std::string(block) + ".mlp.up_proj.weight")) << block;
  }

  const auto plain = RandomDecoder(FourBlocks());
  KvCache whole(4, 16);
  const TokenRun same{*whole.Add(KvCache::kNoParent, 6), 6};
  const at::Tensor tokens = at::tensor({3, 1, 4, 1, 5, 9}, at::kLong).unsqueeze(0);
  EXPECT_TRUE(stream.Take(pass).equal(plain->Forward(tokens, {&whole, {&same, 1}})[0]));
}

TEST_F(ReadAhead, HoldsOneBlockOfAStreamThatReadsEachWhenItIsDue) {
  const auto model = Open();
  const std::vector<int32_t> ids = {3, 1};
  KvCache cache(4, 4);
  const TokenRun run{*cache.Add(KvCache::kNoParent, 2), 2};
  BlockStream stream(*model, /*reads_ahead=*/false);
  stream.Note(ids, cache, {&run, 1});
  stream.Run();
  EXPECT_EQ(watch_->most_blocks, 1U);
  EXPECT_TRUE(watch_->live.empty());
  EXPECT_TRUE(WasReadHere("model.layers.2.mlp.up_proj.weight"));
}

TEST_F(ReadAhead, LeavesNothingOfAStreamThatFails) {
  watch_->fails = "model.layers.2.self_attn.q_proj.weight";
  const auto model = Open();
  const std::vector<int32_t> ids = {3, 1};
  KvCache cache(4, 4);
  const TokenRun run{*cache.Add(KvCache::kNoParent, 2), 2};
  BlockStream stream(*model);
  stream.Note(ids, cache, {&run, 1});
  EXPECT_THROW(stream.Run(), Error);
  EXPECT_TRUE(watch_->live.empty());
  EXPECT_EQ(watch_->reader.count("model.layers.3.mlp.up_proj.weight"), 0U);
}

TEST_F(ReadAhead, HoldsTwoBlocksOfAModelThatIsQuantizedAndDropped) {
  TokenSequences sequences{2, 8, {}};
  for (int32_t t = 0; t < 16; ++t) sequences.ids.push_back(t * 7 % 40);
  const auto quantizer = MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 16}});
  QuantizeSettings settings;
  settings.keep_blocks = false;
  // While a block's layers are quantized the whole next one is read, and no more.
  const auto wait = [&](const QuantizeProgress& progress) {
    const int blocks = std::min<int>(4, BlockOf(progress.layer) + 2);
    while (watch_->loads < blocks * kTensorsOfABlock + 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(watch_->loads, blocks * kTensorsOfABlock + 1);  // And the embedding.
  };
  const QuantizedModel streamed = QuantizeModel(*Open(), *quantizer, &sequences, settings, wait);
  EXPECT_EQ(watch_->most_blocks, 2U);
  EXPECT_TRUE(watch_->live.empty());
  EXPECT_FALSE(WasReadHere("model.layers.3.mlp.up_proj.weight"));
  const QuantizedModel whole = QuantizeModel(*RandomDecoder(FourBlocks()), *quantizer, &sequences);
  EXPECT_EQ(streamed.codes_digest, whole.codes_digest);
}

}  // namespace
}  // namespace bitlaw
