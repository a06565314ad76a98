#include "round_off_law.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace {

RoundOffLaw MakeLaw() { return {"noise", RoundOffLaw::Schema().Resolve(bitlaw::Value(), "law 'round_off'")}; }

TEST(ExpectedMaximum, IsKnownInClosedFormForOneAndTwoWeights) {
  EXPECT_NEAR(ExpectedMaximum(1), std::sqrt(2 / M_PI), 1e-6);  // 0.797885
  EXPECT_NEAR(ExpectedMaximum(2), 2 / std::sqrt(M_PI), 1e-6);  // 1.128379
  EXPECT_TRUE(std::isnan(ExpectedMaximum(0)));
}

TEST(RoundOffNoise, FallsByAFactorOfNineFromOneBitToTwo) {
  EXPECT_NEAR(RoundOffNoise(1, 128) / RoundOffNoise(2, 128), 9, 1e-12);  // (2^2 - 1)^2 / (2^1 - 1)^2
}

TEST(RoundOffNoise, GrowsWithTheGroup) { EXPECT_GT(RoundOffNoise(4, 128), RoundOffNoise(4, 32)); }

TEST(RoundOffLaw, GradientIsThatOfDifferences) {
  const RoundOffLaw law = MakeLaw();
  const std::array<double, 3> theta = {12.0, -0.3, 0.2}, x = {1.3e8, 3, 128};
  std::array<double, 3> gradient{};
  law.Predict(theta, x, gradient);
  for (size_t i = 0; i < theta.size(); ++i) {
    const double h = 1e-6 * std::abs(theta[i]);
    std::array<double, 3> up = theta, down = theta;
    up[i] += h;
    down[i] -= h;
    const double difference = (law.Predict(up, x, {}) - law.Predict(down, x, {})) / (2 * h);
    EXPECT_NEAR(gradient[i] / difference, 1, 1e-7) << law.parameters()[i].name;
  }
}

TEST(RoundOffLaw, LinearFormIsItsLogarithm) {
  const RoundOffLaw law = MakeLaw();
  const std::array<double, 3> theta = {12.0, -0.3, 0.2}, x = {1.3e8, 3, 128};
  std::array<double, 3> features{};
  const double offset = law.LinearFeatures(x, features);
  const double sum = offset + std::log(theta[0]) * features[0] + theta[1] * features[1] + theta[2] * features[2];
  EXPECT_NEAR(sum, std::log(law.Predict(theta, x, {})), 1e-12);
}

TEST(RoundOffLaw, IsNaNOutsideItsDomain) {
  const std::array<double, 3> theta = {12.0, -0.3, 0.2};
  EXPECT_TRUE(std::isnan(MakeLaw().Predict(theta, std::array{1e8, 0.0, 128.0}, {})));
  EXPECT_TRUE(std::isnan(MakeLaw().Predict(theta, std::array{-1.0, 3.0, 128.0}, {})));
}

}  // namespace
