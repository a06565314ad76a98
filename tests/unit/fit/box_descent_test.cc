#include "fit/box/box_descent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "fit/box/box_step.h"

namespace bitlaw {
namespace {

// 3 - 4 t is within the knee from t = 0.5 to 1; -5 + 2 t is below it all the way.
TEST(ShareToLowest, SolvesForTheZeroOfAPiecewiseStraightSlope) {
  const KneeRow crossing = {3, -4, -4, 1}, far = {-5, 2, 2, -1};
  std::vector<KneeRow> one = {crossing};
  EXPECT_DOUBLE_EQ(ShareToLowest(one, 1, -4, 0), 0.75);  // -4 (3 - 4 t) = 0
  std::vector<KneeRow> both = {crossing, far};
  EXPECT_DOUBLE_EQ(ShareToLowest(both, 1, -6, 0), 0.875);  // -4 (3 - 4 t) - 2 = 0
  std::vector<KneeRow> left_out = {crossing};
  EXPECT_DOUBLE_EQ(ShareToLowest(left_out, 1, -6, 0), 0.875);  // The far row is in the slope at 0 alone.
  std::vector<KneeRow> curved = {crossing};
  EXPECT_DOUBLE_EQ(ShareToLowest(curved, 1, -6, 8), 7.0 / 12);  // -4 (3 - 4 t) - 2 + 8 t = 0
  std::vector<KneeRow> often = {{3, -4, -12, 1}};
  EXPECT_DOUBLE_EQ(ShareToLowest(often, 1, -14, 0), 0.75 + 1.0 / 24);  // -12 (3 - 4 t) - 2 = 0
}

TEST(ShareToLowest, IsAllWhereTheSlopeIsStillBelowZeroAtTheEnd) {
  std::vector<KneeRow> rows = {{5, -1, -1, 1}};
  EXPECT_EQ(ShareToLowest(rows, 1, -1, 0), 1);
  std::vector<KneeRow> none;
  EXPECT_EQ(ShareToLowest(none, 1, -3, 2), 1);
  EXPECT_DOUBLE_EQ(ShareToLowest(none, 1, -3, 4), 0.75);  // -3 + 4 t = 0
}

// a e^(b x) on the seven x from 0 to 6, about 3 e^(-x / 2), one value far off.
class Decay final : public ResidualFunction {
 public:
  size_t residuals() const override { return 7; }
  bool Evaluate(std::span<const double> at, double* residuals, double* jacobian) const override {
    ++evaluations;
    const double y[] = {3.02, 1.81, 1.11, 2.5, 0.41, 0.24, 0.152};
    for (size_t i = 0; i < 7; ++i) {
      const double x = static_cast<double>(i), e = std::exp(at[1] * x);
      residuals[i] = at[0] * e - y[i];
      jacobian[2 * i] = e;
      jacobian[2 * i + 1] = at[0] * x * e;
    }
    return true;
  }
  mutable int evaluations = 0;
};

TEST(DescendInBox, KeepsACurvatureThatPredictsWell) {
  const Decay decay;
  const double low[] = {0, -5}, high[] = {100, 0};
  const BoxProblem problem = {decay, {}, low, high, 0.05};
  double x[] = {1, -0.1};
  const BoxOutcome outcome = DescendInBox(problem, BoxOptions(), x);
  EXPECT_TRUE(outcome.converged) << outcome.status;
  // sum psi dr/da = sum psi dr/db = 0 at the solution, psi being 0.05 of the row that is far off.
  const int evaluations = decay.evaluations;
  double residuals[7], jacobian[14], slope[2] = {0, 0};
  decay.Evaluate(x, residuals, jacobian);
  EXPECT_LT(residuals[3], -1.5);
  for (size_t i = 0; i < 7; ++i) {
    for (size_t j = 0; j < 2; ++j) slope[j] += std::clamp(residuals[i], -0.05, 0.05) * jacobian[2 * i + j];
  }
  EXPECT_NEAR(slope[0], 0, 1e-10);
  EXPECT_NEAR(slope[1], 0, 1e-10);
  // One at the start and one a step; the two of a curvature are needed in few of the steps.
  EXPECT_LE(evaluations, 1 + outcome.iterations + 2 * 2) << outcome.iterations << " iterations";
}

// y - x^2, a hundred times, and x - 3, with a knee that is nearly none: down the bend of y = x^2 to (3, 9).
class Parabola final : public ResidualFunction {
 public:
  size_t residuals() const override { return 2; }
  bool Evaluate(std::span<const double> at, double* residuals, double* jacobian) const override {
    residuals[0] = at[1] - at[0] * at[0];
    residuals[1] = at[0] - 3;
    const double slopes[] = {-2 * at[0], 1, 1, 0};
    std::copy(slopes, slopes + 4, jacobian);
    return true;
  }
};

TEST(DescendInBox, FollowsAnEdgeThatBends) {
  const double low[] = {-100, -100}, high[] = {100, 100}, times[] = {100, 1};
  double x[] = {0, 0};
  const BoxOutcome outcome = DescendInBox({Parabola(), times, low, high, 1e-8}, BoxOptions(), x);
  EXPECT_TRUE(outcome.converged) << outcome.status;
  EXPECT_NEAR(x[0], 3, 1e-7);
  EXPECT_NEAR(x[1], 9, 1e-6);
  EXPECT_LE(outcome.iterations, 30);
}

}  // namespace
}  // namespace bitlaw
