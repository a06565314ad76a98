#include "world.h"

#include <gtest/gtest.h>

#include <set>

#include "bitlaw/sdk/byte_level_bpe.h"

namespace bitlaw::lab {
namespace {

constexpr Kind kGeneralizing[] = {Kind::kRule,  Kind::kKind,  Kind::kFollow, Kind::kArith,
                                  Kind::kState, Kind::kOrder, Kind::kHop};

const World& SmallWorld() {
  static const World* world = new World(20261122, WorldSize{1000, 0.9});
  return *world;
}

TEST(LabTokenizer, GivesTheIdsThatTheTrainerUsesThroughTheOrdinaryTokenizer) {
  const Vocabulary& vocabulary = SmallWorld().vocabulary();
  const auto tokenizer = ByteLevelBpe::FromTokenizerJsonText(vocabulary.TokenizerJson(), "lab tokenizer.json");
  EXPECT_EQ(tokenizer->vocab_size(), vocabulary.size());
  EXPECT_EQ(tokenizer->bos_id(), Vocabulary::kBos);
  Rng rng(1);
  for (int i = 0; i < 3000; ++i) {
    const Line line = SmallWorld().Training(rng, Domain::kGeneral);
    const std::string text = " " + line.prompt + " " + line.answer + " .";
    const std::vector<int32_t> ids = tokenizer->Encode(text, false);
    ASSERT_EQ(ids, vocabulary.Encode(line.prompt + " " + line.answer + " .")) << text;
    ASSERT_EQ(tokenizer->Decode(ids, false), text);
  }
}

TEST(LabWorld, TrainingTextHoldsNoPromptOfAnItemThatAsksForGeneralization) {
  std::set<std::string> asked;
  for (const Kind kind : kGeneralizing) {
    for (const uint64_t seed : {0u, 3u, 4u}) {
      for (const Item& item : SmallWorld().Items(kind, 20, 0, seed)) asked.insert(item.prompt);
    }
  }
  for (const Item& item : SmallWorld().Items(Kind::kParaphrase, 200, 0, 0)) asked.insert(item.prompt);
  ASSERT_GT(asked.size(), 400u);
  Rng rng(2);
  for (int i = 0; i < 200000; ++i) {
    const Line line = SmallWorld().Training(rng, Domain::kGeneral);
    ASSERT_FALSE(asked.contains(line.prompt)) << line.prompt;
  }
}

TEST(LabWorld, ChoicesHoldTheRightAnswerOnceAtTheIndexNamed) {
  for (const Kind kind : {Kind::kFact, Kind::kFollow, Kind::kOrder}) {
    for (const Item& item : SmallWorld().Items(kind, 100, 3, 7)) {
      ASSERT_EQ(item.choices.size(), 3u);
      EXPECT_EQ(item.choices[item.answer_index], item.answer);
      EXPECT_EQ(std::set<std::string>(item.choices.begin(), item.choices.end()).size(), 3u) << item.prompt;
    }
  }
}

TEST(LabWorld, FollowsFromItsSeed) {
  const World same(20261122, WorldSize{1000, 0.9}), other(20261123, WorldSize{1000, 0.9});
  Rng a(5), b(5), c(5);
  int different = 0;
  for (int i = 0; i < 200; ++i) {
    const Line line = SmallWorld().Training(a, Domain::kGeneral), twin = same.Training(b, Domain::kGeneral);
    ASSERT_EQ(line.prompt + line.answer, twin.prompt + twin.answer);
    const Line stranger = other.Training(c, Domain::kGeneral);
    different += line.prompt + line.answer != stranger.prompt + stranger.answer;
  }
  EXPECT_GT(different, 100);
}

}  // namespace
}  // namespace bitlaw::lab
