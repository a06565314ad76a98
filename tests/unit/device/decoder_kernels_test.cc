// What a device does between the matrix products of a decoder, against the host: decoder_kernels.cu run by an emulation.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "bitlaw/sdk/decoder/logit_peaks.h"
#include "sdk/decoder/tensor/decoder_ops.h"
#include "support/device_emulation.h"

namespace bitlaw::testing::device {
#define __shared__ static
#include "sdk/decoder/tensor/decoder_kernels.cu"
#undef __shared__
}  // namespace bitlaw::testing::device

namespace bitlaw {
namespace {

namespace device = testing::device;

float* FloatsOf(const at::Tensor& x) { return x.data_ptr<float>(); }
device::Bf16* Bf16Of(const at::Tensor& x) { return static_cast<device::Bf16*>(x.data_ptr()); }

// The largest difference of two tensors of bfloat16 in units of the last place.
int64_t LargestStep(const at::Tensor& a, const at::Tensor& b) {
  return (a.view(at::kShort).to(at::kInt) - b.view(at::kShort).to(at::kInt)).abs().max().item<int64_t>();
}

TEST(DecoderKernels, NormalizeAsTheHostDoes) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({5, 72}), weight = at::randn({72});
  at::Tensor y = at::full({5, 72}, NAN);
  device::RunBlocks(2, 128, [&] { device::RmsNormFloat(FloatsOf(x), FloatsOf(weight), 5, 72, 1e-5F, 0, FloatsOf(y)); });
  EXPECT_TRUE(at::allclose(y, RmsNorm(x, weight, 1e-5), 1e-6, 1e-7));

  const at::Tensor short_x = x.to(at::kBFloat16), short_weight = weight.to(at::kBFloat16);
  at::Tensor short_y = at::full({5, 72}, NAN, at::kBFloat16);
  device::RunBlocks(2, 128, [&] { device::RmsNormBf16(Bf16Of(short_x), Bf16Of(short_weight), 5, 72, 1e-5F, 0, Bf16Of(short_y)); });
  EXPECT_LE(LargestStep(short_y, RmsNorm(short_x, short_weight, 1e-5)), 1);
}

TEST(DecoderKernels, NormalizeWithOneAddedAsTheHostDoes) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({5, 72}), weight = at::randn({72});
  at::Tensor y = at::full({5, 72}, NAN);
  device::RunBlocks(2, 128, [&] {
    device::RmsNormFloat(FloatsOf(x), FloatsOf(weight), 5, 72, 1e-5F, 1, FloatsOf(y));
  });
  EXPECT_TRUE(at::allclose(y, RmsNorm(x, weight, 1e-5, true), 1e-6, 1e-7));
  EXPECT_TRUE(at::allclose(y, RmsNorm(x, weight + 1, 1e-5), 1e-5, 1e-6));
}

TEST(DecoderKernels, RotateIntoBothOrdersOfHeads) {
  at::manual_seed(2);
  const at::Tensor heads = at::randn({2, 3, 4, 8}), angles = at::randn({3, 4});  // [B, T, heads, Dh], [T, Dh / 2]
  const RotaryAngles turned{angles.cos(), angles.sin()};
  for (const HeadOrder order : {HeadOrder::kHeadsFirst, HeadOrder::kTokensFirst}) {
    const bool heads_first = order == HeadOrder::kHeadsFirst;
    at::Tensor y = heads_first ? at::full({2, 4, 3, 8}, NAN) : at::full({2, 3, 4, 8}, NAN);
    const at::Tensor by_token = heads_first ? y.transpose(1, 2) : y;
    device::RunBlocks(1, 256, [&] {
      device::RotateFloat(FloatsOf(heads), heads.stride(0), heads.stride(1), FloatsOf(turned.cos), FloatsOf(turned.sin), 2, 3,
                          4, 4, 0.5F, FloatsOf(y), by_token.stride(0), by_token.stride(1), by_token.stride(2));
    });
    EXPECT_TRUE(at::allclose(y, Rotate(heads, turned, 0.5, order), 1e-6, 1e-7));
  }
}

TEST(DecoderKernels, MultiplySiluAsTheHostDoes) {
  at::manual_seed(3);
  const at::Tensor gate = at::randn({300}).mul_(20), up = at::randn({300});
  const at::Tensor expected = GateMultiply(gate.clone(), up, GateActivation::kSilu);
  device::RunBlocks(2, 256, [&] { device::SiluMultiplyFloat(FloatsOf(gate), FloatsOf(up), 300); });
  EXPECT_TRUE(at::allclose(gate, expected, 1e-5, 1e-7));
}

TEST(DecoderKernels, MultiplyGeluAsTheHostDoes) {
  at::manual_seed(6);
  const at::Tensor gate = at::randn({300}).mul_(5), up = at::randn({300});
  const at::Tensor expected = GateMultiply(gate.clone(), up, GateActivation::kGeluTanh);
  device::RunBlocks(2, 256, [&] { device::GeluMultiplyFloat(FloatsOf(gate), FloatsOf(up), 300); });
  EXPECT_TRUE(at::allclose(gate, expected, 1e-5, 1e-6));
}

TEST(DecoderKernels, FindTheFirstLargestAndTheSum) {
  at::manual_seed(4);
  at::Tensor x = at::randn({3, 700});
  x[1][650] = x[1][20] = 9.0F;  // Equals: the first counts.
  x[2].fill_(-INFINITY);
  std::vector<long long> best(3, -1);
  std::vector<double> log_sum(3, 0);
  device::RunBlocks(3, 256, [&] { device::LogSumFloat(FloatsOf(x), 700, best.data(), log_sum.data()); });
  const LogitPeaks expected = PeaksOf(x);
  EXPECT_EQ(best[0], expected.best[0]);
  EXPECT_EQ(best[1], 20);
  EXPECT_NEAR(log_sum[0], expected.log_sum[0], 1e-6);
  EXPECT_NEAR(log_sum[1], expected.log_sum[1], 1e-6);
  EXPECT_FALSE(std::isfinite(log_sum[2]));
}

TEST(DecoderKernels, MergeTwoAttentionsIntoThatOverAllKeys) {
  // One query of two heads: weights 1 and 3 (sums e^0 and e^ln 3), so 1/4 of the first and 3/4 of the second.
  const at::Tensor a = at::tensor(std::vector<float>{4, 8, 0, 0}).view({1, 2, 2});
  const at::Tensor b = at::tensor(std::vector<float>{0, 4, 0, 4}).view({1, 2, 2});
  const at::Tensor sums_a = at::zeros({2, 1}), sums_b = at::full({2, 1}, std::log(3.0F));
  at::Tensor y = at::full({1, 2, 2}, NAN);
  device::RunBlocks(1, 32, [&] {
    device::MergeAttentionFloat(FloatsOf(a), FloatsOf(b), FloatsOf(sums_a), FloatsOf(sums_b), 1, 2, 2, FloatsOf(y));
  });
  EXPECT_TRUE(at::allclose(y.flatten(), at::tensor(std::vector<float>{1, 5, 0, 3})));
}

}  // namespace
}  // namespace bitlaw
