#include "math/matrix_product.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bitlaw/sdk/machine/torch_threads.h"

namespace bitlaw {
namespace {

at::Tensor Random(at::IntArrayRef sizes, uint64_t seed) {
  return at::randn(sizes, at::detail::createCPUGenerator(seed), at::kFloat);
}

TEST(TimesTransposed, IsTheProductOfAnyShape) {
  for (const int64_t rows : {1, 3, 8, 65}) {
    for (const auto& [inner, columns] : {std::pair<int64_t, int64_t>{1, 1}, {7, 33}, {576, 192}}) {
      const at::Tensor x = Random({rows, inner}, 1), weight = Random({columns, inner}, 2);
      const at::Tensor exact = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t());
      const at::Tensor error = (TimesTransposed(x, weight).to(at::kDouble) - exact).abs().max();
      // A sum of `inner` products of order one: its root of roundings of float32.
      EXPECT_LT(error.item<double>(), 1e-6 * static_cast<double>(inner + 1)) << rows << " x " << inner << " x " << columns;
    }
  }
}

// Slabs of 512 rows, a rest that is filled up, a rest too small for that.
TEST(TimesTransposed, OfBfloat16IsTheProductForAnyNumberOfRows) {
  for (const int64_t rows : {1, 31, 40, 64, 300, 512, 515, 560, 1100, 1888}) {
    const at::Tensor x = Random({rows, 96}, 6).to(at::kBFloat16), weight = Random({40, 96}, 7).to(at::kBFloat16),
                     bias = Random({40}, 8).to(at::kBFloat16);
    const at::Tensor exact = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t());
    const auto largest = [](const at::Tensor& error) { return error.abs().max().item<double>(); };
    // Values of up to 50 have steps of 1/4.
    EXPECT_LE(largest(TimesTransposed(x, weight).to(at::kDouble) - exact), 0.13) << rows;
    EXPECT_LE(largest(TimesTransposed(x, weight, bias).to(at::kDouble) - exact - bias.to(at::kDouble)), 0.13) << rows;
  }
}

// Rows go to threads in slabs: 300 and 1,001 rows to two and three of them.
TEST(TimesTransposed, SameBytesForAnyNumberOfThreads) {
  for (const int64_t rows : {300, 385, 1001}) {
    const at::Tensor x = Random({rows, 320}, 12), weight = Random({70, 320}, 13);
    SetTorchThreads(1);
    const at::Tensor alone = TimesTransposed(x, weight);
    for (const int threads : {2, 3}) {
      SetTorchThreads(threads);
      EXPECT_TRUE(at::equal(alone, TimesTransposed(x, weight))) << rows << " rows, " << threads << " threads";
    }
    SetTorchThreads(0);
  }
}

// Fewer than 16 rows have other kernels in oneDNN, and so has a shared product of 1,024 columns.
TEST(TimesTransposed, GivesRowsByThemselvesTheSameBytesAmongAnyOthers) {
  for (const int64_t inner : {96, 1024}) {
    const at::Tensor x = Random({600, inner}, 14), weight = Random({256, inner}, 15);
    const RowsByThemselves alike;
    const at::Tensor all = TimesTransposed(x, weight);
    for (const int threads : {1, 2, 3}) {
      SetTorchThreads(threads);
      for (const int64_t rows : {1, 7, 15, 16, 17, 40, 100, 300, 600}) {
        EXPECT_TRUE(at::equal(all.narrow(0, 0, rows), TimesTransposed(x.narrow(0, 0, rows), weight)))
            << rows << " x " << inner << ", " << threads << " threads";
      }
    }
    SetTorchThreads(0);
  }
}

TEST(TimesTransposed, AddsABias) {
  const at::Tensor x = Random({9, 12}, 9), weight = Random({5, 12}, 10), bias = Random({5}, 11);
  EXPECT_TRUE(at::allclose(TimesTransposed(x, weight, bias), at::mm(x, weight.t()) + bias, 1e-5, 1e-5));
}

TEST(TimesTransposed, ReadsViewsAsTheyStand) {
  const at::Tensor x = Random({12, 10}, 3).t(), weight = Random({12, 20}, 4).t();  // [10, 12], [20, 12], columns first
  EXPECT_TRUE(at::allclose(TimesTransposed(x, weight), at::mm(x, weight.t()), 1e-5, 1e-5));
  const at::Tensor part = Random({6, 30}, 5).narrow(1, 4, 12);
  EXPECT_TRUE(at::allclose(TimesTransposed(part, weight), at::mm(part, weight.t()), 1e-5, 1e-5));
}

TEST(TimesTransposed, TakesNoRowsAndOtherTypes) {
  EXPECT_EQ(TimesTransposed(at::empty({0, 4}), at::ones({3, 4})).sizes(), at::IntArrayRef({0, 3}));
  EXPECT_TRUE(TimesTransposed(at::ones({2, 4}, at::kBFloat16), at::ones({3, 4}, at::kBFloat16))
                  .equal(at::full({2, 3}, 4.0, at::kBFloat16)));
  EXPECT_TRUE(TimesTransposed(at::ones({2, 4}, at::kDouble), at::ones({3, 4}, at::kDouble)).equal(at::full({2, 3}, 4.0, at::kDouble)));
}

TEST(TimesTransposed, KeepsWhatIsNotANumber) {
  at::Tensor x = at::ones({2, 4});
  x[1][2] = NAN;
  const at::Tensor product = TimesTransposed(x, at::ones({3, 4}));
  EXPECT_TRUE(product[1].isnan().all().item<bool>());
  EXPECT_TRUE(product[0].equal(at::full({3}, 4.0)));
}

}  // namespace
}  // namespace bitlaw
