// The lists by which a device attends to a forest, against the host's attention by heads.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "bitlaw/base/error.h"
#include "sdk/decoder/tensor/forest_attention.h"
#include "sdk/decoder/tensor/packed_attention.h"

namespace bitlaw {
namespace {

constexpr int64_t kNoHeader = std::numeric_limits<int64_t>::max(), kAllKeys = kNoHeader;

// One block's cache with what a pass writes, twice: by runs and by slots.
class Forest {
 public:
  explicit Forest(int64_t seed) { at::manual_seed(seed); }

  int64_t Add(int64_t parent, int64_t room) { return *cache_.Add(parent, room); }

  // Writes the runs' keys and values and says how far the packed attention is from that by heads.
  double Difference(const std::vector<TokenRun>& runs, int64_t least_header, bool* has_header = nullptr,
                    int64_t most_keys = kAllKeys, std::vector<int64_t>* part_keys = nullptr) {
    int64_t tokens = 0;
    for (const TokenRun& run : runs) tokens += run.tokens;
    const at::Tensor keys = at::randn({tokens, 2, 8}), values = at::randn({tokens, 2, 8}), queries = at::randn({tokens, 6, 8});
    const ForestPass pass = PlanPass(cache_, runs, at::kCPU, least_header, most_keys);
    for (const PackedTexts& part : pass.parts) {
      if (part_keys != nullptr) part_keys->push_back(part.slots.numel());
    }
    EXPECT_EQ(pass.positions, cache_.Positions(runs));
    cache_.Write(0, runs, keys, values);
    const at::Tensor written = cache_.keys(0).clone();
    cache_.WriteAt(0, pass.slots, keys, values);
    EXPECT_TRUE(cache_.keys(0).index_select(0, pass.slots).equal(keys));
    EXPECT_TRUE(written.index_select(0, pass.slots).equal(keys));
    const at::Tensor packed = AttendPacked(queries, cache_.keys(0), cache_.values(0), pass);
    const at::Tensor expected = AttendInForest(queries, cache_, 0, runs);
    if (has_header != nullptr) *has_header = pass.header.slots.defined();
    cache_.Advance(runs);
    return (packed - expected).abs().max().item<double>();
  }

  KvCache& cache() { return cache_; }

 private:
  KvCache cache_{1, 400};
};

TEST(PackedAttention, SeesWhatTheForestShows) {
  for (const int64_t least_header : {kNoHeader, int64_t{1}}) {
    SCOPED_TRACE(least_header);
    Forest forest(11);
    const int64_t header = forest.Add(KvCache::kNoParent, 9), nested = forest.Add(header, 3);
    EXPECT_LT(forest.Difference({{header, 9}}, least_header), 1e-5);
    EXPECT_LT(forest.Difference({{nested, 3}}, least_header), 1e-5);
    // Two questions after the nested header, with answers after the first.
    const int64_t first = forest.Add(nested, 5), second = forest.Add(nested, 4);
    const int64_t a = forest.Add(first, 2), b = forest.Add(first, 6);
    bool has_header = false;
    EXPECT_LT(forest.Difference({{first, 5}, {a, 2}, {b, 3}, {second, 2}}, least_header, &has_header), 1e-5);
    EXPECT_EQ(has_header, least_header == 1);
    // Texts that grow a token at a time, as answers in the making do.
    EXPECT_LT(forest.Difference({{b, 1}, {second, 1}}, least_header, &has_header), 1e-5);
    EXPECT_EQ(has_header, least_header == 1);
    // One that begins anew beside them: nothing is common.
    const int64_t other = forest.Add(KvCache::kNoParent, 4);
    EXPECT_LT(forest.Difference({{b, 1}, {other, 4}}, least_header, &has_header), 1e-5);
    EXPECT_FALSE(has_header);
  }
}

TEST(PackedAttention, ReadsAQuestionOfThePassWithItsOwnText) {
  // What all texts begin with is no header while it is itself being read.
  Forest forest(12);
  const int64_t question = forest.Add(KvCache::kNoParent, 5), a = forest.Add(question, 2), b = forest.Add(question, 3);
  bool has_header = true;
  EXPECT_LT(forest.Difference({{question, 5}, {a, 2}, {b, 3}}, 1, &has_header), 1e-5);
  EXPECT_FALSE(has_header);
}

// A header of 9 tokens is copied for each text, or read once; the texts have 5, 4 and 6 tokens of their own.
TEST(PackedAttention, GathersNoMoreKeysAtOnceThanItMay) {
  struct Case {
    int64_t least_header, most_keys;
    std::vector<int64_t> part_keys;
  };
  const std::vector<Case> cases = {{kNoHeader, 42, {14 + 13 + 15}}, {kNoHeader, 41, {14 + 13, 15}},
                                   {kNoHeader, 27, {14 + 13, 15}},  {kNoHeader, 26, {14, 13, 15}},
                                   {kNoHeader, 1, {14, 13, 15}},    {1, 15, {5 + 4 + 6}},
                                   {1, 14, {5 + 4, 6}},             {1, 8, {5, 4, 6}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.least_header == 1) + ", " + std::to_string(c.most_keys));
    Forest forest(13);
    const int64_t header = forest.Add(KvCache::kNoParent, 9);
    EXPECT_LT(forest.Difference({{header, 9}}, c.least_header), 1e-5);
    const int64_t a = forest.Add(header, 5), b = forest.Add(header, 4), d = forest.Add(header, 6);
    std::vector<int64_t> part_keys;
    EXPECT_LT(forest.Difference({{a, 5}, {b, 4}, {d, 6}}, c.least_header, nullptr, c.most_keys, &part_keys), 1e-5);
    EXPECT_EQ(part_keys, c.part_keys);
  }
}

// 32 query heads of 128 over 8: 2 x 8 x 128 x 4 bytes a key as gathered, and 2 x 32 x 128 x 4 as copied; 2^29 / 40,960.
TEST(PackedAttention, CountsTheCopiesForAllQueryHeads) {
  EXPECT_EQ(GatheredKeys(at::empty({1, 32, 128}), 8), 13107);
  EXPECT_EQ(GatheredKeys(at::empty({1, 8, 128}), 8), 65536);  // Nothing is copied.
  EXPECT_EQ(GatheredKeys(at::empty({1, 32, 128}, at::kBFloat16), 8), 26214);  // On the host, in every type.
}

TEST(PassMemory, PlansAgainWhenTheCacheOrTheRunsHaveChanged) {
  KvCache cache(1, 100);
  const at::Tensor queries = at::zeros({1, 2, 8});
  PassMemory memory;
  const int64_t text = *cache.Add(KvCache::kNoParent, 10);
  std::vector<TokenRun> runs = {{text, 3}};
  const auto positions = [&] { return memory.For(cache, runs, queries, 2).positions; };
  EXPECT_EQ(positions(), (std::vector<int64_t>{0, 1, 2}));
  ForestPass* const planned = &memory.For(cache, runs, queries, 2);
  planned->angles.cos = at::zeros({1});
  EXPECT_TRUE(memory.For(cache, runs, queries, 2).angles.cos.defined()) << "the same pass was planned again";
  cache.Advance(runs);
  EXPECT_EQ(positions(), (std::vector<int64_t>{3, 4, 5}));
  runs = {{text, 2}};
  EXPECT_EQ(positions(), (std::vector<int64_t>{3, 4}));
  KvCache other(1, 100);
  EXPECT_EQ(*other.Add(KvCache::kNoParent, 10), text);
  EXPECT_EQ(memory.For(other, runs, queries, 2).positions, (std::vector<int64_t>{0, 1}));
}

TEST(KvCache, CountsNoTwoStatesAlike) {
  KvCache first(1, 100), second(1, 100);
  const int64_t a = *first.Add(KvCache::kNoParent, 10), b = *second.Add(KvCache::kNoParent, 10);
  EXPECT_NE(first.generation(), second.generation());
  const uint64_t added = first.generation();
  first.Advance(std::vector<TokenRun>{{a, 2}});
  EXPECT_NE(first.generation(), added);
  const uint64_t advanced = first.generation();
  first.Remove(a);
  EXPECT_NE(first.generation(), advanced);
  EXPECT_EQ(second.Slots(std::vector<TokenRun>{{b, 3}}), (std::vector<int64_t>{0, 1, 2}));
}

}  // namespace
}  // namespace bitlaw
