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
    if (kind == Kind::kFact || kind == Kind::kBorn) continue;  // Asked as they were learned.
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
  for (const char* name : {"rule", "inherit", "speak", "arith", "walk", "hop", "order", "swap"}) {
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
    asked.insert(given + " " + first + " " + second);
  }
  ASSERT_GT(asked.size(), 100u);
  Rng rng(3);
  for (int i = 0; i < 100000; ++i) {
    std::istringstream words(TheWorld().Training(rng, Domain::kGeneral).prompt);
    std::string given, first, second;
    words >> given >> first >> second;
    ASSERT_FALSE(asked.contains(given + " " + first + " " + second));
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
  EXPECT_EQ(files, 13 * 2 + 3);
  std::filesystem::remove_all(made);
}

TEST(LabWorld, TasksOfChainsSpanTheirLengthsAndGoFurtherThanTheText) {
  const auto lengths = [](Kind kind, Purpose purpose) {
    std::map<size_t, int> found;
    for (const Item& item : TheWorld().Items(kind, 400, 0, 3, purpose)) ++found[item.steps];
    return found;
  };
  for (const Kind kind : {Kind::kArith, Kind::kWalk, Kind::kHop}) {
    const std::map<size_t, int> found = lengths(kind, Purpose::kTask);
    ASSERT_EQ(found.size(), 5u);  // 1, 2, 4, 8, 16
    for (const auto& [steps, count] : found) EXPECT_GT(count, 30) << steps;
    EXPECT_EQ(found.rbegin()->first, 16u);
  }
  EXPECT_EQ(lengths(Kind::kSwap, Purpose::kTask).rbegin()->first, 16u);
  EXPECT_EQ(lengths(Kind::kOrder, Purpose::kProgress).rbegin()->first, 8u);
  EXPECT_EQ(lengths(Kind::kOrder, Purpose::kTask).rbegin()->first, 12u);
}

TEST(LabWorld, AnItemSaysItsStepsAsItsAnswerHasThem) {
  for (const Kind kind : {Kind::kArith, Kind::kWalk}) {
    for (const Item& item : TheWorld().Items(kind, 100, 0, 4)) {
      EXPECT_EQ(std::count(item.answer.begin(), item.answer.end(), ' ') + 1, 3 * static_cast<long>(item.steps));
    }
  }
  for (const Kind kind : {Kind::kHop, Kind::kOrder, Kind::kSwap}) {
    std::set<size_t> strides;
    for (const Item& item : TheWorld().Items(kind, 100, 0, 4)) {
      const auto words = static_cast<size_t>(std::count(item.answer.begin(), item.answer.end(), ' ') + 1);
      EXPECT_EQ(words * item.stride, item.steps * (kind == Kind::kSwap ? 6 : 1)) << item.prompt;
      strides.insert(item.stride);
    }
    EXPECT_TRUE(strides.contains(1) && strides.contains(2) && strides.contains(4));
  }
}

// Counted in 400,000 lines: a fact, a rule's class, a word and a noun are told as often as their items say.
TEST(LabWorld, AnItemSaysHowOftenTextTellsWhatItNeeds) {
  std::map<std::string, size_t> lines;  // By a part of a line that names what is told.
  const auto key = [](Kind kind, const std::string& prompt) {
    std::istringstream in(prompt);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    switch (kind) {
      case Kind::kFact: return words[1] + " " + words[2] + " " + words[3];
      case Kind::kBorn: return words[1] + " " + words[2] + " born";
      case Kind::kDecline: return words[1] + " " + words[2] + " :";
      default: {  // "a c1 c2 , size a": the class of the creature.
        return words[1] + " " + words[2] + " " + words[4];
      }
    }
  };
  Rng rng(6);
  for (int i = 0; i < 400000; ++i) {
    const Line line = TheWorld().Training(rng, Domain::kGeneral);
    std::istringstream in(line.prompt);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words[0] == "fact") ++lines[key(Kind::kFact, line.prompt)];
    else if (words[0] == "the") ++lines[words[3] + " " + words[4] + " " + words[1]];
    else if (words[0] == "born") ++lines[key(Kind::kBorn, line.prompt)];
    else if (words.size() == 4 && words[3] == ":") ++lines[key(Kind::kDecline, line.prompt)];
    else if (words.size() == 6 && words[3] == "," && words.back() != ":") ++lines[key(Kind::kRule, line.prompt)];
  }
  for (const Kind kind : {Kind::kFact, Kind::kBorn, Kind::kDecline, Kind::kRule}) {
    double expected = 0, counted = 0;
    for (const Item& item : TheWorld().Items(kind, 500, 0, 5)) {
      expected += 0.4 * item.frequency;
      counted += static_cast<double>(lines[key(kind, item.prompt)]);
    }
    EXPECT_NEAR(counted / expected, 1, 0.05) << static_cast<int>(kind) << ": " << counted;
  }
}

TEST(LabWorld, StepsOfAnAnswerFollowFromOneAnother) {
  // "calc a addtwo b timesthree from v17 : a addtwo v19 b timesthree v57": numbers are words, so the rules are read off
  // single steps.
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
        std::string restated;
        ASSERT_TRUE(answer >> label >> restated >> after) << item.answer;
        ASSERT_EQ(restated, operation);
        const auto [rule, is_new] = rules.emplace(system + " " + operation + " " + value, after);
        ASSERT_EQ(rule->second, after) << item.prompt;
        value = after;
      }
    }
    // 27 operations on 23 numbers and 60 on 113, 24 doors of 24 rooms and 80 of 113: most of them are asked about.
    const size_t all = kind == Kind::kArith ? 27 * 23 + 60 * 113 : 24 * 24 + 80 * 113;
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
