#include "sdk/decoder/tensor/decoder_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <set>
#include <thread>

#include "bitlaw/sdk/decoder/logit_peaks.h"
#include "sdk/decoder/tensor/forest_attention.h"
#include "unit/decoder/random_decoder.h"

// Float32 and bfloat16 run on the project's own kernels; float64 takes libtorch's operations, which are the reference.

namespace bitlaw {
namespace {

constexpr double kFloat32 = 2e-6, kBfloat16 = 1.0 / 64;  // relative to values of order one

at::Tensor Random(at::IntArrayRef sizes, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(sizes, at::kDouble).to(at::kBFloat16).to(at::kDouble);  // exact in all three types
}

double Difference(const at::Tensor& a, const at::Tensor& reference) {
  return LargestDifference(a.to(at::kDouble), reference) / reference.abs().max().item<double>();
}

class DecoderOps : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor As(const at::Tensor& x) const { return x.to(GetParam()); }
  double tolerance() const { return GetParam() == at::kFloat ? kFloat32 : kBfloat16; }
};

TEST_P(DecoderOps, RmsNormIsLibtorchs) {
  for (const int64_t columns : {1, 7, 64, 577}) {
    const at::Tensor x = Random({3, 5, columns}, 1), weight = Random({columns}, 2);
    EXPECT_LT(Difference(RmsNorm(As(x), As(weight), 1e-5), RmsNorm(x, weight, 1e-5)), tolerance()) << columns;
  }
}

TEST_P(DecoderOps, RmsNormOfAViewReadsTheView) {
  const at::Tensor x = Random({6, 4, 32}, 3), weight = Random({32}, 4);
  EXPECT_LT(Difference(RmsNorm(As(x).transpose(0, 1), As(weight), 1e-5), RmsNorm(x.transpose(0, 1), weight, 1e-5)),
            tolerance());
}

TEST_P(DecoderOps, SiluMultiplyIsLibtorchsUpToLargeGates) {
  at::Tensor gate = Random({4, 1031}, 5), up = Random({4, 1031}, 6);
  gate[0] *= 60;  // exp(-x) overflows float32 beyond 88
  EXPECT_LT(Difference(SiluMultiply(As(gate), As(up)), SiluMultiply(gate, up)), tolerance());
}

// A vocabulary as large as real ones, with most of the sum in small terms.
TEST_P(DecoderOps, LogitPeaksAreLibtorchs) {
  at::Tensor logits = Random({3, 49152}, 41);
  logits[0][777] = 30;
  logits[1] *= 20;
  logits[2][40000] = 9;  // Two that are the same: the first counts.
  logits[2][40001] = 9;
  const LogitPeaks peaks = PeaksOf(As(logits)), reference = PeaksOf(logits);
  EXPECT_EQ(peaks.best, reference.best);
  EXPECT_EQ(peaks.best[0], 777);
  EXPECT_EQ(peaks.best[2], 40000);
  const at::Tensor exact = at::logsumexp(As(logits).to(at::kDouble), -1);
  for (int64_t r = 0; r < 3; ++r) EXPECT_NEAR(peaks.log_sum[r], exact[r].item<double>(), 2e-7) << r;
}

TEST_P(DecoderOps, LogitPeaksOfWhatIsNotFiniteAreNot) {
  for (const double bad : {NAN, INFINITY}) {
    at::Tensor logits = Random({1, 100}, 42);
    logits[0][60] = bad;
    EXPECT_FALSE(std::isfinite(PeaksOf(As(logits)).log_sum[0]));
    EXPECT_FALSE(std::isfinite(PeaksOf(As(at::full({1, 100}, bad, at::kDouble))).log_sum[0]));
  }
}

TEST_P(DecoderOps, RotateIsLibtorchs) {
  const at::Tensor heads = Random({2, 5, 3, 18}, 7);
  const RotaryAngles angles{Random({5, 9}, 8).cos(), Random({5, 9}, 8).sin()};
  const RotaryAngles same{As(angles.cos), As(angles.sin)};
  for (const HeadOrder order : {HeadOrder::kHeadsFirst, HeadOrder::kTokensFirst}) {
    EXPECT_LT(Difference(Rotate(As(heads), same, 0.125, order), Rotate(heads, angles, 0.125, order)), tolerance());
  }
  EXPECT_TRUE(Rotate(As(heads), same, 0.125, HeadOrder::kHeadsFirst)
                  .equal(Rotate(As(heads), same, 0.125, HeadOrder::kTokensFirst).transpose(1, 2)));
}

TEST_P(DecoderOps, AttendIsLibtorchs) {
  struct Shape {
    int64_t batch, heads, kv_heads, tokens, held;
  };
  for (const Shape& s : {Shape{2, 4, 2, 9, 0}, Shape{1, 3, 1, 1, 20}, Shape{3, 2, 2, 5, 7}, Shape{1, 3, 1, 300, 0}}) {
    const int64_t total = s.tokens + s.held;
    const at::Tensor queries = Random({s.batch, s.heads, s.tokens, 16}, 10),
                     keys = Random({s.batch, s.kv_heads, total, 16}, 11),
                     values = Random({s.batch, s.kv_heads, total, 16}, 12);
    EXPECT_LT(Difference(Attend(As(queries), As(keys), As(values)), Attend(queries, keys, values)),
              4 * tolerance())
        << s.tokens << " tokens after " << s.held;
  }
}

// A header of 150 tokens read before, and in one pass: two questions after it with answers, out of order with a text of 700
// tokens, which is several chunks of rows.
TEST_P(DecoderOps, AttendInForestIsLibtorchs) {
  KvCache cache(1, 2000), reference(1, 2000);
  const auto add = [&](int64_t parent, int64_t room) {
    reference.Add(parent, room);
    return *cache.Add(parent, room);
  };
  const int64_t header = add(KvCache::kNoParent, 150);
  const TokenRun before{header, 150};
  const at::Tensor held_keys = Random({150, 2, 16}, 30), held_values = Random({150, 2, 16}, 31);
  cache.Write(0, {&before, 1}, As(held_keys), As(held_values));
  reference.Write(0, {&before, 1}, held_keys, held_values);
  cache.Advance({&before, 1});
  reference.Advance({&before, 1});
  const int64_t a = add(header, 20), b = add(header, 1), alone = add(KvCache::kNoParent, 700);
  const std::vector<TokenRun> runs = {{a, 20},         {add(a, 3), 3}, {add(a, 9), 5}, {alone, 700},
                                      {add(a, 30), 2}, {b, 1},         {add(b, 7), 7}};
  const at::Tensor queries = Random({738, 6, 16}, 32), keys = Random({738, 2, 16}, 33), values = Random({738, 2, 16}, 34);
  cache.Write(0, runs, As(keys), As(values));
  reference.Write(0, runs, keys, values);
  const at::Tensor expected = AttendInForest(queries, reference, 0, runs);
  EXPECT_LT(Difference(AttendInForest(As(queries), cache, 0, runs), expected), 4 * tolerance());
}

TEST_P(DecoderOps, ANumberThatIsNoneStaysInItsText) {
  KvCache cache(1, 40);
  std::vector<TokenRun> runs;
  for (int i = 0; i < 3; ++i) runs.push_back({*cache.Add(KvCache::kNoParent, 8), 8});
  at::Tensor values = Random({24, 1, 16}, 35);
  values[9] = NAN;
  cache.Write(0, runs, As(Random({24, 1, 16}, 36)), As(values));
  const at::Tensor mixed = AttendInForest(As(Random({24, 2, 16}, 37)), cache, 0, runs);
  EXPECT_TRUE(mixed.narrow(0, 0, 8).isfinite().all().item<bool>());
  EXPECT_TRUE(mixed.narrow(0, 16, 8).isfinite().all().item<bool>());
  EXPECT_TRUE(mixed[12].isnan().all().item<bool>());
}

TEST_P(DecoderOps, WhatIsNotANumberStaysSo) {
  at::Tensor queries = Random({1, 1, 4, 16}, 16), keys = Random({1, 1, 4, 16}, 17), values = Random({1, 1, 4, 16}, 18);
  queries[0][0][2][5] = NAN;
  const at::Tensor mixed = Attend(As(queries), As(keys), As(values));  // [1, 4, 16]
  EXPECT_TRUE(mixed[0][2].isnan().all().item<bool>());
  EXPECT_TRUE(mixed[0][1].isfinite().all().item<bool>());
  at::Tensor gate = Random({40}, 19);
  gate[7] = NAN;
  EXPECT_TRUE(SiluMultiply(As(gate), As(gate.abs())).isnan()[7].item<bool>());
}

TEST_P(DecoderOps, TwoThreadsGiveTheSameBits) {
  KvCache cache(1, 300);
  const std::vector<TokenRun> runs = {{*cache.Add(KvCache::kNoParent, 200), 200}, {*cache.Add(KvCache::kNoParent, 60), 60}};
  cache.Write(0, runs, As(Random({260, 2, 16}, 38)), As(Random({260, 2, 16}, 39)));
  const at::Tensor queries = Random({2, 4, 200, 32}, 20), keys = Random({2, 2, 200, 32}, 21);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor rows = As(Random({260, 4, 16}, 40));
  const at::Tensor one = RmsNorm(As(queries), As(keys[0][0][0]), 1e-5), alone = AttendInForest(rows, cache, 0, runs);
  at::set_num_threads(2);
  const at::Tensor two = RmsNorm(As(queries), As(keys[0][0][0]), 1e-5), together = AttendInForest(rows, cache, 0, runs);
  at::set_num_threads(before);
  EXPECT_TRUE(one.equal(two));
  EXPECT_TRUE(alone.equal(together));
}

#ifdef __GNUC__
#ifndef __clang__
// at::parallel_for is a template; compiled without OpenMP it runs everything on the caller's thread, and says nothing.
TEST(Threads, ParallelForUsesThem) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  at::set_num_threads(before);
  EXPECT_EQ(seen.size(), 2u);
}
#endif
#endif

INSTANTIATE_TEST_SUITE_P(, DecoderOps, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(at::toString(info.param)); });

}  // namespace
}  // namespace bitlaw
