// Calibration text that a model writes, and what of it stands in the items of a task.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>

#include "bitlaw/base/error.h"
#include "quantize/calibration/draw.h"
#include "quantize/calibration/overlap.h"
#include "quantize/calibration/sequences_file.h"
#include "support/models.h"
#include "support/tiny_checkpoint.h"
#include "support/toy_model.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

// Continues "a" by the likeliest token.
class GreedyCorpus : public Corpus {
 public:
  TokenSequences Draw(const Tokenizer&, int64_t, int64_t, uint64_t) const override { throw InternalError("Draw"); }
  bool asks_model() const override { return true; }
  TokenSequences Generate(TextModel& model, int64_t count, int64_t length_tokens, uint64_t) const override {
    TokenSequences prompts{count, 2, {}};
    for (int64_t i = 0; i < count; ++i) prompts.ids.insert(prompts.ids.end(), {static_cast<int32_t>('a' + i), 'b'});
    return model.Continue(prompts, length_tokens, [](int64_t, std::span<const int32_t>, std::span<const float> logits) {
      return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    });
  }
  std::string digest() const override { return ""; }
};

class CalibrationText : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("bitlaw_calibration_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    WriteTinyCheckpoint(folder_, {.max_positions = 24});
    model_ = MakeModelBackend("hf")->Open(folder_, {});
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
  std::unique_ptr<Model> model_;
};

TEST_F(CalibrationText, IsWhatTheModelWouldWriteWithoutACache) {
  const TokenSequences drawn = DrawCalibration(GreedyCorpus(), *model_, 18, 12, 0);
  ASSERT_EQ(drawn.ids.size(), 18u * 12u);
  for (const int64_t i : {int64_t{0}, int64_t{15}, int64_t{17}}) {
    const auto ids = drawn.sequence(i);
    EXPECT_EQ(ids[0], 'a' + i);
    for (int64_t length = 2; length < 12; ++length) {
      const at::Tensor read = at::tensor(std::vector<int64_t>(ids.begin(), ids.begin() + length), at::kLong).unsqueeze(0);
      const at::Tensor logits = model_->Logits(model_->Forward(read, {})[0][length - 1]);
      EXPECT_EQ(logits.argmax().item<int64_t>(), ids[length]) << "sequence " << i << ", token " << length;
    }
  }
}

TEST_F(CalibrationText, OfFewerSequencesIsTheFirstOfMore) {
  const TokenSequences more = DrawCalibration(GreedyCorpus(), *model_, 20, 10, 0);
  for (const int64_t count : {int64_t{1}, int64_t{3}, int64_t{16}, int64_t{17}}) {
    const TokenSequences fewer = DrawCalibration(GreedyCorpus(), *model_, count, 10, 0);
    EXPECT_EQ(fewer.ids, std::vector<int32_t>(more.ids.begin(), more.ids.begin() + count * 10)) << count;
  }
}

TEST_F(CalibrationText, RefusesMoreTokensThanTheModelHasPositions) {
  try {
    DrawCalibration(GreedyCorpus(), *model_, 1, 25, 0);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              folder_.filename().string() +
                  ": sequences of 25 tokens are to be generated, and it has 24 positions. Ask for shorter ones.");
  }
}

TEST_F(CalibrationText, IsReadBackAndNothingElseIs) {
  const TokenSequences written{2, 3, {1, 2, 3, 4, 5, 6}};
  WriteSequences(folder_ / "text.json", written);
  EXPECT_EQ(ReadSequences(folder_ / "text.json", 2, 3).ids, written.ids);
  EXPECT_THROW(ReadSequences(folder_ / "text.json", 3, 2), Error);  // Its digest is of 2 sequences of 3.
  std::ofstream(folder_ / "text.json") << R"({"ids": [1, 2, 3, 4, 5, 7], "digest": ")" + written.digest() + "\"}";
  EXPECT_THROW(ReadSequences(folder_ / "text.json", 2, 3), Error);
  std::ofstream(folder_ / "text.json") << "{";
  EXPECT_THROW(ReadSequences(folder_ / "text.json", 2, 3), Error);
}

TEST(OverlapWords, AreLowerCaseWithoutPunctuation) {
  EXPECT_THAT(OverlapWords("Don't  stop:\n\"Été\" is_near (42)."), ElementsAre("dont", "stop", "été", "isnear", "42"));
  EXPECT_TRUE(OverlapWords(" .,! ").empty());
}

class Questions : public Task {
 public:
  explicit Questions(std::vector<std::string> texts) : texts_(std::move(texts)) {}
  const TaskCard& card() const override { return card_; }
  std::vector<TaskItem> Items() const override {
    std::vector<TaskItem> items;
    for (const std::string& text : texts_)
      items.push_back({text, {LoglikelihoodRequest{text, " Yes"}, LoglikelihoodRequest{text, " No"}}});
    return items;
  }
  std::vector<ItemScore> Score(const TaskItem&, std::span<const Response>) const override { return {}; }
  std::string digest() const override { return ""; }

 private:
  TaskCard card_;
  std::vector<std::string> texts_;
};

TokenSequences Sequences(const std::string& text) {
  const std::vector<int32_t> ids = bitlaw::testing::ToyTokenizer().Encode(text, false);
  return {1, static_cast<int64_t>(ids.size()), ids};
}

TEST(Overlap, CountsItemsWithWordsInARowOfTheCalibrationText) {
  const bitlaw::testing::ToyTokenizer tokenizer;
  const CalibrationWords words(Sequences("x one two three four five six seven eight nine ten eleven twelve yes y"), tokenizer, 10);
  const Questions task({
      "Well: One, two three four five six seven eight nine ten!",          // Ten in a row.
      "two three four five six seven eight nine ten other words",          // Nine in a row, of more.
      "four five six seven eight nine ten eleven twelve",                  // With its answer "yes" ten in a row.
      "five six seven eight nine ten eleven twelve",                       // Nine with the answer: all of it.
      "one two three",                                                     // Too short to be told.
  });
  const Overlap found = words.Of(task);
  EXPECT_EQ(found.compared, 4);
  EXPECT_EQ(found.shared, 3);
}

TEST(Overlap, DoesNotRunAcrossSequences) {
  const bitlaw::testing::ToyTokenizer tokenizer;
  TokenSequences two = Sequences("b c d e f g h i j k");
  two.count = 2;
  two.length_tokens /= 2;
  two.ids.resize(static_cast<size_t>(2 * two.length_tokens));
  EXPECT_EQ(CalibrationWords(two, tokenizer, 8).Of(Questions({"b c d e f g h i j k"})).shared, 0);
  EXPECT_EQ(CalibrationWords(Sequences("b c d e f g h i j k"), tokenizer, 8).Of(Questions({"b c d e f g h i j k"})).shared, 1);
}

}  // namespace
}  // namespace bitlaw
