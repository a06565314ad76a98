#include "cost/task_work.h"

#include <gtest/gtest.h>

namespace bitlaw {
namespace {

// A token a byte.
class Bytes : public Tokenizer {
 public:
  std::vector<int32_t> Encode(std::string_view text, bool /*add_special_tokens*/) const override {
    return {text.begin(), text.end()};
  }
  std::string Decode(std::span<const int32_t> ids, bool /*skip_special_tokens*/) const override {
    return {ids.begin(), ids.end()};
  }
  int64_t vocab_size() const override { return 256; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }
  std::vector<int32_t> stop_ids() const override { return {}; }
  const std::string& digest() const override { return digest_; }

 private:
  std::string digest_;
};

TaskItem Choices(const std::string& context, const std::vector<std::string>& choices) {
  TaskItem item;
  for (const std::string& choice : choices) item.requests.push_back(LoglikelihoodRequest{context, choice});
  return item;
}

// "head q1" is 7 tokens, read once for both choices; of "aa" and "bb" the last token is not read.
TEST(TaskWork, ReadsOnceWhatTextsBeginWith) {
  const TaskWork one = CountWork({Choices("head q1", {"aa", "bb"})}, Bytes());
  EXPECT_EQ(one.items, 1);
  EXPECT_EQ(one.requests, 2);
  EXPECT_EQ(one.tokens, 7 + 1 + 1);
  EXPECT_EQ(one.scored, 4);
  // Of the second item "head q" is there already.
  const TaskWork two = CountWork({Choices("head q1", {"aa", "bb"}), Choices("head q2", {"aa", "bb"})}, Bytes());
  EXPECT_EQ(two.tokens, 9 + 3);
}

TEST(TaskWork, CountsAThirdOfTheLongestAnswerWhereStopStringsEndIt) {
  TaskItem item;
  item.requests.push_back(GenerateRequest{"abc", {"\n"}, 24});
  const TaskWork work = CountWork({item, item}, Bytes());
  EXPECT_EQ(work.tokens, 3);
  EXPECT_EQ(work.generated, 16);  // 8 each.
  EXPECT_EQ(work.steps, 8);
  item.requests = {GenerateRequest{"abc", {}, 24}};
  EXPECT_EQ(CountWork({item}, Bytes()).generated, 24);
}

TEST(TaskWork, CountsWindowsOfALongText) {
  TaskItem item;
  item.requests.push_back(RollingRequest{std::string(200'000, 'x'), WindowConvention::kDisjoint, 2048, 0});
  EXPECT_EQ(CountWork({item}, Bytes()).tokens, 200'000);
  std::get<RollingRequest>(item.requests[0]).max_windows = 3;
  EXPECT_EQ(CountWork({item}, Bytes()).tokens, 3 * 2048);
}

// Items of 10 tokens, 5 of which all begin with: 5 + 5 n.
TEST(TaskWork, TakesFurtherItemsForTheSecondHalfOfTheSample) {
  std::vector<TaskItem> items;
  for (int i = 0; i < 1000; ++i) items.push_back(Choices("headr" + std::to_string(10000 + i), {"a"}));
  const double all = CountWork(items, Bytes(), items.size()).tokens;
  const TaskWork some = CountWork(items, Bytes(), 100);
  EXPECT_EQ(some.items, 1000);
  EXPECT_EQ(some.requests, 1000);
  EXPECT_NEAR(some.tokens / all, 1, 0.1);
}

}  // namespace
}  // namespace bitlaw
