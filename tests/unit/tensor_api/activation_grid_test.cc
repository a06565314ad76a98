// What inputs of linear layers are rounded to: groups, static ranges, floating-point formats.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "bitlaw/api/quantized_linear.h"

namespace bitlaw {
namespace {

std::vector<float> Rounded(const ActivationGrid& grid, const std::vector<float>& row) {
  const at::Tensor rounded = grid.Round(at::tensor(row, at::kFloat).unsqueeze(0)).contiguous();
  return {rounded.data_ptr<float>(), rounded.data_ptr<float>() + rounded.numel()};
}

// 32 channels, those after the given ones zero.
std::vector<float> Padded(std::vector<float> row) {
  row.resize(32, 0.0F);
  return row;
}

// q_max = 3. Groups {3, -1.4} and {0.75, 0.25}: scales 1 and 1/4; one scale of the row is 1.
TEST(ActivationGrid, GivesEachGroupOfChannelsItsScale) {
  const std::vector<float> row = {3, -1.4F, 0.75F, 0.25F};
  EXPECT_EQ(Rounded({.bits = 3, .group_size = 2}, row), (std::vector<float>{3, -1, 0.75F, 0.25F}));
  EXPECT_EQ(Rounded({.bits = 3}, row), (std::vector<float>{3, -1, 1, 0}));
}

// [-1, 2] in two bits: scale 1, code of zero 1, points -1, 0, 1, 2. What lies outside becomes the nearest end.
TEST(ActivationGrid, TakesAnAsymmetricRangeFromCalibration) {
  const ActivationGrid grid = ActivationGrid{.bits = 2, .symmetric = false, .per_token = false}.WithRange(-1, 2);
  EXPECT_EQ(grid.static_scale, 1);
  EXPECT_EQ(grid.static_zero, 1);
  EXPECT_EQ(Rounded(grid, {-5, -0.6F, 0.4F, 7}), (std::vector<float>{-1, -1, 0, 2}));
  // Zero lies on the grid though all inputs were positive.
  const ActivationGrid positive = ActivationGrid{.bits = 2, .symmetric = false, .per_token = false}.WithRange(3, 6);
  EXPECT_EQ(positive.static_scale, 2);
  EXPECT_EQ(positive.static_zero, 0);
}

TEST(ActivationGrid, TakesASymmetricRangeFromCalibration) {
  const ActivationGrid grid = ActivationGrid{.bits = 3, .per_token = false}.WithRange(-6, 1);  // 6 / 3
  EXPECT_EQ(grid.static_scale, 2);
  EXPECT_EQ(Rounded(grid, {-9, 2.9F, 3.1F, 0.5F}), (std::vector<float>{-6, 2, 4, 0}));
  EXPECT_EQ((ActivationGrid{.bits = 3, .per_token = false}.WithRange(0, 0).static_scale), 1);
  const ActivationGrid token{.bits = 3};
  EXPECT_EQ(token.WithRange(-6, 1), token);
}

// E4M3 has 16 and 18 (17 goes to the even digit), 1 and 1.125, and 448 as its largest.
TEST(ActivationGrid, RoundsToFp8) {
  const ActivationGrid token{.format = InputFormat::kFp8E4m3};
  EXPECT_EQ(Rounded(token, {448, 17, -1.06F, 18}), (std::vector<float>{448, 16, -1, 18}));
  EXPECT_EQ(Rounded(token, {224, 8.5F, -0.53F, 0}), (std::vector<float>{224, 8, -0.5F, 0}));
  EXPECT_EQ(Rounded(token, {0, 0, 0, 0}), (std::vector<float>{0, 0, 0, 0}));
  const ActivationGrid tensor = ActivationGrid{.per_token = false, .format = InputFormat::kFp8E4m3}.WithRange(-896, 5);
  EXPECT_EQ(tensor.static_scale, 2);
  EXPECT_EQ(Rounded(tensor, {1000, 34, -2.12F, 0}), (std::vector<float>{896, 32, -2, 0}));
}

// E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6. A largest of 4 up to 8 has the scale 1, so that 7 becomes 6; 5 goes to the even 4.
TEST(ActivationGrid, RoundsToMxfp4AndMxfp8) {
  const ActivationGrid four{.bits = 4, .format = InputFormat::kMxfp4};
  EXPECT_EQ(Rounded(four, Padded({6, 2.4F, -0.3F, 5})), Padded({6, 2, -0.5F, 4}));
  EXPECT_EQ(Rounded(four, Padded({7, 2.4F})), Padded({6, 2}));
  EXPECT_EQ(Rounded(four, Padded({12, 4.8F})), Padded({12, 4}));  // Scale 2.
  const ActivationGrid eight{.bits = 8, .format = InputFormat::kMxfp8};
  EXPECT_EQ(Rounded(eight, Padded({256, 17})), Padded({256, 16}));  // Scale 1.
  // Two blocks of a row: the second has its own scale, 1/8.
  std::vector<float> row = Padded({6}), expected = row;
  row.resize(64, 0.0F), row[32] = 0.75F, row[33] = 0.3F;
  expected.resize(64, 0.0F), expected[32] = 0.75F, expected[33] = 0.25F;
  EXPECT_EQ(Rounded(four, row), expected);
}

// 448 * 6 / 2688 = 1; then a block whose largest is 6 has the scale 1, and one whose largest is 2688 has 448.
TEST(ActivationGrid, RoundsToNvfp4WithTheTensorsScaleFromCalibration) {
  const ActivationGrid grid = ActivationGrid{.bits = 4, .format = InputFormat::kNvfp4}.WithRange(-2688, 5);
  EXPECT_EQ(grid.scale_divisor, 1);
  std::vector<float> row = Padded({6, 2.4F, -0.3F}), expected = Padded({6, 2, -0.5F});
  row[16] = 2688, expected[16] = 2688;  // The second block of 16.
  row[17] = 100, expected[17] = 0;      // 100 / 448 < 0.25
  EXPECT_EQ(Rounded(grid, row), expected);
  // Twice what calibration saw: the block's scale is at its end, 448.
  EXPECT_EQ(Rounded(grid, Padded({5376})), Padded({2688}));
}

TEST(ActivationGrid, LeavesWhatIsNoNumber) {
  for (const ActivationGrid& grid : {ActivationGrid{.bits = 8}, ActivationGrid{.format = InputFormat::kFp8E4m3},
                                     ActivationGrid{.bits = 4, .format = InputFormat::kMxfp4}}) {
    EXPECT_TRUE(std::isnan(Rounded(grid, Padded({1, NAN}))[1])) << Name(grid.format);
  }
}

// A token rounds to the same whatever comes with it, so that texts may be batched and cached in any way.
TEST(ActivationGrid, RoundsEachRowByItself) {
  const at::Tensor rows = at::randn({5, 64}) * at::tensor({0.01F, 1.0F, 30.0F, 0.0F, 5.0F}).unsqueeze(1);
  for (const ActivationGrid& grid :
       {ActivationGrid{.bits = 4}, ActivationGrid{.bits = 4, .symmetric = false},
        ActivationGrid{.bits = 4, .group_size = 16},
        ActivationGrid{.bits = 4, .per_token = false}.WithRange(-3, 2),
        ActivationGrid{.format = InputFormat::kFp8E4m3}, ActivationGrid{.bits = 4, .format = InputFormat::kMxfp4},
        ActivationGrid{.format = InputFormat::kMxfp8},
        ActivationGrid{.bits = 4, .format = InputFormat::kNvfp4}.WithRange(-3, 2)}) {
    const at::Tensor together = grid.Round(rows);
    for (int64_t i = 0; i < rows.size(0); ++i) {
      EXPECT_TRUE(together[i].equal(grid.Round(rows.narrow(0, i, 1))[0])) << Name(grid.format) << " row " << i;
    }
  }
}

TEST(ActivationGrid, SaysWhichChannelsItCannotDivide) {
  EXPECT_EQ((ActivationGrid{.group_size = 16}.ExplainChannels(32)), "");
  EXPECT_EQ((ActivationGrid{.group_size = 24}.ExplainChannels(32)),
            "its inputs have 32 channels, and activations are rounded in groups of 24, which does not divide them.");
  EXPECT_EQ((ActivationGrid{.bits = 4, .format = InputFormat::kMxfp4}.ExplainChannels(48)),
            "its inputs have 48 channels, and activations are rounded in blocks of 32, which does not divide them.");
}

}  // namespace
}  // namespace bitlaw
