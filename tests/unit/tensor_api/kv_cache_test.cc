#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// [B, 1, T, 1]: row b holds 100 b + first, 100 b + first + 1, ...
at::Tensor Tokens(int64_t batch, int64_t first, int64_t count) {
  return (at::arange(first, first + count).view({1, 1, count, 1}) + 100 * at::arange(batch).view({batch, 1, 1, 1}))
      .to(at::kFloat);
}

at::Tensor AppendAll(KvCache& cache, const at::Tensor& tokens) {
  const at::Tensor held = cache.Append(0, tokens, tokens + 0.5).first;
  cache.AdvanceBy(tokens.size(2));
  return held;
}

TEST(KvCache, ReturnsEverythingAppendedSoFar) {
  KvCache cache(1);
  AppendAll(cache, Tokens(2, 0, 3));
  AppendAll(cache, Tokens(2, 3, 1));
  const auto [keys, values] = cache.Append(0, Tokens(2, 4, 2), Tokens(2, 4, 2) + 0.5);
  EXPECT_TRUE(keys.equal(Tokens(2, 0, 6)));
  EXPECT_TRUE(values.equal(Tokens(2, 0, 6) + 0.5));
  EXPECT_EQ(cache.length(), 4) << "AdvanceBy comes after all blocks have appended";
}

TEST(KvCache, SelectRepeatsRows) {
  KvCache cache(1);
  AppendAll(cache, Tokens(2, 0, 3));
  KvCache selected = cache.Select(at::tensor(std::vector<int64_t>{1, 1, 0}));
  EXPECT_EQ(selected.length(), 3);
  const at::Tensor held = AppendAll(selected, Tokens(3, 3, 40));
  EXPECT_TRUE(held.narrow(2, 0, 3).equal(Tokens(2, 0, 3).index_select(0, at::tensor(std::vector<int64_t>{1, 1, 0}))));
  EXPECT_TRUE(held.narrow(2, 3, 40).equal(Tokens(3, 3, 40)));
}

TEST(KvCache, SelectShiftedMovesRowsToTheRight) {
  KvCache cache(1, 8);
  AppendAll(cache, Tokens(1, 0, 4));
  KvCache shifted = cache.SelectShifted(at::zeros({3}, at::kLong), at::tensor(std::vector<int64_t>{0, 1, 4}), 2);
  EXPECT_EQ(shifted.length(), 4);
  const at::Tensor held = AppendAll(shifted, Tokens(3, 4, 2)).squeeze(1).squeeze(2);  // [3, 6]
  const auto row = [](std::vector<float> values) { return at::tensor(values); };
  EXPECT_TRUE(held[0].equal(row({0, 1, 2, 3, 4, 5})));
  EXPECT_TRUE(held[1].equal(row({0, 0, 1, 2, 104, 105})));
  EXPECT_TRUE(held[2].equal(row({0, 0, 0, 0, 204, 205})));
  EXPECT_THROW(cache.SelectShifted(at::zeros({1}, at::kLong), at::tensor(std::vector<int64_t>{5})), InternalError);
}

TEST(KvCache, AnnouncedCapacityIsAllocatedOnceAndForAll) {
  KvCache cache(1, 5);
  AppendAll(cache, Tokens(2, 0, 2));
  EXPECT_EQ(cache.size_bytes(), 2 * 2 * 5 * 4);  // Keys and values, two rows, five floats.
  AppendAll(cache, Tokens(2, 2, 3));
  EXPECT_EQ(cache.size_bytes(), 2 * 2 * 5 * 4);
}

TEST(KvCache, APrefixAndItsOriginalDoNotWriteIntoEachOther) {
  KvCache cache(1);
  AppendAll(cache, Tokens(1, 0, 4));
  AppendAll(cache, Tokens(1, 4, 1));  // the buffer now has spare room
  KvCache prefix = cache.Prefix(2);
  EXPECT_EQ(prefix.length(), 2);
  const at::Tensor branch = AppendAll(prefix, Tokens(1, 50, 2));
  const at::Tensor trunk = AppendAll(cache, Tokens(1, 5, 1));
  EXPECT_TRUE(trunk.equal(Tokens(1, 0, 6)));
  EXPECT_TRUE(branch.narrow(2, 0, 2).equal(Tokens(1, 0, 2)));
  EXPECT_TRUE(branch.narrow(2, 2, 2).equal(Tokens(1, 50, 2)));
}

TEST(KvCache, ACopyGoesItsOwnWay) {
  KvCache cache(1);
  AppendAll(cache, Tokens(1, 0, 2));
  AppendAll(cache, Tokens(1, 2, 1));
  KvCache copy = cache;
  AppendAll(copy, Tokens(1, 70, 1));
  EXPECT_TRUE(AppendAll(cache, Tokens(1, 3, 1)).equal(Tokens(1, 0, 4)));
}

TEST(KvCache, RefusesAnotherBatchAndAPrefixLongerThanItself) {
  KvCache cache(1);
  AppendAll(cache, Tokens(2, 0, 3));
  EXPECT_THROW(cache.Append(0, Tokens(1, 3, 1), Tokens(1, 3, 1)), InternalError);
  EXPECT_THROW(cache.Prefix(4), InternalError);
}

}  // namespace
}  // namespace bitlaw
