#include "evaluate/prefix_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "bitlaw/base/rng.h"

namespace bitlaw {
namespace {

using ::testing::UnorderedElementsAre;
using Sequences = std::vector<std::vector<int32_t>>;

PrefixPlan PlanOf(const Sequences& sequences, const PrefixPlanOptions& options = {}) {
  std::vector<const std::vector<int32_t>*> pointers;
  std::vector<int64_t> shareable;
  for (const auto& sequence : sequences) {
    pointers.push_back(&sequence);
    shareable.push_back(static_cast<int64_t>(sequence.size()) - 1);
  }
  return PlanPrefixes(pointers, shareable, options);
}

TEST(PrefixPlan, MakesAFamilyOfTheChoicesOfOneQuestion) {
  const PrefixPlan plan = PlanOf({{1, 2, 3, 4, 10}, {7, 7, 7, 1}, {1, 2, 3, 4, 11, 12}, {7, 7, 7, 2}});
  ASSERT_EQ(plan.headers.size(), 1u);
  const auto& families = plan.headers[0].families;
  ASSERT_EQ(families.size(), 2u);
  EXPECT_THAT(families[0].members, UnorderedElementsAre(0, 2));
  EXPECT_EQ(families[0].prefix, 4);
  EXPECT_EQ(families[0].shared, 4);
  EXPECT_THAT(families[1].members, UnorderedElementsAre(1, 3));
  EXPECT_EQ(families[1].prefix, 3);
}

TEST(PrefixPlan, PrefersManyDeepFamiliesToOneShallowFamily) {
  // All four start with 1: one family saves 3 tokens, two save 2 * 3.
  const PrefixPlan plan = PlanOf({{1, 2, 2, 5}, {1, 2, 2, 6}, {1, 3, 3, 5}, {1, 3, 3, 6}});
  ASSERT_EQ(plan.headers[0].families.size(), 2u);
  EXPECT_EQ(plan.headers[0].families[0].prefix, 3);
}

TEST(PrefixPlan, StopsAFamilyPrefixWhereScoringBegins) {
  const std::vector<int32_t> a = {1, 2, 3, 4, 5}, b = {1, 2, 3, 4, 6};
  const std::vector<const std::vector<int32_t>*> sequences = {&a, &b};
  const std::vector<int64_t> shareable = {2, 3};
  const auto plan = PlanPrefixes(sequences, shareable, {});
  ASSERT_EQ(plan.headers[0].families.size(), 1u);
  EXPECT_EQ(plan.headers[0].families[0].prefix, 2);
  EXPECT_EQ(plan.headers[0].families[0].shared, 4);
}

// `count` questions of 10 own tokens behind a header of `length` tokens that starts with `first`.
void AddSubject(int32_t first, int64_t length, int count, Sequences& sequences) {
  for (int32_t i = 0; i < count; ++i) {
    std::vector<int32_t> ids(length, first);
    for (int32_t k = 0; k < 10; ++k) ids.push_back(1000 + i * 16 + k);
    sequences.push_back(std::move(ids));
  }
}

TEST(PrefixPlan, ComputesALongHeaderOnceForAllItsQuestions) {
  Sequences sequences;
  AddSubject(5, 300, 40, sequences);
  AddSubject(6, 200, 40, sequences);
  const PrefixPlan plan = PlanOf(sequences, {200, true, true});
  ASSERT_EQ(plan.headers.size(), 3u);
  EXPECT_TRUE(plan.headers[0].families.empty());
  EXPECT_EQ(plan.headers[1].length, 300);
  EXPECT_EQ(plan.headers[2].length, 200);
  EXPECT_EQ(plan.headers[1].families.size(), 40u);
}

TEST(PrefixPlan, NestsHeaders) {
  Sequences sequences;
  AddSubject(5, 300, 40, sequences);
  AddSubject(6, 200, 40, sequences);
  for (auto& sequence : sequences) sequence.insert(sequence.begin(), 50, 9);
  const PrefixPlan plan = PlanOf(sequences, {200, true, true});
  ASSERT_EQ(plan.headers.size(), 4u);
  EXPECT_EQ(plan.headers[1].length, 50);
  EXPECT_EQ(plan.headers[2].parent, 1);
  EXPECT_EQ(plan.headers[2].length, 350);
  EXPECT_EQ(plan.headers[3].parent, 1);
}

TEST(PrefixPlan, LeavesAHeaderOutWhereTooFewShareIt) {
  Sequences sequences;
  AddSubject(5, 300, 1, sequences);
  AddSubject(6, 10, 50, sequences);
  EXPECT_EQ(PlanOf(sequences, {200, true, true}).headers.size(), 1u);
}

TEST(PrefixPlan, CoversEverySequenceOnceAndPrefixesAreTrue) {
  Rng rng(7);
  for (int round = 0; round < 50; ++round) {
    std::set<std::vector<int32_t>> distinct;
    for (int i = 0; i < 60; ++i) {
      std::vector<int32_t> ids(1 + rng.Below(40));
      for (auto& id : ids) id = static_cast<int32_t>(rng.Below(10) == 0);  // Long common runs.
      distinct.insert(ids);
    }
    const Sequences sequences(distinct.begin(), distinct.end());
    const PrefixPlan plan = PlanOf(sequences, {64, true, true});
    std::vector<int> seen(sequences.size(), 0);
    for (const auto& header : plan.headers) {
      for (const auto& family : header.families) {
        EXPECT_GE(family.prefix, header.length);
        EXPECT_GE(family.shared, family.prefix);
        for (const size_t member : family.members) {
          ++seen[member];
          ASSERT_LT(family.prefix, static_cast<int64_t>(sequences[member].size()));
          const auto& head = sequences[family.members[0]];
          EXPECT_TRUE(std::equal(head.begin(), head.begin() + family.shared, sequences[member].begin()));
          const auto& example = sequences[header.example];
          EXPECT_TRUE(std::equal(example.begin(), example.begin() + header.length, sequences[member].begin()));
        }
      }
    }
    EXPECT_THAT(seen, ::testing::Each(1));
  }
}

}  // namespace
}  // namespace bitlaw
