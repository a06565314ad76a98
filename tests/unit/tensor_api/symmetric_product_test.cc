#include "math/symmetric_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "math/matrix_product.h"

namespace bitlaw {
namespace {

at::Tensor Random(at::IntArrayRef sizes, uint64_t seed) {
  return at::randn(sizes, at::detail::createCPUGenerator(seed), at::kFloat);
}

// With other numbers of threads than the test has.
class ThreadsAtRest {
 public:
  ~ThreadsAtRest() { at::set_num_threads(threads_); }

 private:
  const int threads_ = at::get_num_threads();
};

at::Tensor UpperOf(const at::Tensor& x, const at::Tensor& before) {
  at::Tensor sums = before.clone();
  AddSymmetricProduct(x, sums);
  return at::triu(sums);
}

TEST(AddSymmetricProduct, IsTheUpperTriangleForAnyShape) {
  for (const int64_t rows : {0, 1, 40, 700, 1000}) {
    for (const int64_t columns : {1, 33, 100, 200, 576}) {
      const at::Tensor x = Random({rows, columns}, 1), before = Random({columns, columns}, 2);
      const at::Tensor wide = x.to(at::kDouble);
      const at::Tensor exact = at::triu(at::mm(wide.t(), wide) + before);
      const double error = (UpperOf(x, before).to(at::kDouble) - exact).abs().max().item<double>();
      EXPECT_LT(error, 1e-6 * static_cast<double>(rows + 1)) << rows << " x " << columns;
    }
  }
  const at::Tensor x = Random({50, 120}, 3).to(at::kDouble);
  EXPECT_TRUE(at::allclose(UpperOf(x, at::zeros({120, 120}, at::kDouble)), at::triu(at::mm(x.t(), x)), 1e-12, 1e-12));
}

// 1000 rows are summed in runs of 320, 320, 192 and 168: the last 360 in two, the first of a multiple of 16.
TEST(AddSymmetricProduct, SumsRunsOfRowsOneAfterTheOther) {
  if (!HasFloat32Products()) GTEST_SKIP() << "this build has no oneDNN, and a BLAS sums in its own order";
  const at::Tensor x = Random({1000, 576}, 4), before = Random({576, 576}, 5);
  const at::Tensor sums = UpperOf(x, before);
  at::Tensor run_by_run = before.clone(), others = before.clone();
  for (const int64_t end : {320, 640, 832, 1000}) {
    const int64_t first = end == 320 ? 0 : end == 640 ? 320 : end == 832 ? 640 : 832;
    AddSymmetricProduct(x.narrow(0, first, end - first), run_by_run);
  }
  EXPECT_TRUE(at::equal(at::triu(run_by_run), sums));
  for (const auto& [first, end] : {std::pair<int, int>{0, 500}, {500, 1000}}) {
    AddSymmetricProduct(x.narrow(0, first, end - first), others);
  }
  EXPECT_FALSE(at::equal(at::triu(others), sums)) << "other runs sum in another order";
}

TEST(AddSymmetricProduct, GivesTheSameBytesOnAnyNumberOfThreads) {
  const ThreadsAtRest restore;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    if (type == at::kBFloat16 && !HasBfloat16Products()) continue;
    for (const int64_t columns : {64, 128, 576}) {
      const at::Tensor x = Random({4096, columns}, 6).to(type), none = at::zeros({columns, columns});
      at::set_num_threads(1);
      const at::Tensor alone = UpperOf(x, none);
      for (const int threads : {2, 3, 7}) {
        at::set_num_threads(threads);
        EXPECT_TRUE(at::equal(UpperOf(x, none), alone)) << type << " " << columns << " " << threads;
      }
    }
  }
}

// [1, 2] [[2, 1], [1, 3]] [1, 2]^T = 2 + 2 + 2 + 12; [0, -1] gives 3.
TEST(SymmetricForm, IsTheTraceOfTheProduct) {
  const at::Tensor h = at::tensor(std::vector<float>{2, 1, 1, 3}).view({2, 2});
  EXPECT_EQ(SymmetricForm(at::tensor(std::vector<float>{1, 2, 0, -1}).view({2, 2}), h), 21.0);
  EXPECT_EQ(SymmetricForm(at::empty({0, 2}), h), 0.0);
}

TEST(SymmetricForm, IsTheSameForAnyShapeAndNumberOfThreads) {
  const ThreadsAtRest restore;
  for (const int64_t columns : {1, 190, 193, 576}) {
    for (const int64_t rows : {1, 192, 400}) {
      const at::Tensor d = Random({rows, columns}, 7), x = Random({2 * columns, columns}, 8);
      const at::Tensor h = at::mm(x.t(), x), wide = d.to(at::kDouble);
      const double exact = at::mm(wide, h.to(at::kDouble)).mul_(wide).sum().item<double>();
      at::set_num_threads(1);
      const double alone = SymmetricForm(d, h);
      EXPECT_NEAR(alone, exact, 1e-6 * exact) << rows << " x " << columns;
      at::set_num_threads(3);
      EXPECT_EQ(SymmetricForm(d, h), HasFloat32Products() ? alone : SymmetricForm(d, h));
    }
  }
  const at::Tensor h = at::eye(3, at::kDouble) * 1e-300;
  EXPECT_EQ(SymmetricForm(at::ones({1, 3}, at::kDouble), h), 3e-300);
}

}  // namespace
}  // namespace bitlaw
