#include "bitlaw/sdk/grids/inverse_factor.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "bitlaw/sdk/grids/finite.h"
#include "bitlaw/sdk/machine/torch_threads.h"

namespace bitlaw {
namespace {

at::Tensor Hessian(int64_t columns, at::ScalarType dtype) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({2 * columns, columns}, at::kDouble);
  at::Tensor hessian = at::mm(x.t(), x).div_(static_cast<double>(columns));
  hessian.diagonal().add_(0.01);
  return hessian.to(dtype);
}

// [4 2; 2 2] = R R^T with R = [sqrt 2, sqrt 2; 0, sqrt 2], and its inverse is [1/sqrt 2, -1/sqrt 2; 0, 1/sqrt 2].
TEST(InverseFactor, OfTwoColumnsByHand) {
  const std::optional<at::Tensor> factor = InverseFactor(at::tensor({4.0, 2.0, 2.0, 2.0}, at::kDouble).view({2, 2}));
  ASSERT_TRUE(factor);
  EXPECT_EQ(factor->scalar_type(), at::kFloat);
  const at::Tensor expected = at::tensor({0.70710678F, -0.70710678F, 0.0F, 0.70710678F}).view({2, 2});
  EXPECT_TRUE(at::allclose(*factor, expected, 0, 1e-7)) << *factor;
}

TEST(InverseFactor, SquaredIsTheInverseForAnyNumberOfTiles) {
  for (const int64_t columns : {1, 95, 96, 97, 192, 300, 577}) {
    const at::Tensor hessian = Hessian(columns, at::kDouble);
    const std::optional<at::Tensor> factor = InverseFactor(hessian.clone());
    ASSERT_TRUE(factor) << columns;
    const at::Tensor upper = factor->to(at::kDouble);
    EXPECT_TRUE(at::equal(upper, upper.triu())) << columns;
    const at::Tensor expected = at::linalg_cholesky(at::linalg_inv(hessian), /*upper=*/true);
    EXPECT_LT((upper - expected).abs().max().item<double>(), 2e-6 * expected.abs().max().item<double>()) << columns;
  }
}

TEST(InverseFactor, InFloat32IsNotFartherFromTheTruthThanInvertingFirst) {
  const at::Tensor hessian = Hessian(577, at::kFloat);
  const at::Tensor expected = at::linalg_cholesky(at::linalg_inv(hessian.to(at::kDouble)), /*upper=*/true);
  const at::Tensor inverted_first =
      at::linalg_cholesky(at::cholesky_inverse(at::linalg_cholesky(hessian)), /*upper=*/true);
  const auto error = [&](const at::Tensor& factor) { return (factor.to(at::kDouble) - expected).norm().item<double>(); };
  const std::optional<at::Tensor> factor = InverseFactor(hessian.clone());
  ASSERT_TRUE(factor);
  EXPECT_LE(error(*factor), error(inverted_first));
}

TEST(InverseFactor, SameBytesForAnyNumberOfThreads) {
  const at::Tensor hessian = Hessian(400, at::kFloat);
  SetTorchThreads(1);
  const std::optional<at::Tensor> alone = InverseFactor(hessian.clone());
  SetTorchThreads(3);
  const std::optional<at::Tensor> together = InverseFactor(hessian.clone());
  SetTorchThreads(0);
  ASSERT_TRUE(alone && together);
  EXPECT_TRUE(at::equal(*alone, *together));
}

TEST(InverseFactor, WhatIsNotPositiveDefiniteHasNone) {
  EXPECT_FALSE(InverseFactor(at::tensor({1.0F, 2.0F, 2.0F, 1.0F}).view({2, 2})));
  at::Tensor hessian = Hessian(200, at::kFloat);
  hessian[150][150] = -1;
  EXPECT_FALSE(InverseFactor(hessian.clone()));
  // 1e-80 is a number of float64, and the root of its inverse, 1e40, none of float32.
  EXPECT_FALSE(InverseFactor(at::tensor({1e-80}, at::kDouble).view({1, 1})));
}

TEST(IsFinite, FindsOneBadElementOfEachKind) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    const at::Tensor good = at::full({700, 200}, -1.5, dtype);
    EXPECT_TRUE(IsFinite(good)) << dtype;
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
      at::Tensor matrix = good.clone();
      matrix[699][199] = bad;
      EXPECT_FALSE(IsFinite(matrix)) << dtype << " " << bad;
      EXPECT_FALSE(IsFinite(matrix.t())) << dtype << " " << bad;
    }
  }
  EXPECT_TRUE(IsFinite(at::tensor({std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min()})));
  EXPECT_TRUE(IsFinite(at::empty({0, 3})));
}

}  // namespace
}  // namespace bitlaw
