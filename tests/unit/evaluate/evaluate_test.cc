#include "evaluate/evaluate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "evaluate/encode.h"
#include "evaluate/forward.h"
#include "support/toy_model.h"

namespace bitlaw {
namespace {

using testing::ListTask;
using testing::ToyModel;

std::string RandomWords(Rng& rng, int count) {
  static const char* const kWords[] = {"the", "a", "hat", "other", "moon", "is", "then", "red"};
  std::string text;
  for (int i = 0; i < count; ++i) text += std::string(i > 0 ? " " : "") + kWords[rng.Below(8)];
  return text;
}

// Questions of many lengths behind a common header, with two to five choices of one to four words.
std::vector<TaskItem> MakeQuestions(int count, const std::string& header = "") {
  Rng rng(3);
  std::vector<TaskItem> items;
  for (int i = 0; i < count; ++i) {
    TaskItem item{std::to_string(i), {}};
    const std::string question = header + RandomWords(rng, 1 + static_cast<int>(rng.Below(9))) + ":";
    const uint64_t choices = 2 + rng.Below(4);
    for (uint64_t c = 0; c < choices; ++c) {
      const std::string answer = c == 0 ? "x" : RandomWords(rng, 1 + static_cast<int>(rng.Below(4)));
      item.requests.push_back(LoglikelihoodRequest{question, " " + answer});
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::vector<TaskItem> MakeGenerations(int count, const std::string& header = "") {
  Rng rng(11);
  std::vector<TaskItem> items;
  for (int i = 0; i < count; ++i) {
    const std::string question = header + RandomWords(rng, 1 + static_cast<int>(rng.Below(9))) + ":";
    items.push_back({std::to_string(i), {GenerateRequest{question, {"t", "9"}, 3 + static_cast<int64_t>(rng.Below(12))}}});
  }
  items.push_back({"again", items[0].requests});
  return items;
}

// The definition, in one pass a request over the whole text and with all logits.
LoglikelihoodResponse ScoreAlone(ToyModel& model, const LoglikelihoodRequest& request) {
  const at::NoGradGuard no_grad;
  const ScoredInput input = MakeScoredInput(EncodePair(model.tokenizer(), request.context, request.continuation),
                                            model.summary().max_positions, "x");
  const std::vector<int64_t> ids(input.input.begin(), input.input.end());
  const at::Tensor hidden = model.Forward(at::tensor(ids).unsqueeze(0), {});
  const at::Tensor log_p = at::log_softmax(model.Logits(hidden)[0], -1);  // [T, V]
  LoglikelihoodResponse response{0.0, true, static_cast<int64_t>(input.targets.size())};
  for (size_t t = 0; t < input.targets.size(); ++t) {
    const at::Tensor row = log_p[input.first_scored + static_cast<int64_t>(t)];
    response.loglikelihood_nats += row[input.targets[t]].item<double>();
    if (row.argmax().item<int64_t>() != input.targets[t]) response.is_greedy = false;
  }
  return response;
}

TaskResult RunTask(ToyModel& model, std::vector<TaskItem> items, EvaluateOptions options = {}) {
  options.keep_samples = true;
  return Evaluate(model, ListTask(std::move(items)), options);
}

void ExpectSameAsAlone(const TaskResult& result, ToyModel& model) {
  for (size_t i = 0; i < result.items.size(); ++i) {
    for (size_t r = 0; r < result.items[i].requests.size(); ++r) {
      const auto expected = ScoreAlone(model, std::get<LoglikelihoodRequest>(result.items[i].requests[r]));
      const auto& given = std::get<LoglikelihoodResponse>(result.responses[i][r]);
      // A rounding of float32 at sums of some tens of nats.
      EXPECT_NEAR(given.loglikelihood_nats, expected.loglikelihood_nats, 2e-5) << "item " << i << " request " << r;
      EXPECT_EQ(given.is_greedy, expected.is_greedy);
      EXPECT_EQ(given.tokens, expected.tokens);
    }
  }
}

TEST(Evaluate, GivesWhatOnePassARequestGives) {
  ToyModel model;
  ExpectSameAsAlone(RunTask(model, MakeQuestions(40)), model);
}

TEST(Evaluate, DoesNotDependOnBatchSizeOrMemory) {
  ToyModel model;
  for (const int64_t batch_tokens : {1, 7, 64, 100000}) {
    EvaluateOptions options;
    options.batch_tokens = batch_tokens;
    SCOPED_TRACE(batch_tokens);
    ExpectSameAsAlone(RunTask(model, MakeQuestions(12, "the header that all of them have in common. "), options), model);
  }
  EvaluateOptions tight;
  tight.kv_budget_bytes = 1;
  tight.logits_budget_bytes = 1;
  ExpectSameAsAlone(RunTask(model, MakeQuestions(12), tight), model);
  EvaluateOptions apart;
  apart.share_prefixes = false;
  ExpectSameAsAlone(RunTask(model, MakeQuestions(12), apart), model);
}

// Passes of more than `most_tokens` tokens, and one call for logits, find no memory, as libtorch says it on a GPU.
class SmallMemory : public ToyModel {
 public:
  explicit SmallMemory(int64_t most_tokens) : ToyModel(1, 4096), most_tokens_(most_tokens) {}

  at::Tensor Embed(const at::Tensor& tokens) override {
    if (is_small && tokens.numel() > most_tokens_) Refuse();
    return ToyModel::Embed(tokens);
  }
  at::Tensor Logits(const at::Tensor& hidden) override {
    if (is_small && ++calls_ == 3) Refuse();
    return ToyModel::Logits(hidden);
  }

  bool is_small = true;

 private:
  [[noreturn]] void Refuse() {
    ++refused;
    C10_THROW_ERROR(Error, "CUDA out of memory. Tried to allocate 2.00 GiB.");
  }
  int64_t most_tokens_;
  int calls_ = 0;

 public:
  int refused = 0;
};

TEST(Evaluate, GoesOnWithSmallerPassesWhereMemoryRunsOut) {
  SmallMemory model(150);
  EvaluateOptions options;
  options.batch_tokens = 1000;
  options.logits_budget_bytes = 261 * 4 * 3 * 4;  // Four positions at a time: the third call is amid a pass.
  const TaskResult result = RunTask(model, MakeQuestions(40), options);
  EXPECT_GE(model.refused, 4);  // 1000, 500, 250 tokens, and the logits.
  EXPECT_EQ(result.cost.budget_halvings, model.refused);
  model.is_small = false;
  ExpectSameAsAlone(result, model);
}

TEST(Evaluate, GivesUpWhereTheSmallestPassesFindNoMemory) {
  SmallMemory model(3);
  const auto fails = [&] { RunTask(model, MakeQuestions(5)); };
  EXPECT_THROW(fails(), Error);
  try {
    fails();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBudget);
    EXPECT_NE(std::string(error.what()).find("memory ran out"), std::string::npos) << error.what();
  }
}

// Counts the blocks in memory.
class CountedBlocks : public ToyModel {
 public:
  CountedBlocks() : ToyModel(1, 4096) {}

  Block& block(int64_t i) override {
    if (held_.insert(i).second) ++blocks_read;
    most_held = std::max(most_held, held_.size());
    return ToyModel::block(i);
  }
  void DropBlock(int64_t i) override { held_.erase(i); }

  size_t most_held = 0;
  int blocks_read = 0;

 private:
  std::set<int64_t> held_;
};

TEST(Evaluate, StreamsBlocksOneAtATimeForAllTexts) {
  CountedBlocks model;
  EvaluateOptions options;
  options.stream_blocks = true;
  options.batch_tokens = 64;  // Several passes, and headers before them.
  const std::string header = "the header that all of them have in common, and that is longer than a pass may be. ";
  const TaskResult result = RunTask(model, MakeQuestions(30, header), options);
  EXPECT_EQ(model.most_held, 1u);
  EXPECT_EQ(model.blocks_read, 3) << "once to see what a token's keys take, and once each";
  ExpectSameAsAlone(result, model);
}

TEST(Evaluate, StreamsBlocksAgainWhereHiddenStatesFindNoRoom) {
  CountedBlocks model;
  EvaluateOptions options;
  options.stream_blocks = true;
  options.kv_budget_bytes = 200 * 16 * 4;  // Hidden states of 200 tokens.
  const TaskResult result = RunTask(model, MakeQuestions(30), options);
  EXPECT_EQ(model.most_held, 1u);
  EXPECT_GT(model.blocks_read, 5);
  ExpectSameAsAlone(result, model);
}

TEST(Evaluate, RefusesToGenerateFromStreamedBlocks) {
  CountedBlocks model;
  EvaluateOptions options;
  options.stream_blocks = true;
  try {
    RunTask(model, MakeGenerations(2), options);
    FAIL() << "generated";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("Leave stream_blocks out"), std::string::npos) << error.what();
  }
}

TEST(Evaluate, DoesNotDependOnTheOrderOfItems) {
  ToyModel model;
  std::vector<TaskItem> items = MakeQuestions(30);
  const TaskResult forwards = RunTask(model, items);
  std::reverse(items.begin(), items.end());
  const TaskResult backwards = RunTask(model, items);
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(forwards.scores[i].id, backwards.scores[items.size() - 1 - i].id);
    EXPECT_NEAR(forwards.scores[i].values[0].value, backwards.scores[items.size() - 1 - i].values[0].value, 5e-5);
  }
}

TEST(Evaluate, ReadsASharedHeaderOnce) {
  ToyModel model(1, /*max_positions=*/4096);
  const std::string header = std::string(200, 'h') + " ";
  std::vector<TaskItem> items = MakeQuestions(40, header);
  EvaluateOptions options;
  options.batch_tokens = 256;
  const TaskResult result = RunTask(model, items, options);
  ExpectSameAsAlone(result, model);
  // 140 or so requests of 200 header tokens each; read are the header once and 20 to 60 tokens a question.
  EXPECT_GT(result.cost.tokens_requested, 100 * 200);
  EXPECT_LT(result.cost.tokens_computed, 200 + 40 * 150);
}

TEST(Evaluate, KeepsToTheTokenBudget) {
  ToyModel model;
  EvaluateOptions options;
  options.batch_tokens = 128;
  RunTask(model, MakeQuestions(60), options);
  EXPECT_LE(model.largest_batch, 128);
}

TEST(Evaluate, KeepsToTheMemoryOfKeysAndValues) {
  ToyModel model(1, /*max_positions=*/4096);
  EvaluateOptions options;
  options.batch_tokens = 4096;
  options.kv_budget_bytes = 1 << 18;  // A token's keys and values are 2 * 2 * 16 floats: 1,024 tokens in all.
  const std::string header = std::string(300, 'z') + " ";
  RunTask(model, MakeQuestions(40, header), options);
  EXPECT_LE(model.largest_cache_bytes, options.kv_budget_bytes);
  EXPECT_GT(model.largest_cache_bytes, options.kv_budget_bytes / 2) << "passes are smaller than they need be";
  model.largest_cache_bytes = 0;
  RunTask(model, MakeGenerations(60, header), options);
  EXPECT_LE(model.largest_cache_bytes, options.kv_budget_bytes);
  EXPECT_GT(model.largest_cache_bytes, options.kv_budget_bytes / 2) << "passes are smaller than they need be";
}

TEST(Evaluate, TakesLogitsOnlyAtScoredPositionsAndOnceASharedPosition) {
  ToyModel model;
  // Three one-token answers after the same context: one position.
  RunTask(model, {{"0", {LoglikelihoodRequest{"hat:", "b"}, LoglikelihoodRequest{"hat:", "c"},
                         LoglikelihoodRequest{"hat:", "d"}}}});
  EXPECT_EQ(model.logits_rows, 1);
  model.logits_rows = 0;
  // "bcd" and "xyz": their first tokens are predicted at one position, the others at two each.
  RunTask(model, {{"0", {LoglikelihoodRequest{"hat:", "bcd"}, LoglikelihoodRequest{"hat:", "xyz"}}}});
  EXPECT_EQ(model.logits_rows, 5);
}

TEST(Evaluate, TruncatesContextsAtTheirLeftAndCountsThem) {
  ToyModel model(1, /*max_positions=*/20);
  const TaskResult result = RunTask(model, MakeQuestions(30));
  ExpectSameAsAlone(result, model);
  EXPECT_GT(result.cost.truncated_requests, 0);
}

TEST(Evaluate, ReportsLogitsThatAreNotFinite) {
  ToyModel model;
  model.scale = std::nan("");
  try {
    RunTask(model, {{"q7", {LoglikelihoodRequest{"a", "b"}}}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumerical);
    EXPECT_STREQ(error.what(), "task 'list', item 'q7', request 0: the model's logits are not finite. Its weights or "
                               "activations overflowed.");
  }
}

TEST(Evaluate, WindowsOfATextAreScoredOneByOne) {
  ToyModel model;
  Rng rng(5);
  const std::string text = RandomWords(rng, 40);
  const RollingRequest request{text, WindowConvention::kDisjoint, 16, 0};
  const TaskResult result = RunTask(model, {{"0", {request}}});
  const auto windows = MakeWindows(model.tokenizer(), request, 512, "x");
  const auto& given = std::get<RollingResponse>(result.responses[0][0]).windows;
  ASSERT_EQ(given.size(), windows.size());
  const at::NoGradGuard no_grad;
  for (size_t w = 0; w < windows.size(); ++w) {
    const std::vector<int64_t> ids(windows[w].input.begin(), windows[w].input.end());
    const at::Tensor log_p = at::log_softmax(model.Logits(model.Forward(at::tensor(ids).unsqueeze(0), {}))[0], -1);
    double loss_nats = 0;
    for (size_t t = 0; t < 15; ++t) loss_nats -= log_p[static_cast<int64_t>(t)][windows[w].targets[t]].item<double>();
    EXPECT_NEAR(given[w].loss_nats, loss_nats, 5e-5);
    EXPECT_EQ(given[w].tokens, 15);
  }
}

TEST(Evaluate, TellsProgressUpToTheLastRequest) {
  ToyModel model;
  std::vector<int64_t> done;
  int64_t total = 0;
  Evaluate(model, ListTask(MakeQuestions(20)), {}, [&](const EvaluateProgress& progress) {
    done.push_back(progress.done);
    total = progress.total;
  });
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.front(), 0);
  EXPECT_EQ(done.back(), total);
}

TEST(Evaluate, DropsALimitThatDidNotLimit) {
  ToyModel model;
  ListTask task(MakeQuestions(5));
  task.mutable_card().limit = 10;
  EXPECT_FALSE(Evaluate(model, task).card.limit.has_value());
  task.mutable_card().limit = 5;
  EXPECT_EQ(Evaluate(model, task).card.limit, 5);
}

// Greedy continuation by its definition: the whole text again for every token.
std::string GenerateAlone(ToyModel& model, const GenerateRequest& request) {
  const at::NoGradGuard no_grad;
  std::vector<int32_t> ids = EncodeText(model.tokenizer(), request.context), generated;
  while (static_cast<int64_t>(generated.size()) < request.max_new_tokens) {
    const std::vector<int64_t> all(ids.begin(), ids.end());
    const at::Tensor hidden = model.Forward(at::tensor(all).unsqueeze(0), {});
    const auto next = static_cast<int32_t>(model.Logits(hidden[0][-1]).argmax().item<int64_t>());
    ids.push_back(next);
    generated.push_back(next);
    const std::string text = model.tokenizer().Decode(generated, true);
    for (const std::string& stop : request.until) {
      if (text.find(stop) != std::string::npos) return CutAtStops(text, request.until);
    }
    if (next == 260) return text;
  }
  return model.tokenizer().Decode(generated, true);
}

void ExpectSameTexts(const TaskResult& result, ToyModel& model) {
  for (size_t i = 0; i < result.items.size(); ++i) {
    EXPECT_EQ(std::get<GenerateResponse>(result.responses[i][0]).text,
              GenerateAlone(model, std::get<GenerateRequest>(result.items[i].requests[0])))
        << "item " << i;
  }
}

TEST(Generation, GivesWhatRereadingTheWholeTextGives) {
  ToyModel model;
  for (const int64_t batch_tokens : {1, 100, 100000}) {
    EvaluateOptions options;
    options.batch_tokens = batch_tokens;
    SCOPED_TRACE(batch_tokens);
    ExpectSameTexts(RunTask(model, MakeGenerations(25), options), model);
  }
}

// Contexts wait until answers have ended, some of them after a part of their pass had found room.
TEST(Generation, DoesNotDependOnMemory) {
  ToyModel model;
  for (const int64_t tokens : {1, 150, 220, 300, 500}) {
    EvaluateOptions options;
    options.batch_tokens = 120;
    options.kv_budget_bytes = tokens * 2 * 2 * 16 * 4;
    SCOPED_TRACE(tokens);
    model.largest_cache_bytes = 0;
    ExpectSameTexts(RunTask(model, MakeGenerations(25, "once upon a "), options), model);
    EXPECT_LE(model.largest_cache_bytes, std::max<int64_t>(options.kv_budget_bytes, 100 * 2 * 2 * 16 * 4)) << "one text alone";
  }
}

TEST(Generation, GoesOnWithSmallerPassesWhereMemoryRunsOut) {
  SmallMemory model(100);
  EvaluateOptions options;
  options.batch_tokens = 800;
  const TaskResult result = RunTask(model, MakeGenerations(25, "once upon a "), options);
  EXPECT_GE(result.cost.budget_halvings, 3);
  model.is_small = false;
  ExpectSameTexts(result, model);
}

TEST(Generation, SharesAHeaderBetweenContextsOfDifferentLength) {
  ToyModel model(1, /*max_positions=*/4096);
  EvaluateOptions options;
  options.batch_tokens = 200;
  const TaskResult result = RunTask(model, MakeGenerations(25, std::string(150, 'h') + " "), options);
  ExpectSameTexts(result, model);
  EXPECT_LT(result.cost.tokens_computed, 150 + 26 * 100);
}

TEST(Generation, SaysWhenItHitTheLimit) {
  ToyModel model;
  const TaskResult result = RunTask(model, {{"0", {GenerateRequest{"the moon", {}, 4}}}});
  const auto& response = std::get<GenerateResponse>(result.responses[0][0]);
  EXPECT_EQ(response.tokens, 4);
  EXPECT_TRUE(response.hit_limit);
}

TEST(Generation, CutsBeforeEachStopStringInTurn) {
  EXPECT_EQ(CutAtStops("Paris.\nLondon", {"\n", "."}), "Paris");
  EXPECT_EQ(CutAtStops("Paris", {"\n", ""}), "Paris");
  // As the public harness: the first string cuts first, and what is left no longer holds the second.
  EXPECT_EQ(CutAtStops("abcd", {"cd", "bc"}), "ab");
}

TEST(Generation, RefusesAnAnswerLongerThanTheModel) {
  ToyModel model(1, /*max_positions=*/8);
  try {
    RunTask(model, {{"0", {GenerateRequest{"the moon", {}, 8}}}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "task 'list', item '0', request 0: max_new_tokens = 8 leaves no room for a question in the "
                               "model's 8 positions.");
  }
}

TEST(ChanceAdjusted, PutsGuessingAtZero) {
  MetricSummary summary{"acc", 0.5, 0.1, 10, 0.25};
  EXPECT_DOUBLE_EQ(ChanceAdjusted({"acc", MetricKind::kAccuracy, true}, summary), 1.0 / 3);
  EXPECT_TRUE(std::isnan(ChanceAdjusted({"ppl", MetricKind::kPerplexity, false}, summary)));
}

TEST(StopStrings, CountWhereTheyStandInTheTextWithItsSpecialTokens) {
  // As lm-evaluation-harness 0.4.13: it looks for them in tokenizer.batch_decode(ids), and cuts the text that
  // tokenizer.decode(ids, skip_special_tokens=True) gives.
  const testing::ToyTokenizer tokenizer;
  const std::vector<int32_t> answer = {'A', 259, 'B'};  // "A<s>B"
  const auto stops = [&](const std::string& text) { return StopStrings(tokenizer, {text}); };
  for (const char* text : {"<s>", "A<s>", "<s>B", "A<s>B", "<", "s>B"}) {
    EXPECT_TRUE(stops(text).Stand(answer)) << text;
    EXPECT_EQ(stops(text).Answer(answer), "AB") << text;
  }
  EXPECT_TRUE(stops("AB").Stand(answer));  // The answer would be cut there in any case.
  EXPECT_EQ(stops("AB").Answer(answer), "");
  for (const char* text : {"", "<s><s>", "a<s>", "</s>"}) {
    EXPECT_FALSE(stops(text).Stand(answer)) << text;
    EXPECT_EQ(stops(text).Answer(answer), "AB") << text;
  }
}

TEST(StopStrings, TheTextOfEosIsOneHoweverItIsSpelled) {
  const testing::ToyTokenizer tokenizer;
  const std::vector<int32_t> spelled = {'A', '<', '/', 's', '>'};
  const StopStrings stops(tokenizer, {});
  EXPECT_TRUE(stops.Stand(spelled));
  EXPECT_EQ(stops.Answer(spelled), "A");
}

TEST(Evaluate, ATextWithoutTokensAddsNoLossAndTheOthersKeepTheirs) {
  for (const auto kind : {testing::ToyTokenizer::Template::kNone, testing::ToyTokenizer::Template::kBos}) {
    ToyModel model(1, 512, testing::ToyTokenizer(kind));
    const auto request = [](const std::string& text) {
      return RollingRequest{text, WindowConvention::kRolling, 8, 0};
    };
    const TaskResult alone = RunTask(model, {{"0", {request("a hat")}}});
    const TaskResult mixed = RunTask(model, {{"0", {request("")}}, {"1", {request("a hat")}}, {"2", {request("")}}});
    const auto windows = [](const TaskResult& result, size_t item) {
      return std::get<RollingResponse>(result.responses[item][0]).windows;
    };
    EXPECT_TRUE(windows(mixed, 0).empty());
    EXPECT_TRUE(windows(mixed, 2).empty());
    ASSERT_EQ(windows(mixed, 1).size(), 1u);
    EXPECT_EQ(windows(mixed, 1)[0].loss_nats, windows(alone, 0)[0].loss_nats);
  }
}

TEST(Evaluate, TextsWithoutAnyTokenAreAnError) {
  ToyModel model;
  EXPECT_THAT([&] { RunTask(model, {{"0", {RollingRequest{"", WindowConvention::kRolling, 8, 0}}}}); },
              ::testing::ThrowsMessage<Error>(
                  "task 'list': none of its texts has a token, so there is nothing to score."));
}

}  // namespace
}  // namespace bitlaw
