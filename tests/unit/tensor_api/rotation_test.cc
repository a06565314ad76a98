#include "bitlaw/math/rotation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "math/hadamard.h"

namespace bitlaw {
namespace {

at::Tensor Normal(at::IntArrayRef sizes, uint64_t seed = 3) {
  return at::normal(0.0, 1.0, sizes, at::detail::createCPUGenerator(seed));
}

double LargestDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// sqrt(n) R of the definition, from its action on unit vectors.
at::Tensor Entries(const Rotation& rotation) {
  return rotation.Apply(at::eye(rotation.width())) * std::sqrt(static_cast<double>(rotation.width()));
}

TEST(Rotation, OfTwoIsSumAndDifference) {
  const at::Tensor turned = Rotation::Hadamard(2).Apply(at::tensor({1.0f, 2.0f}));
  EXPECT_NEAR(turned[0].item<double>(), 3 / std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(turned[1].item<double>(), -1 / std::sqrt(2.0), 1e-6);
}

TEST(Rotation, OfFourWithSigns) {
  // (1, 2, 3, 4) times (1, -1, 1, 1) is (1, -2, 3, 4): sums by the rows + + + +, + - + -, + + - -, + - - +, halved.
  const at::Tensor signs = at::tensor({1.0f, -1.0f, 1.0f, 1.0f}), x = at::tensor({1.0f, 2.0f, 3.0f, 4.0f});
  EXPECT_TRUE(at::allclose(Rotation::Hadamard(4, signs).Apply(x), at::tensor({3.0f, 1.0f, -4.0f, 2.0f})));
}

TEST(Rotation, KnowsTheWidthsOfModels) {
  // Llama-2-7B has 11008 = 344 x 32: 343 = 7^3 is 3 modulo 4. SmolLM2 has 576 = 36 x 16: 17 is 1 modulo 4.
  const std::pair<int64_t, int64_t> bases[] = {
      {1, 1},    {64, 1},    {4096, 1},   {12, 12},     {80, 20},     {96, 12},    {576, 36},    {1536, 12},
      {896, 28}, {4864, 76}, {8960, 140}, {11008, 344}, {13824, 108}, {14336, 28}, {18944, 148}, {29568, 924},
      {2, 1},    {3, 0},     {6, 0},      {92, 0},      {184, 0},     {0, 0}};
  for (const auto& [width, base] : bases) EXPECT_EQ(Rotation::HadamardBase(width), base) << width;
}

TEST(Rotation, HasEntriesOneAndMinusOneAndOrthogonalRows) {
  // Both constructions, over primes and over 9, 25, 27, 49, 243, 343; 2016 = 252 x 8.
  for (const int64_t n : {4, 12, 20, 28, 36, 40, 44, 52, 60, 76, 100, 108, 140, 148, 244, 344, 2016}) {
    const at::Tensor h = Entries(Rotation::Hadamard(n));
    EXPECT_LT(LargestDifference(h.abs(), at::ones({n, n})), 1e-4) << n;
    const at::Tensor exact = h.round().to(at::kDouble);
    EXPECT_TRUE(at::equal(at::mm(exact, exact.t()), at::eye(n, at::kDouble) * n)) << n;
  }
}

TEST(Rotation, TurnsEachRunByItselfAndBack) {
  const at::Tensor x = Normal({3, 2, 48});
  const at::Tensor signs = at::where(Normal({24}, 4) > 0, at::ones({24}), -at::ones({24}));
  const Rotation rotation = Rotation::Hadamard(24, signs);
  const at::Tensor matrix = rotation.Apply(at::eye(24));
  const at::Tensor expected = at::matmul(x.view({3, 2, 2, 24}), matrix).view({3, 2, 48});
  EXPECT_LT(LargestDifference(rotation.Apply(x), expected), 1e-6);
  EXPECT_LT(LargestDifference(rotation.ApplyTransposed(rotation.Apply(x)), x), 1e-6);
  EXPECT_LT(LargestDifference(rotation.ApplyTransposed(at::eye(24)), matrix.t()), 1e-7);
  EXPECT_NEAR(rotation.Apply(x).norm().item<double>(), x.norm().item<double>(), 1e-4);
}

TEST(Rotation, LeavesItsArgumentAloneAndTakesAnyStrides) {
  const Rotation rotation = Rotation::Hadamard(8);
  const at::Tensor x = Normal({8, 5}), kept = x.clone();
  const at::Tensor turned = rotation.ApplyTransposed(x.t());
  EXPECT_TRUE(at::equal(turned, rotation.ApplyTransposed(x.t().contiguous())));
  const at::Tensor whole = Normal({4, 8}), copy = whole.clone();
  rotation.Apply(whole), rotation.ApplyTransposed(whole);
  EXPECT_TRUE(at::equal(x, kept));
  EXPECT_TRUE(at::equal(whole, copy));
}

TEST(Rotation, RoundsOnceAndEachRowByItself) {
  const Rotation rotation = Rotation::Hadamard(1536);
  const at::Tensor x = Normal({40, 1536}).to(at::kBFloat16);
  const at::Tensor turned = rotation.Apply(x);
  EXPECT_TRUE(at::equal(turned, rotation.Apply(x.to(at::kFloat)).to(at::kBFloat16)));
  EXPECT_TRUE(at::equal(turned[17], rotation.Apply(x[17])));
}

TEST(Rotation, NamesWhatItIsAndCounts) {
  EXPECT_EQ(Rotation::Hadamard(64).Name(), "hadamard 64");
  EXPECT_EQ(Rotation::Hadamard(64).Operations(), 64 * 6);
  EXPECT_EQ(Rotation::Hadamard(1536, at::ones({1536})).Name(), "signed hadamard 12 x 128");
  EXPECT_EQ(Rotation::Hadamard(1536).Operations(), 1536 * (7 + 12));
  EXPECT_EQ(Rotation::OfMatrix(at::eye(3)).Name(), "orthogonal 3");
  EXPECT_EQ(Rotation::OfMatrix(at::eye(3)).Operations(), 9);
}

// What a GPU computes.
TEST(Rotation, BySmallProductsIsTheSame) {
  for (const int64_t n : {2, 12, 64, 128, 576, 1536, 8192, 11008}) {
    const Rotation rotation = Rotation::Hadamard(n);
    const int64_t k = Rotation::HadamardBase(n);
    const at::Tensor x = Normal({3, n});
    at::Tensor base;
    if (k > 1) {
      const std::vector<int8_t> matrix = PaleyMatrix(k);
      base = at::tensor(at::ArrayRef<int8_t>(matrix), at::kChar).to(at::kFloat).view({k, k});
    }
    const double scale = 1 / std::sqrt(static_cast<double>(n));
    const std::vector<at::Tensor> factors = SylvesterFactors(n / k);
    EXPECT_LT(LargestDifference(TimesHadamard(x, base, factors, false) * scale, rotation.Apply(x)), 1e-5) << n;
    EXPECT_LT(LargestDifference(TimesHadamard(x, base, factors, true) * scale, rotation.ApplyTransposed(x)), 1e-5) << n;
  }
}

// Over heads of each and then over heads: one Hadamard matrix over all.
TEST(Rotation, StridedTurnsChannelsThatAreApart) {
  const at::Tensor x = Normal({3, 96});
  const Rotation apart = Rotation::Hadamard(12).Strided(8);
  EXPECT_EQ(apart.Name(), "hadamard 12 x 1 apart 8");
  EXPECT_EQ(apart.span(), 96);
  EXPECT_EQ(apart.Operations(), 96 * 12);
  EXPECT_LT(LargestDifference(apart.Apply(Rotation::Hadamard(8).Apply(x)), Rotation::Hadamard(96).Apply(x)), 1e-6);
  EXPECT_LT(LargestDifference(apart.ApplyTransposed(apart.Apply(x)), x), 1e-6);
  EXPECT_EQ(apart.Apply(x.to(at::kBFloat16)).scalar_type(), at::kBFloat16);
}

TEST(Rotation, OfAMatrixMultipliesByIt) {
  const at::Tensor turn = at::tensor({0.6f, 0.8f, -0.8f, 0.6f}).view({2, 2});
  const Rotation rotation = Rotation::OfMatrix(turn);
  EXPECT_TRUE(at::allclose(rotation.Apply(at::tensor({1.0f, 2.0f})), at::tensor({-1.0f, 2.0f})));
  EXPECT_TRUE(at::allclose(rotation.ApplyTransposed(at::tensor({1.0f, 2.0f})), at::tensor({2.2f, 0.4f})));
}

TEST(Rotation, RefusesWhatIsNoRotation) {
  const auto said = [](const auto& make) -> std::string {
    try {
      make();
    } catch (const InternalError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(said([] { Rotation::Hadamard(6); }).find("no Hadamard matrix of order 6 is known here"), std::string::npos);
  EXPECT_NE(said([] {
              Rotation::Hadamard(2, at::tensor({1.0f, 0.5f}));
            }).find("are not that many of 1 and -1"),
            std::string::npos);
  EXPECT_NE(said([] { Rotation::OfMatrix(at::ones({2, 2})); }).find("is not orthogonal"), std::string::npos);
  EXPECT_NE(said([] { Rotation::Hadamard(4).Apply(at::ones({6})); }).find("no multiple of 4"), std::string::npos);
}

}  // namespace
}  // namespace bitlaw
