#include "world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"
#include "tasks.h"

namespace bitlaw::lab {
namespace {

const World& TheWorld() {
  static const World* world = new World(20261122);
  return *world;
}

TEST(LabTokenizer, GivesTheIdsThatTheTrainerUsesThroughTheOrdinaryTokenizer) {
  const Vocabulary& vocabulary = TheWorld().vocabulary();
  const auto tokenizer = ByteLevelBpe::FromTokenizerJsonText(vocabulary.TokenizerJson(), "lab tokenizer.json");
  EXPECT_EQ(tokenizer->vocab_size(), vocabulary.size());
  EXPECT_EQ(tokenizer->bos_id(), Vocabulary::kBos);
  Rng rng(1);
  for (int i = 0; i < 3000; ++i) {
    const Line line = TheWorld().Training(rng, Domain::kGeneral);
    const std::string text = " " + line.prompt + " " + line.answer + " .";
    const std::vector<int32_t> ids = tokenizer->Encode(text, false);
    ASSERT_EQ(ids, vocabulary.Encode(line.prompt + " " + line.answer + " .")) << text;
    ASSERT_EQ(tokenizer->Decode(ids, false), text);
  }
}

TEST(LabWorld, TrainingTextHoldsNoPromptOfAnItemThatAsksForGeneralization) {
  std::set<std::string> asked;
  for (const auto& [kind, name] : AllKinds()) {
    if (kind == Kind::kFact) continue;  // Asked as it was learned.
    for (const Item& item : TheWorld().Items(kind, 200, 0, 0)) asked.insert(item.prompt);
  }
  ASSERT_EQ(asked.size(), 2000u);
  Rng rng(2);
  for (int i = 0; i < 200000; ++i) {
    const Line line = TheWorld().Training(rng, Domain::kGeneral);
    ASSERT_FALSE(asked.contains(line.prompt)) << line.prompt;
  }
}

TEST(LabWorld, ShippedItemsOfGeneralizationAreHeldOut) {
  // Training() draws again whatever IsHeldOut() says of: no shipped prompt can come out of it, however long it runs.
  for (const char* name : {"rule", "inherit", "speak", "arith", "walk", "order", "hop", "swap"}) {
    std::ifstream items(std::string(BITLAW_SOURCE_DIR "/configs/tasks/lab/lab_") + name + ".jsonl");
    std::string line;
    int count = 0;
    for (; std::getline(items, line); ++count) {
      const std::string prompt = nlohmann::json::parse(line).at("question");
      ASSERT_TRUE(World::IsHeldOut(prompt)) << name << ": " << prompt;
    }
    EXPECT_GE(count, 500) << name;
  }
}

TEST(LabWorld, NeverTrainsANounInACaseThatAnItemAsks) {
  std::set<std::string> asked;
  std::ifstream items(BITLAW_SOURCE_DIR "/configs/tasks/lab/lab_decline.jsonl");
  for (std::string line; std::getline(items, line);) {
    std::istringstream words(nlohmann::json::parse(line).at("question").get<std::string>());
    std::string given, first, second;
    words >> given >> first >> second;
    asked.insert(given + " " + first);
    asked.insert(given + " " + second);
  }
  ASSERT_GT(asked.size(), 100u);
  Rng rng(3);
  for (int i = 0; i < 100000; ++i) {
    std::istringstream words(TheWorld().Training(rng, Domain::kGeneral).prompt);
    std::string given, first, second;
    words >> given >> first >> second;
    ASSERT_FALSE(asked.contains(given + " " + first) || asked.contains(given + " " + second));
  }
}

TEST(LabWorld, ChoicesHoldTheRightAnswerOnceAtTheIndexNamed) {
  for (const auto& [kind, name] : AllKinds()) {
    for (const Item& item : TheWorld().Items(kind, 100, 3, 7)) {
      ASSERT_EQ(item.choices.size(), 3u);
      EXPECT_EQ(item.choices[item.answer_index], item.answer);
      EXPECT_EQ(std::set<std::string>(item.choices.begin(), item.choices.end()).size(), 3u) << item.prompt;
    }
  }
}

std::string Contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(LabWorld, ShippedTasksAndTextsAreWhatTheGeneratorWrites) {
  const std::filesystem::path made = testing::TempDir() + "lab_tasks";
  std::filesystem::remove_all(made);
  WriteTasks(TheWorld(), {}, made);
  int files = 0;
  for (const auto& [folder, shipped] : {std::pair{made / "tasks/lab", BITLAW_SOURCE_DIR "/configs/tasks/lab"},
                                        std::pair{made / "text", BITLAW_SOURCE_DIR "/examples/knowledge-lab/text"}}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      EXPECT_TRUE(Contents(entry.path()) == Contents(shipped / entry.path().filename())) << entry.path();
      ++files;
    }
  }
  EXPECT_EQ(files, 12 * 2 + 3);
  std::filesystem::remove_all(made);
}

TEST(LabWorld, TasksAskForLongerWaysThanTheTrainersOwnCheck) {
  const auto longest = [](Kind kind, Purpose purpose, const std::string& step) {
    size_t most = 0;
    for (const Item& item : TheWorld().Items(kind, 200, 0, 3, purpose)) {
      size_t steps = 0;
      for (size_t at = item.prompt.find(step); at != std::string::npos; at = item.prompt.find(step, at + 1)) ++steps;
      most = std::max(most, steps);
    }
    return most;
  };
  EXPECT_EQ(longest(Kind::kOrder, Purpose::kProgress, " ,"), 5u);  // Six things in a row.
  EXPECT_EQ(longest(Kind::kOrder, Purpose::kTask, " ,"), 7u);
  for (const Purpose purpose : {Purpose::kProgress, Purpose::kTask}) {
    size_t least = 9;
    for (const Item& item : TheWorld().Items(Kind::kHop, 200, 0, 3, purpose)) {
      least = std::min<size_t>(least, std::count(item.answer.begin(), item.answer.end(), ' ') + 1);
    }
    EXPECT_EQ(least, purpose == Purpose::kTask ? 4u : 2u);
  }
}

TEST(LabWorld, StepsOfAnAnswerFollowFromOneAnother) {
  // "calc a addtwo b timesthree from v17 : a v19 b v57": the numbers are words, so the rules are read off single steps.
  for (const Kind kind : {Kind::kArith, Kind::kWalk}) {
    std::map<std::string, std::string> rules;
    for (const Item& item : TheWorld().Items(kind, 3000, 0, 1)) {
      std::istringstream prompt(item.prompt), answer(item.answer);
      std::string word, value, label, after;
      std::vector<std::string> operations;
      std::string system;
      prompt >> system;
      while (prompt >> label && label != "from") operations.push_back((prompt >> word, word));
      prompt >> value;
      for (const std::string& operation : operations) {
        ASSERT_TRUE(answer >> label >> after) << item.answer;
        const auto [rule, is_new] = rules.emplace(system + " " + operation + " " + value, after);
        ASSERT_EQ(rule->second, after) << item.prompt;
        value = after;
      }
    }
    // 27 operations on 23 and on 113 numbers, 24 doors of 24 rooms and 48 of 64: all but a few rare ones are asked about.
    const size_t all = kind == Kind::kArith ? 27 * (23 + 113) : 24 * 24 + 48 * 64;
    EXPECT_LE(rules.size(), all);
    EXPECT_GT(rules.size(), all * 3 / 5);
  }
}

TEST(LabWorld, FollowsFromItsSeed) {
  const World same(20261122), other(20261123);
  Rng a(5), b(5), c(5);
  int different = 0;
  for (int i = 0; i < 200; ++i) {
    const Line line = TheWorld().Training(a, Domain::kGeneral), twin = same.Training(b, Domain::kGeneral);
    ASSERT_EQ(line.prompt + line.answer, twin.prompt + twin.answer);
    const Line stranger = other.Training(c, Domain::kGeneral);
    different += line.prompt + line.answer != stranger.prompt + stranger.answer;
  }
  EXPECT_GT(different, 100);
}

}  // namespace
}  // namespace bitlaw::lab
