// What keys and values are rounded to: static scales of channels, heads and layers.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

at::Tensor Heads(std::vector<float> numbers) {  // [1 token, 2 heads, 2 channels]
  return at::tensor(numbers, at::kFloat).view({1, 2, 2});
}

// Channels of the first head lie in [10, 13] and [-3, 0], those of the second in [-6, 6] and [0, 0.75].
const std::vector<KvRange>& Ranges() {
  static const std::vector<KvRange> kRanges = {
      {at::tensor({10.F, -3.F, -6.F, 0.F}).view({2, 2}), at::tensor({13.F, 0.F, 6.F, 0.75F}).view({2, 2})}};
  return kRanges;
}

std::vector<float> Rounded(const KvGrid& grid, std::vector<float> numbers) {
  const at::Tensor rounded = grid.WithRanges(Ranges()).Round(Heads(std::move(numbers)), 0, -2).contiguous();
  return {rounded.data_ptr<float>(), rounded.data_ptr<float>() + rounded.numel()};
}

// Two bits: points 10, 11, 12, 13; -3, -2, -1, 0; -6, -2, 2, 6; 0, 0.25, 0.5, 0.75. Outside, the nearest end.
TEST(KvGrid, GivesEachChannelThePointsFromItsLeastToItsGreatest) {
  const KvGrid grid{.numbers = {.bits = 2, .symmetric = false}, .scale_of = KvScaleOf::kChannel};
  EXPECT_EQ(Rounded(grid, {11.4F, -1.6F, 0.5F, 0.3F}), (std::vector<float>{11, -2, 2, 0.25F}));
  EXPECT_EQ(Rounded(grid, {9, 4, -100, 5}), (std::vector<float>{10, 0, -6, 0.75F}));
}

// q_max = 1: scales 13, 3, 6, 0.75.
TEST(KvGrid, GivesEachChannelASymmetricScale) {
  const KvGrid grid{.numbers = {.bits = 2}, .scale_of = KvScaleOf::kChannel};
  EXPECT_EQ(Rounded(grid, {11.4F, -1.4F, 3.5F, -5}), (std::vector<float>{13, 0, 6, -0.75F}));
}

// [-3, 13] of the first head and [-6, 6] of the second: 16 / 4 and 12 / 4 are no steps of two bits, 16 / 3 and 4 are.
TEST(KvGrid, GivesAHeadOrALayerOneScale) {
  const KvGrid head{.numbers = {.bits = 2, .symmetric = false}, .scale_of = KvScaleOf::kHead};
  const std::vector<float> of_heads = Rounded(head, {13, -2, 1.9F, 4.1F});
  EXPECT_FLOAT_EQ(of_heads[0], 13);
  EXPECT_EQ(of_heads[1], -3);
  EXPECT_EQ(of_heads[2], 2);
  EXPECT_EQ(of_heads[3], 6);
  const KvGrid layer{.numbers = {.bits = 2}, .scale_of = KvScaleOf::kTensor};  // Scale 13.
  EXPECT_EQ(Rounded(layer, {7, 6, -7, 0.75F}), (std::vector<float>{13, 0, -13, 0}));
}

// 448 / 448 = 1: E4M3 has 16 and 18, and 448 as its largest.
TEST(KvGrid, RoundsToStaticFp8) {
  const KvGrid grid = KvGrid{.numbers = {.format = InputFormat::kFp8E4m3}, .scale_of = KvScaleOf::kHead}.WithRanges(
      {{at::tensor({-448.F, 0.F, -896.F, 0.F}).view({2, 2}), at::tensor({5.F, 5.F, 5.F, 5.F}).view({2, 2})}});
  const at::Tensor rounded = grid.Round(Heads({17, 500, 34, -2.12F}), 0, -2);
  EXPECT_TRUE(rounded.equal(Heads({16, 448, 32, -2}))) << rounded;  // Scale 2 of the second head.
}

// [B, K, T, Dh] and [B, T, K, Dh] hold the same numbers.
TEST(KvGrid, TakesHeadsBeforeOrAfterTokens) {
  const at::Tensor heads = at::randn({2, 5, 2, 2}) * 4;
  for (const KvScaleOf of : {KvScaleOf::kToken, KvScaleOf::kTensor, KvScaleOf::kHead, KvScaleOf::kChannel}) {
    const KvGrid grid = KvGrid{.numbers = {.bits = 3, .symmetric = false}, .scale_of = of}.WithRanges(Ranges());
    EXPECT_TRUE(grid.Round(heads.transpose(1, 2), 0, -3).transpose(1, 2).equal(grid.Round(heads, 0, -2))) << Name(of);
    EXPECT_EQ(grid.Round(heads.to(at::kBFloat16), 0, -2).scalar_type(), at::kBFloat16);
  }
}

TEST(KvGrid, OfWhatWasAlwaysOneValueIsThatValue) {
  const KvGrid grid = KvGrid{.numbers = {.bits = 4, .symmetric = false}, .scale_of = KvScaleOf::kChannel}.WithRanges(
      {{at::full({2, 2}, 5.F), at::full({2, 2}, 5.F)}});
  EXPECT_TRUE(grid.Round(Heads({5, 5, 5, 5}), 0, -2).equal(Heads({5, 5, 5, 5})));
  const KvGrid zero = KvGrid{.numbers = {.bits = 4}, .scale_of = KvScaleOf::kChannel}.WithRanges(
      {{at::zeros({2, 2}), at::zeros({2, 2})}});
  EXPECT_TRUE(zero.Round(Heads({0, 0, 0, 0}), 0, -2).equal(Heads({0, 0, 0, 0})));
}

TEST(KvGrid, KnowsNoScalesBeforeCalibration) {
  const KvGrid grid{.numbers = {.bits = 4}, .scale_of = KvScaleOf::kChannel};
  try {
    grid.Round(Heads({1, 2, 3, 4}), 0, -2);
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_STREQ(error.what(), "KvGrid: no static scales are known of block 0");
  }
}

// 7 / 4 = 1.75: the specification's scale cuts it off at 6, the two others double the scale. 6.5 / 4 = 1.625 lies
// between.
TEST(ActivationGrid, TakesTheRuleOfABlocksScale) {
  at::Tensor x = at::zeros({1, 32});
  const auto first = [&](MxScale rule, float largest) {
    x[0][0] = largest;
    return ActivationGrid{.bits = 4, .format = InputFormat::kMxfp4, .scale_rule = rule}.Round(x)[0][0].item<float>();
  };
  EXPECT_EQ(first(MxScale::kFloor, 7), 6);
  EXPECT_EQ(first(MxScale::kRound, 7), 8);  // 7 / 2 = 3.5 lies halfway between 3 and 4, the even digit.
  EXPECT_EQ(first(MxScale::kCeil, 7), 8);
  EXPECT_EQ(first(MxScale::kFloor, 6.5F), 6);
  EXPECT_EQ(first(MxScale::kRound, 6.5F), 6);
  EXPECT_EQ(first(MxScale::kCeil, 6.5F), 6);  // 6.5 / 2 = 3.25 is 3, times 2.
}

}  // namespace
}  // namespace bitlaw
