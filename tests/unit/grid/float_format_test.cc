#include "bitlaw/sdk/grids/float_format.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace bitlaw {
namespace {

using ::testing::ElementsAre;

TEST(FloatFormat, HasTheValuesOfItsSpecification) {
  EXPECT_THAT(LevelsOf(FloatFormat::kE2M1), ElementsAre(-6, -4, -3, -2, -1.5F, -1, -0.5F, 0, 0.5F, 1, 1.5F, 2, 3, 4, 6));
  // OFP8, table 1: largest normal numbers 448 and 57344, smallest subnormal ones 2^-9 and 2^-16.
  const auto e4m3 = LevelsOf(FloatFormat::kE4M3), e5m2 = LevelsOf(FloatFormat::kE5M2);
  EXPECT_EQ(e4m3.size(), 253u);
  EXPECT_EQ(e4m3.back(), 448);
  EXPECT_EQ(e4m3[126], 0);
  EXPECT_EQ(e4m3[127], 0x1p-9F);
  EXPECT_EQ(e5m2.size(), 247u);
  EXPECT_EQ(e5m2.back(), 57344);
  EXPECT_EQ(e5m2[124], 0x1p-16F);
  EXPECT_EQ(LargestExponentOf(FloatFormat::kE2M1), 2);
  EXPECT_EQ(LargestExponentOf(FloatFormat::kE4M3), 8);
  EXPECT_EQ(LargestExponentOf(FloatFormat::kE5M2), 15);
}

TEST(FloatFormat, RoundsHalfToEvenAndStopsAtTheLargest) {
  // Between 16 and 18 of E4M3 (1.000 and 1.001 times 2^4) lies 17; between 18 and 20, 19.
  EXPECT_EQ(RoundTo(FloatFormat::kE4M3, 17.0F), 16);
  EXPECT_EQ(RoundTo(FloatFormat::kE4M3, std::nextafter(17.0F, 18.0F)), 18);
  EXPECT_EQ(RoundTo(FloatFormat::kE4M3, 19.0F), 20);
  EXPECT_EQ(RoundTo(FloatFormat::kE4M3, -19.0F), -20);
  EXPECT_EQ(RoundTo(FloatFormat::kE4M3, 1e30F), 448);
  EXPECT_EQ(RoundTo(FloatFormat::kE4M3, 0x1p-10F), 0);  // Half of the smallest.
  const at::Tensor values = at::tensor({17.0F, 19.0F, -1e9F, 0.0F});
  EXPECT_TRUE(RoundTo(FloatFormat::kE4M3, values).equal(at::tensor({16.0F, 20.0F, -448.0F, 0.0F})));
}

TEST(FloatFormat, HasTheBitsOfItsSpecification) {
  const auto bits = [](FloatFormat format, float value) {
    return EncodeFloats(format, at::tensor({value})).item<int>();
  };
  EXPECT_EQ(bits(FloatFormat::kE2M1, 6), 0b0111);
  EXPECT_EQ(bits(FloatFormat::kE2M1, -0.5F), 0b1001);
  EXPECT_EQ(bits(FloatFormat::kE4M3, 448), 0x7e);
  EXPECT_EQ(bits(FloatFormat::kE4M3, 1), 0x38);
  EXPECT_EQ(bits(FloatFormat::kE4M3, -0x1p-9F), 0x81);
  EXPECT_EQ(bits(FloatFormat::kE5M2, 57344), 0x7b);
  EXPECT_EQ(bits(FloatFormat::kE8M0, 1), 127);
  EXPECT_EQ(bits(FloatFormat::kE8M0, 0x1p-126F), 1);
  for (const FloatFormat format : {FloatFormat::kE2M1, FloatFormat::kE4M3, FloatFormat::kE5M2, FloatFormat::kE8M0}) {
    const at::Tensor all = at::arange(format == FloatFormat::kE2M1 ? 16 : 256, at::kByte);
    const at::Tensor values = DecodeFloats(format, all), known = values.isfinite();
    EXPECT_TRUE(EncodeFloats(format, values.masked_select(known)).equal(all.masked_select(known))) << static_cast<int>(format);
  }
  EXPECT_TRUE(std::isnan(DecodeFloats(FloatFormat::kE4M3, at::tensor({0x7f}).to(at::kByte)).item<float>()));
}

}  // namespace
}  // namespace bitlaw
