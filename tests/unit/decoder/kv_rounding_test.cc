// Keys and values are rounded to the same numbers however a text is read: whole, cached piece by piece, beside others.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

// Heads of 32 channels, a block of the MX formats.
DecoderConfig WideHeads() {
  DecoderConfig config = SmallConfig();
  config.head_dim = 32;
  return config;
}

// Ranges that some of the text lies outside of.
std::vector<KvRange> SomeRanges() {
  at::Generator generator = at::detail::createCPUGenerator(11);
  std::vector<KvRange> ranges;
  for (int64_t block = 0; block < 2; ++block) {
    const at::Tensor middle = at::randn({2, 32}, generator, at::kFloat) * 0.3;
    const at::Tensor half = at::rand({2, 32}, generator, at::kFloat) + 0.5;
    ranges.push_back({middle - half, middle + half});
  }
  return ranges;
}

KvGrid Grid(const ActivationGrid& numbers, KvScaleOf of) {
  return KvGrid{.numbers = numbers, .scale_of = of}.WithRanges(SomeRanges());
}

// Every format and whatever shares a scale, before and after the rotation.
std::vector<std::pair<std::string, KvCacheGrid>> Grids() {
  const ActivationGrid four{.bits = 4}, three{.bits = 3, .symmetric = false}, fp8{.format = InputFormat::kFp8E4m3};
  const KvGrid token{.numbers = three}, mx4{.numbers = {.bits = 4, .format = InputFormat::kMxfp4}},
      mx8{.numbers = {.format = InputFormat::kMxfp8, .scale_rule = MxScale::kCeil}};
  return {{"a token's head", {.keys = KvGrid{four}, .values = token}},
          {"channels, tokens", {.keys = Grid(three, KvScaleOf::kChannel), .values = token}},
          {"channels before the rotation",
           {.keys = Grid(three, KvScaleOf::kChannel), .values = token, .keys_before_rotation = true}},
          {"tokens before the rotation", {.keys = token, .keys_before_rotation = true}},
          {"heads, layers", {.keys = Grid(four, KvScaleOf::kHead), .values = Grid(four, KvScaleOf::kTensor)}},
          {"fp8 of tokens", {.keys = KvGrid{fp8}, .values = KvGrid{fp8}}},
          {"fp8 of heads", {.keys = Grid(fp8, KvScaleOf::kHead), .values = Grid(fp8, KvScaleOf::kHead)}},
          {"mx", {.keys = mx8, .values = mx4}}};
}

at::Tensor LogitsOf(Model& model, const at::Tensor& tokens, const ForwardContext& context = {}) {
  return model.Logits(model.Forward(tokens, context));  // [B, T, V]
}

TEST(KvRounding, IsTheSameWithACacheAndWithout) {
  const auto plain = RandomDecoder(WideHeads());
  EXPECT_TRUE(plain->summary().rounds_kv_cache);
  EXPECT_EQ(plain->summary().head_dim, 32);
  const at::Tensor tokens = SomeTokens(1, 12), exact = LogitsOf(*plain, tokens);
  for (const auto& [name, grid] : Grids()) {
    const auto model = RandomDecoder(WideHeads());
    model->RoundKvCache(grid);
    const at::Tensor whole = LogitsOf(*model, tokens);
    KvCache cache(2, 12);
    const int64_t segment = *cache.Add(KvCache::kNoParent, 12);
    std::vector<at::Tensor> parts;
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 5}, {5, 1}, {6, 6}}) {
      const TokenRun run{segment, count};
      parts.push_back(LogitsOf(*model, tokens.narrow(1, first, count), {&cache, {&run, 1}}));
    }
    EXPECT_LT(LargestDifference(at::cat(parts, 1), whole), 1e-4) << name;
    EXPECT_GT(LargestDifference(exact, whole), 1e-3) << name;
    if (!grid.keys_before_rotation) {  // What the cache holds is on the grid: rounding changes it no more.
      const at::Tensor keys = cache.keys(0).narrow(0, cache.slot(segment), 12);
      EXPECT_TRUE(at::allclose(grid.keys->Round(keys, 0, -2), keys, 1e-6, 1e-6)) << name;
    }
  }
}

// A header in the cache, and two texts that go on after it in one pass: what they read of it is what each whole text
// has.
TEST(KvRounding, IsTheSameInAForestOfTexts) {
  const at::Tensor header = SomeTokens(1, 7), first = SomeTokens(1, 5, 4), second = SomeTokens(1, 9, 5);
  for (const auto& [name, grid] : Grids()) {
    const auto model = RandomDecoder(WideHeads());
    model->RoundKvCache(grid);
    KvCache cache(2, 40);
    const int64_t root = *cache.Add(KvCache::kNoParent, 7);
    const TokenRun root_run{root, 7};
    LogitsOf(*model, header, {&cache, {&root_run, 1}});
    const std::vector<TokenRun> runs = {{*cache.Add(root, 5), 5}, {*cache.Add(root, 9), 9}};
    const at::Tensor given = LogitsOf(*model, at::cat({first, second}, 1), {&cache, runs});
    const at::Tensor expected = at::cat({LogitsOf(*model, at::cat({header, first}, 1)).narrow(1, 7, 5),
                                         LogitsOf(*model, at::cat({header, second}, 1)).narrow(1, 7, 9)},
                                        1);
    EXPECT_LT(LargestDifference(given, expected), 1e-4) << name;
  }
}

// Values of one head of block 1 beyond the range: its end. Those of the other block have their own scales.
TEST(KvRounding, TakesTheScalesOfItsBlock) {
  const KvCacheGrid grid{.values = Grid({.bits = 4}, KvScaleOf::kChannel)};
  const auto model = RandomDecoder(WideHeads());
  model->RoundKvCache(grid);
  KvCache cache(2, 6);
  const TokenRun run{*cache.Add(KvCache::kNoParent, 6), 6};
  LogitsOf(*model, SomeTokens(1, 6), {&cache, {&run, 1}});
  for (const int64_t block : {0, 1}) {
    const at::Tensor values = cache.values(block).narrow(0, 0, 6);
    EXPECT_TRUE(at::allclose(grid.values->Round(values, block, -2), values, 1e-6, 1e-6)) << block;
    EXPECT_FALSE(at::allclose(grid.values->Round(values, 1 - block, -2), values, 1e-6, 1e-6)) << block;
  }
}

}  // namespace
}  // namespace bitlaw
