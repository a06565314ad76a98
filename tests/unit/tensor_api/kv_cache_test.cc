#include "bitlaw/api/kv_cache.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;

// [T, 1, 1]: first, first + 1, ...
at::Tensor Tokens(int64_t first, int64_t count) {
  return at::arange(first, first + count).view({count, 1, 1}).to(at::kFloat);
}

void Pass(KvCache& cache, const std::vector<TokenRun>& runs, const at::Tensor& tokens) {
  cache.Positions(runs);
  cache.Write(0, runs, tokens, tokens + 0.5);
  cache.Advance(runs);
}

std::vector<float> Held(const KvCache& cache, int64_t segment) {
  const at::Tensor keys = cache.Seen(0, {segment, 0}).first.contiguous();
  EXPECT_TRUE(cache.Seen(0, {segment, 0}).second.equal(keys + 0.5));
  return {keys.data_ptr<float>(), keys.data_ptr<float>() + keys.numel()};
}

TEST(KvCache, ASegmentSeesItsParentsAndItself) {
  KvCache cache(1, 100);
  const int64_t root = *cache.Add(KvCache::kNoParent, 3), left = *cache.Add(root, 4), right = *cache.Add(root, 2);
  const std::vector<TokenRun> runs = {{root, 3}, {left, 2}, {right, 2}};
  EXPECT_THAT(cache.Positions(runs), ElementsAre(0, 1, 2, 3, 4, 3, 4));
  cache.Write(0, runs, Tokens(0, 7), Tokens(0, 7) + 0.5);
  EXPECT_EQ(cache.length(root), 0) << "Advance() comes after all blocks have written";
  EXPECT_TRUE(cache.Seen(0, runs[1]).first.equal(Tokens(0, 5)));
  cache.Advance(runs);
  Pass(cache, {{left, 1}}, Tokens(50, 1));
  EXPECT_THAT(Held(cache, left), ElementsAre(0, 1, 2, 3, 4, 50));
  EXPECT_THAT(Held(cache, right), ElementsAre(0, 1, 2, 5, 6));
  EXPECT_EQ(cache.past(right), 3);
  EXPECT_EQ(cache.children(root), 2);
}

TEST(KvCache, GivesTheRoomOfRemovedSegmentsToLaterOnes) {
  KvCache cache(1, 10);
  const int64_t a = *cache.Add(KvCache::kNoParent, 4), b = *cache.Add(KvCache::kNoParent, 3),
                c = *cache.Add(KvCache::kNoParent, 3);
  Pass(cache, {{a, 4}, {b, 3}, {c, 3}}, Tokens(0, 10));
  EXPECT_FALSE(cache.Add(KvCache::kNoParent, 1).has_value());
  cache.Remove(a);
  EXPECT_FALSE(cache.Add(KvCache::kNoParent, 5).has_value());
  cache.Remove(b);
  const auto d = cache.Add(KvCache::kNoParent, 7);
  ASSERT_TRUE(d.has_value()) << "gaps next to each other are one";
  Pass(cache, {{*d, 7}}, Tokens(20, 7));
  EXPECT_THAT(Held(cache, c), ElementsAre(7, 8, 9));
  EXPECT_THAT(Held(cache, *d), ElementsAre(20, 21, 22, 23, 24, 25, 26));
  EXPECT_EQ(cache.size_bytes(), 2 * 10 * 4);
}

TEST(KvCache, WhatItHoldsSurvivesGrowthAndReuse) {
  Rng rng(3);
  KvCache cache(1, 400);
  std::vector<std::pair<int64_t, std::vector<float>>> texts;  // Segment, what it should see.
  int64_t next = 0;
  for (int step = 0; step < 400; ++step) {
    if (texts.size() > 8 || (!texts.empty() && rng.Below(3) == 0)) {
      const size_t gone = rng.Below(texts.size());
      if (cache.children(texts[gone].first) > 0) continue;
      cache.Remove(texts[gone].first);
      texts.erase(texts.begin() + static_cast<int64_t>(gone));
      continue;
    }
    const bool is_root = texts.empty() || rng.Below(2) == 0;
    const size_t parent = is_root ? 0 : rng.Below(texts.size());
    const auto room = static_cast<int64_t>(1 + rng.Below(30));
    const auto segment = cache.Add(is_root ? KvCache::kNoParent : texts[parent].first, room);
    ASSERT_TRUE(segment.has_value());
    Pass(cache, {{*segment, room}}, Tokens(next, room));
    std::vector<float> seen = is_root ? std::vector<float>() : texts[parent].second;
    for (int64_t t = 0; t < room; ++t) seen.push_back(static_cast<float>(next + t));
    texts.emplace_back(*segment, std::move(seen));
    next += room;
    for (const auto& [s, expected] : texts) ASSERT_EQ(Held(cache, s), expected);
  }
}

TEST(KvCache, RefusesPassesThatCannotBe) {
  KvCache cache(1, 100);
  const int64_t root = *cache.Add(KvCache::kNoParent, 3), child = *cache.Add(root, 2);
  const auto refuses = [&](std::vector<TokenRun> runs) { EXPECT_THROW(cache.Positions(runs), InternalError); };
  refuses({{root, 4}});              // More than its room.
  refuses({{root, 2}, {child, 1}});  // The parent is not full.
  refuses({{child, 1}, {root, 3}});  // It comes too late.
  refuses({{root, 1}, {root, 1}});
  refuses({{root, 0}});
  refuses({{17, 1}});
  EXPECT_THROW(cache.Remove(root), InternalError) << "it has a child";
  EXPECT_THROW(cache.Add(KvCache::kNoParent, 0), InternalError);
  cache.Remove(child);
  cache.Remove(root);
  EXPECT_THROW(cache.length(root), InternalError);
}

}  // namespace
}  // namespace bitlaw
