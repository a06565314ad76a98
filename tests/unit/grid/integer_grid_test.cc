#include "bitlaw/sdk/grids/integer_grid.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {
namespace {

struct Found {
  float scale, zero;
};

Found Find(GridRule rule, const std::vector<float>& w) {
  Found found;
  FindGrid(rule, w.data(), 1, static_cast<int64_t>(w.size()), static_cast<int64_t>(w.size()), &found.scale, &found.zero);
  return found;
}

GridRule Rule(int bits, bool symmetric, ScaleDtype dtype = ScaleDtype::kFloat32) {
  GridRule rule;
  rule.bits = bits;
  rule.symmetric = symmetric;
  rule.scale_dtype = dtype;
  return rule;
}

at::Tensor RandomWeight(int64_t rows, int64_t columns, uint64_t seed) {
  Rng rng(seed);
  at::Tensor w = at::empty({rows, columns}, at::kFloat);
  for (int64_t i = 0; i < w.numel(); ++i) w.data_ptr<float>()[i] = static_cast<float>(0.02 * rng.Normal());
  return w;
}

std::string TextOfNumericalError(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumerical);
    return error.what();
  }
  return "(no error)";
}

TEST(IntegerGrid, SpansTheRangeOfAnAsymmetricGroup) {
  const Found found = Find(Rule(2, false), {-1, 0.5f, 2});  // 3 steps from -1 to 2
  EXPECT_EQ(found.scale, 1.0f);
  EXPECT_EQ(found.zero, 1.0f);
}

TEST(IntegerGrid, KeepsZeroInsideAnAllPositiveGroup) {
  const Found found = Find(Rule(2, false), {2, 3});
  EXPECT_EQ(found.scale, 1.0f);
  EXPECT_EQ(found.zero, 0.0f);
}

TEST(IntegerGrid, KeepsZeroInsideAnAllNegativeGroup) {
  const Found found = Find(Rule(2, false), {-3, -2});
  EXPECT_EQ(found.scale, 1.0f);
  EXPECT_EQ(found.zero, 3.0f);
}

TEST(IntegerGrid, MirrorsASymmetricGroupAndClipsItsLargestValue) {
  const Found found = Find(Rule(4, true), {-1, 1.5f});
  EXPECT_EQ(found.scale, 0.2f);  // 2 * 1.5 / 15
  EXPECT_EQ(found.zero, 8.0f);
  EXPECT_EQ(CodeOf(1.5f, found.scale, found.zero, 15), 15.0f);  // level 7 of -8..7
}

TEST(IntegerGrid, HalvesTheRangeOfASymmetricGroupWithoutANegative) {
  const Found found = Find(Rule(4, true), {0, 1.5f});
  EXPECT_EQ(found.scale, 0.1f);  // 1.5 / 15: the reference's quirk
  EXPECT_EQ(found.zero, 8.0f);
}

TEST(IntegerGrid, GivesAGroupOfZerosTheRangeOfMinusOneToOne) {
  EXPECT_EQ(Find(Rule(2, false), {0, 0, 0}).scale, 2.0f / 3);
  EXPECT_EQ(Find(Rule(2, false), {0, 0, 0}).zero, 2.0f);  // round(1.5) to even
  EXPECT_EQ(Find(Rule(2, true), {0, 0, 0}).zero, 2.0f);
}

TEST(IntegerGrid, RoundsHalfToEven) {
  const float halves[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 4194303.5f, 1e9f};
  const float rounded[] = {0, 2, 2, -0.0f, -2, 4194304, 1e9f};
  for (size_t i = 0; i < std::size(halves); ++i) EXPECT_EQ(RoundHalfToEven(halves[i]), rounded[i]) << halves[i];
}

TEST(IntegerGrid, ClampsCodesOfWeightsOutsideTheRange) {
  EXPECT_EQ(CodeOf(100, 1, 1, 3), 3.0f);
  EXPECT_EQ(CodeOf(-100, 1, 1, 3), 0.0f);
  EXPECT_EQ(CodeOf(-1e30f, 1e-3f, 1, 3), 0.0f);
}

TEST(IntegerGrid, RoundsScalesToFloat16BeforeCodesAreComputed) {
  const Found found = Find(Rule(2, false, ScaleDtype::kFloat16), {-1, 0.1f});
  EXPECT_EQ(found.scale, 0.36669921875f);  // 1.1 / 3 = 0.36666... in float16
}

// 1.1 / 3 is 375.47 / 1024: with nine digits 375 / 1024, whose product with 3 has eleven.
TEST(IntegerGrid, RoundsScalesToSoFewDigitsThatTheirProductsWithZeroPointsAreFloat16) {
  GridRule rule = Rule(2, false, ScaleDtype::kFloat16);
  rule.scale_digits = 9;
  EXPECT_EQ(Find(rule, {-1, 0.1f}).scale, 0.3662109375f);
  rule.bits = 4;
  rule.scale_digits = 7;
  rule.mse = true;
  Rng rng(5);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> w(32);
    for (float& x : w) x = static_cast<float>(0.02 * rng.Normal());
    const Found found = Find(rule, w);
    const float product = found.scale * found.zero;
    EXPECT_EQ(product, static_cast<float>(c10::Half(product))) << found.scale << " " << found.zero;
    EXPECT_EQ(found.scale, static_cast<float>(c10::Half(found.scale)));
  }
}

TEST(IntegerGrid, SearchOfTheLeastErrorShrinksAroundAnOutlier) {
  std::vector<float> w(64, 0.0f);
  Rng rng(3);
  for (float& x : w) x = static_cast<float>(rng.Normal());
  w[0] = 20;
  GridRule rule = Rule(3, false);
  const Found whole = Find(rule, w);
  rule.mse = true;
  const Found searched = Find(rule, w);
  const auto error = [&](const Found& found) {
    double sum = 0;
    for (const float x : w) {
      sum += std::pow(std::fabs(found.scale * (CodeOf(x, found.scale, found.zero, 7) - found.zero) - x), 2.4);
    }
    return sum;
  };
  EXPECT_LT(searched.scale, whole.scale);
  EXPECT_LT(error(searched), error(whole));
  // No other shrink does better: the search by its definition, in float64 powers.
  for (int i = 0; i < 80; ++i) {
    const float p = static_cast<float>(1 - i / 100.0);
    const auto [low_it, high_it] = std::minmax_element(w.begin(), w.end());
    const float low = p * std::min(*low_it, 0.0f), high = p * std::max(*high_it, 0.0f);
    const float scale = (high - low) / 7;
    EXPECT_GE(error({scale, RoundHalfToEven(-low / scale)}), error(searched) * (1 - 1e-5)) << "p = " << p;
  }
}

TEST(IntegerGrid, SearchKeepsAGroupThatTheGridHoldsExactly) {
  GridRule rule = Rule(2, false);
  rule.mse = true;
  EXPECT_EQ(Find(rule, {-1, 0, 1, 2}).scale, 1.0f);
}

TEST(RoundToNearest, ErrsByAtMostHalfAStep) {
  for (const int64_t group : {16L, 48L, -1L}) {
    for (int bits = 2; bits <= 8; ++bits) {
      const at::Tensor w = RandomWeight(33, 144, bits);
      const QuantizedLinear q = RoundToNearest(Rule(bits, false), w, group, "layer");
      q.Validate({.name = "layer", .in_features = 144, .out_features = 33});
      const at::Tensor step = q.scales.index_select(1, q.group_index.to(at::kLong));  // [C_out, C_in]
      // The zero point is rounded too, so the ends may clip by half a step more.
      EXPECT_LE(((q.Dequantize() - w).abs() / step).max().item<float>(), 1.0f + 1e-4f);
      EXPECT_LT(((q.Dequantize() - w).abs() / step).mean().item<float>(), 0.27f);  // uniform: 0.25
    }
  }
}

TEST(RoundToNearest, GivesALastGroupOfItsOwnToWhatIsLeftOfARow) {
  const QuantizedLinear q = RoundToNearest(Rule(4, false), RandomWeight(2, 40, 1), 32, "layer");
  EXPECT_EQ(q.scales.size(1), 2);
  EXPECT_EQ(q.group_index[31].item<int>(), 0);
  EXPECT_EQ(q.group_index[32].item<int>(), 1);
}

TEST(RoundToNearest, GivesTheSameBytesForAnyNumberOfThreads) {
  const at::Tensor w = RandomWeight(130, 256, 5);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const QuantizedLinear one = RoundToNearest(Rule(3, false), w, 64, "layer");
  at::set_num_threads(2);
  const QuantizedLinear two = RoundToNearest(Rule(3, false), w, 64, "layer");
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.codes, two.codes));
  EXPECT_TRUE(at::equal(one.scales, two.scales));
}

double Diagnostic(const QuantizedLinear& q, const std::string& name) {
  for (const auto& [key, value] : q.diagnostics) {
    if (key == name) return value;
  }
  return 0;
}

TEST(RoundToNearest, GivesWeightsTooSmallForFloat16ScalesTheSmallestOne) {
  // One group of each row is tiny; the others go on as if it were not there.
  for (const int bits : {1, 2, 3, 4, 8}) {
    for (const bool symmetric : {false, true}) {
      for (const float tiny : {1e-9f, -1e-9f, 1e-8f, -3e-38f, 1e-45f}) {
        at::Tensor w = RandomWeight(4, 32, 3);
        const QuantizedLinear plain = RoundToNearest(Rule(bits, symmetric, ScaleDtype::kFloat16), w, 16, "q_proj");
        w[2].narrow(0, 16, 16).fill_(tiny);
        const QuantizedLinear q = RoundToNearest(Rule(bits, symmetric, ScaleDtype::kFloat16), w, 16, "q_proj");
        EXPECT_EQ(q.scales[2][1].item<float>(), 0x1p-24f) << bits << symmetric << tiny;
        EXPECT_LE((q.Dequantize() - w)[2].narrow(0, 16, 16).abs().max().item<float>(), 0x1p-24f);
        EXPECT_EQ(Diagnostic(q, "smallest_scales"), 1.0);
        EXPECT_TRUE(q.Dequantize().narrow(0, 0, 2).equal(plain.Dequantize().narrow(0, 0, 2)));
        EXPECT_TRUE(q.Dequantize()[2].narrow(0, 0, 16).equal(plain.Dequantize()[2].narrow(0, 0, 16)));
      }
    }
  }
}

TEST(RoundToNearest, GivesARowTooSmallForFloat16ScalesTheSmallestOne) {
  at::Tensor w = RandomWeight(2, 40, 3);
  w[1] *= 1e-8;
  GridRule rule = Rule(8, false, ScaleDtype::kFloat16);
  for (const bool mse : {false, true}) {
    rule.mse = mse;
    const QuantizedLinear q = RoundToNearest(rule, w, -1, "q_proj");
    EXPECT_EQ(q.scales[1][0].item<float>(), 0x1p-24f);
    EXPECT_EQ(q.Dequantize()[1].abs().max().item<float>(), 0.0f) << "all below half a step";
    EXPECT_EQ(Diagnostic(q, "smallest_scales"), 1.0);
  }
}

TEST(RoundToNearest, KeepsTheDigitsOfSmallWeightsInFloat32Scales) {
  const at::Tensor w = at::full({1, 16}, 1e-8f);
  const QuantizedLinear q = RoundToNearest(Rule(4, false), w, -1, "q_proj");
  EXPECT_NEAR(q.Dequantize()[0][0].item<float>(), 1e-8f, 1e-15f);
  EXPECT_EQ(q.diagnostics.size(), 0u);
  // 1e-45 / 15 is below float32, too.
  const QuantizedLinear least = RoundToNearest(Rule(4, false), at::full({1, 16}, 1e-45f), -1, "q_proj");
  EXPECT_EQ(least.scales[0][0].item<float>(), 0x1p-126f);
  EXPECT_EQ(least.Dequantize().abs().max().item<float>(), 0.0f);
  EXPECT_EQ(Diagnostic(least, "smallest_scales"), 1.0);
}

TEST(RoundToNearest, ReportsAScaleThatOverflowsItsTypeWithItsPlace) {
  at::Tensor w = RandomWeight(3, 32, 3);
  w[2][20] = 1e8f;
  EXPECT_EQ(TextOfNumericalError([&] { RoundToNearest(Rule(4, false, ScaleDtype::kFloat16), w, 16, "q_proj"); }),
            "q_proj: the scale of row 2, group 1 is not finite in float16, whose largest number is 65504. Use "
            "scale_dtype: float32, or look for weights of extreme size in the checkpoint.");
  EXPECT_EQ(TextOfNumericalError([&] { RoundToNearest(Rule(4, false), w, 16, "q_proj"); }), "(no error)");
  w[2][20] = 3e38f;
  w[2][21] = -3e38f;
  EXPECT_EQ(TextOfNumericalError([&] { RoundToNearest(Rule(4, false), w, 16, "q_proj"); }),
            "q_proj: the scale of row 2, group 1 is not finite in float32, whose largest number is 3.4e38. Look for "
            "weights of extreme size in the checkpoint.");
}

TEST(RoundToNearest, CountsSubnormalScales) {
  at::Tensor w = at::full({2, 16}, 1.0f);
  w[1].fill_(1e-4f);  // scale 1e-4 / 15 < 2^-14
  const QuantizedLinear q = RoundToNearest(Rule(4, false, ScaleDtype::kFloat16), w, -1, "q_proj");
  ASSERT_EQ(q.diagnostics.size(), 1u);
  EXPECT_EQ(q.diagnostics[0].first, "subnormal_scales");
  EXPECT_EQ(q.diagnostics[0].second, 1.0);
}

TEST(RoundToNearest, ReportsWeightsThatAreNotFinite) {
  at::Tensor w = at::zeros({2, 16});
  w[1][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(TextOfNumericalError([&] { RoundToNearest(Rule(4, false), w, -1, "q_proj"); }),
            "q_proj: 1 of 32 weights are not finite. A grid needs finite weights. Look for a damaged checkpoint or an "
            "overflow in its dtype.");
}

}  // namespace
}  // namespace bitlaw
