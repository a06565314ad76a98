#include "bitlaw/base/rng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// From a second implementation, in Python's integers, that gives the published sequences of both parts: splitmix64 from
// 1234567 begins 6457827717110365317, 3203168211198807973; xoshiro256** from {1, 2, 3, 4} begins 11520, 0, 1509978240,
// 1215971899390074240.
TEST(Rng, GivesTheSequenceOfXoshiroSeededBySplitmix) {
  Rng zero(0);
  EXPECT_EQ(zero.Next(), 11091344671253066420u);
  EXPECT_EQ(zero.Next(), 13793997310169335082u);
  EXPECT_EQ(zero.Next(), 1900383378846508768u);
  Rng other(42);
  EXPECT_EQ(other.Next(), 1546998764402558742u);
  EXPECT_EQ(other.Next(), 6990951692964543102u);
}

TEST(Rng, UniformIsTheHighBitsOverTwoToThe53) {
  Rng rng(42);
  EXPECT_EQ(rng.Uniform(), 0.08386297105988216);
  EXPECT_EQ(rng.Uniform(), 0.3789802506626686);
}

TEST(Rng, BelowIsInRangeAndEven) {
  Rng rng(7);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60000; ++i) ++counts.at(rng.Below(6));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 450);  // 5 standard deviations of 91.
  EXPECT_EQ(rng.Below(1), 0u);
  EXPECT_THROW(rng.Below(0), InternalError);
}

TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
  Rng rng(11);
  double sum = 0, sum_of_squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Normal();
    sum += x;
    sum_of_squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.016);             // 5 / sqrt(n)
  EXPECT_NEAR(sum_of_squares / kDraws, 1, 0.023);  // 5 sqrt(2 / n)
}

TEST(Rng, ShuffleKeepsTheItemsAndDependsOnTheSeedAlone) {
  std::array<int, 50> first, second, sorted;
  std::iota(first.begin(), first.end(), 0);
  second = sorted = first;
  Rng(3).Shuffle(std::span<int>(first));
  Rng(3).Shuffle(std::span<int>(second));
  EXPECT_EQ(first, second);
  EXPECT_NE(first, sorted);
  EXPECT_THAT(first, testing::UnorderedElementsAreArray(sorted));
}

TEST(Rng, ForksDoNotDependOnWhatWasDrawnBefore) {
  Rng fresh(5), used(5);
  used.Next();
  used.Normal();
  EXPECT_EQ(fresh.Fork(3).Next(), used.Fork(3).Next());
  EXPECT_NE(fresh.Fork(3).Next(), fresh.Fork(4).Next());
  EXPECT_NE(Rng(5).Fork(3).Next(), Rng(6).Fork(3).Next());
}

}  // namespace
}  // namespace bitlaw
