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

constexpr GateActivation kSilu = GateActivation::kSilu;
constexpr double kFloat32 = 2e-6, kBfloat16 = 1.0 / 64;  // relative to values of order one

at::Tensor Random(at::IntArrayRef sizes, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(sizes, at::kDouble).to(at::kBFloat16).to(at::kDouble);  // exact in all three types
}

double Difference(const at::Tensor& a, const at::Tensor& reference) {
  return LargestDifference(a.to(at::kDouble), reference) / reference.abs().max().item<double>();
}

class DecoderOps : public ::testing::TestWithParam<at::ScalarType> {
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

TEST_P(DecoderOps, NormsThatAddOneRoundOnce) {
  for (const int64_t columns : {1, 7, 64, 577}) {
    const at::Tensor x = Random({3, 5, columns}, 1), weight = Random({columns}, 2);
    const at::Tensor given = As(weight), expected = RmsNorm(x, given.to(at::kDouble), 1e-5, true);
    EXPECT_LT(Difference(RmsNorm(As(x), given, 1e-5, true), expected), tolerance()) << columns;
    EXPECT_LT(Difference(expected, RmsNorm(x, weight + 1, 1e-5)), 1e-6);
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
  EXPECT_LT(Difference(GateMultiply(As(gate), As(up), kSilu), GateMultiply(gate, up, kSilu)), tolerance());
}

TEST_P(DecoderOps, GeluMultiplyIsLibtorchsUpToLargeGates) {
  constexpr GateActivation kGelu = GateActivation::kGeluTanh;
  at::Tensor gate = Random({4, 1031}, 5), up = Random({4, 1031}, 6);
  gate[0] *= 60;
  EXPECT_LT(Difference(GateMultiply(As(gate), As(up), kGelu), GateMultiply(gate, up, kGelu)), tolerance());
  EXPECT_LT(Difference(GateMultiply(gate, up, kGelu), at::gelu(gate, "tanh") * up), 1e-12);
}

// Near 0, where 1 - 2 / (1 + exp(2x)) would cancel, and far beyond the cap.
TEST_P(DecoderOps, SoftCapIsLibtorchs) {
  for (const double size : {1e-3, 1.0, 300.0}) {
    const at::Tensor x = (Random({3, 1031}, 43) * size).to(at::kBFloat16).to(at::kDouble);
    const at::Tensor expected = at::tanh(x / 30) * 30;
    EXPECT_LT(Difference(SoftCap(As(x).clone(), 30), expected), tolerance()) << size;
    EXPECT_LT(Difference(SoftCap(x, 30), expected), 1e-12);
  }
  EXPECT_TRUE(SoftCap(As(at::full({1}, NAN, at::kDouble)), 30).isnan().all().item<bool>());
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

// Of 18 dimensions 10 rotate, or none: the others are scaled alone.
TEST_P(DecoderOps, RotateTurnsTheFirstDimensions) {
  const at::Tensor heads = Random({2, 5, 3, 18}, 7);
  const RotaryAngles angles{Random({5, 5}, 8).cos(), Random({5, 5}, 8).sin()}, none;
  const RotaryAngles same{As(angles.cos), As(angles.sin)};
  for (const HeadOrder order : {HeadOrder::kHeadsFirst, HeadOrder::kTokensFirst}) {
    const at::Tensor expected =
        at::cat({Rotate(heads.narrow(3, 0, 10), angles, 0.125, order),
                 (order == HeadOrder::kHeadsFirst ? heads.transpose(1, 2) : heads).narrow(3, 10, 8) * 0.125},
                3);
    const at::Tensor turned = Rotate(As(heads), same, 0.125, order);
    EXPECT_LT(Difference(turned, expected), tolerance());
    EXPECT_TRUE(turned.is_contiguous());
    EXPECT_LT(Difference(Rotate(As(heads), none, 0.125, order),
                         (order == HeadOrder::kHeadsFirst ? heads.transpose(1, 2) : heads) * 0.125),
              tolerance());
  }
}

// Softmax over a mask written out, in float64.
at::Tensor AttendPlainly(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                         const AttentionSetting& setting) {
  const int64_t tokens = queries.size(2), total = keys.size(2), shared = queries.size(1) / keys.size(1);
  const auto heads = [&](const at::Tensor& x) { return x.repeat_interleave(shared, 1); };
  at::Tensor scores = at::matmul(queries, heads(keys).transpose(2, 3));  // [B, H, T, S]
  if (setting.softcap > 0) scores = at::tanh(scores / setting.softcap) * setting.softcap;
  const at::Tensor seen = at::ones({tokens, total}, at::kBool).tril(total - tokens);
  const int64_t window = setting.window > 0 ? setting.window : total + 1;
  const at::Tensor behind = at::ones({tokens, total}, at::kBool).tril(total - tokens - window);
  const at::Tensor hidden = seen.logical_not().logical_or(behind);
  return at::matmul(at::softmax(scores.masked_fill(hidden, -INFINITY), -1), heads(values)).transpose(1, 2).flatten(2);
}

TEST_P(DecoderOps, AttendSeesItsWindowAndCapsScores) {
  struct Shape {
    int64_t batch, heads, kv_heads, tokens, held;
  };
  const std::vector<AttentionSetting> settings = {{}, {.window = 1}, {.window = 7}, {.window = 1000}, {.softcap = 2},
                                                  {.window = 130, .softcap = 3}};
  for (const AttentionSetting& setting : settings) {
    for (const Shape& s : {Shape{2, 4, 2, 9, 0}, Shape{1, 3, 1, 1, 20}, Shape{3, 2, 2, 5, 7}, Shape{1, 3, 1, 300, 0}}) {
      const int64_t total = s.tokens + s.held;
      const at::Tensor queries = Random({s.batch, s.heads, s.tokens, 16}, 10),
                       keys = Random({s.batch, s.kv_heads, total, 16}, 11),
                       values = Random({s.batch, s.kv_heads, total, 16}, 12);
      const at::Tensor expected = AttendPlainly(queries, keys, values, setting);
      EXPECT_LT(Difference(Attend(queries, keys, values, setting), expected), 1e-6);
      EXPECT_LT(Difference(Attend(As(queries), As(keys), As(values), setting), expected), 4 * tolerance())
          << s.tokens << " tokens after " << s.held << ", window " << setting.window << ", cap " << setting.softcap;
    }
  }
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
  const at::Tensor plain = AttendInForest(queries, reference, 0, runs);
  const std::vector<AttentionSetting> settings = {{}, {.window = 1}, {.window = 9}, {.window = 160}, {.softcap = 2},
                                                  {.window = 400, .softcap = 3}};
  for (const AttentionSetting& setting : settings) {
    const at::Tensor expected = AttendInForest(queries, reference, 0, runs, setting);
    EXPECT_LT(Difference(AttendInForest(As(queries), cache, 0, runs, setting), expected), 4 * tolerance())
        << "window " << setting.window << ", cap " << setting.softcap;
    EXPECT_EQ(Difference(expected, plain) < 1e-3, setting.is_plain());
  }
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
  EXPECT_TRUE(GateMultiply(As(gate), As(gate.abs()), kSilu).isnan()[7].item<bool>());
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

INSTANTIATE_TEST_SUITE_P(, DecoderOps, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(at::toString(info.param)); });

}  // namespace
}  // namespace bitlaw
