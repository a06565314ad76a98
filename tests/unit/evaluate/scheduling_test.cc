// What batches and order may not change, and what sharing saves, with a decoder of the kind that is evaluated.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bitlaw/base/rng.h"
#include "cost/model_work.h"
#include "evaluate/evaluate.h"
#include "evaluate/forward.h"
#include "support/toy_model.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

using testing::ListTask;
using testing::ToyTokenizer;

// Two blocks with grouped heads and rotary positions, and a token a byte.
std::unique_ptr<Model> ByteDecoder() {
  at::set_num_threads(1);
  DecoderConfig config = SmallConfig();
  config.vocab_size = ToyTokenizer().vocab_size();
  config.max_positions = 2048;
  ModelSummary summary = SummarizeDecoder(config, ExpectedTensors(config), "random", "random");
  return OpenDecoder(config, summary, std::make_unique<RandomWeights>(config, 7), std::make_unique<ToyTokenizer>(),
                     {.dtype = Dtype::kFloat32, .device = "cpu"});
}

std::string Letters(Rng& rng, uint64_t count) {
  std::string text;
  for (uint64_t i = 0; i < count; ++i) text += static_cast<char>('a' + rng.Below(26));
  return text;
}

// Multiple choice behind a common header, texts of several windows, and generation behind another header.
std::vector<TaskItem> MixedItems() {
  Rng rng(4);
  const std::string header = Letters(rng, 90) + " ", other = Letters(rng, 70) + " ";
  std::vector<TaskItem> items;
  for (int i = 0; i < 60; ++i) {
    TaskItem item{"choice " + std::to_string(i), {}};
    const std::string question = header + Letters(rng, 3 + rng.Below(60)) + ":";
    const uint64_t choices = 2 + rng.Below(9);
    for (uint64_t c = 0; c < choices; ++c) {
      item.requests.push_back(LoglikelihoodRequest{question, " " + Letters(rng, 1 + rng.Below(12))});
    }
    items.push_back(std::move(item));
  }
  for (int i = 0; i < 6; ++i) {
    items.push_back({"text " + std::to_string(i),
                     {RollingRequest{Letters(rng, 150 + rng.Below(200)), WindowConvention::kRolling, 64, 0}}});
  }
  for (int i = 0; i < 20; ++i) {
    items.push_back({"answer " + std::to_string(i),
                     {GenerateRequest{other + Letters(rng, 2 + rng.Below(50)), {"qu"}, 1 + static_cast<int64_t>(rng.Below(24))}}});
  }
  return items;
}

// All that an evaluation says of an item: sums, greedy matches, which choice wins, generated text.
struct Outcome {
  std::vector<double> nats;
  std::vector<bool> greedy;
  size_t winner = 0;
  std::string text;
};

std::map<std::string, Outcome> Outcomes(Model& model, const std::vector<TaskItem>& items, EvaluateOptions options) {
  options.keep_samples = true;
  const TaskResult result = Evaluate(model, ListTask(items), options);
  std::map<std::string, Outcome> outcomes;
  for (size_t i = 0; i < result.items.size(); ++i) {
    Outcome& outcome = outcomes[result.items[i].id];
    for (const Response& response : result.responses[i]) {
      if (const auto* pair = std::get_if<LoglikelihoodResponse>(&response)) {
        outcome.nats.push_back(pair->loglikelihood_nats);
        outcome.greedy.push_back(pair->is_greedy);
      } else if (const auto* rolling = std::get_if<RollingResponse>(&response)) {
        for (const WindowLoss& window : rolling->windows) outcome.nats.push_back(-window.loss_nats);
      } else {
        outcome.text = std::get<GenerateResponse>(response).text;
      }
    }
    outcome.winner = static_cast<size_t>(std::max_element(outcome.nats.begin(), outcome.nats.end()) - outcome.nats.begin());
  }
  return outcomes;
}

// q reads and writes 8 + 8 features; of 4 experts with 3 layers of 8 x 2, each of 8 + 2 features, a token goes to one.
TEST(ActivationBytes, CountTheExpertsThatATokenGoesTo) {
  ModelSummary summary;
  summary.num_blocks = 2;
  for (int block = 0; block < 2; ++block) {
    summary.linears.push_back({"q", block, 8, 8});
    for (int expert = 0; expert < 4; ++expert) {
      for (const auto& [in, out] : {std::pair(8, 2), std::pair(8, 2), std::pair(2, 8)}) {
        summary.linears.push_back({"expert", block, in, out, /*is_expert=*/true});
      }
    }
  }
  summary.parameters_total = 1000;
  summary.parameters_active = 1000 - 2 * 3 * 3 * 16;  // Two blocks, three idle experts, three layers of 16 weights.
  EXPECT_EQ(ActivationBytes(summary, Dtype::kFloat32), (16 + 30) * 4);
  EXPECT_EQ(ActivationBytes(summary, Dtype::kBFloat16), (16 + 30) * 2);
  summary.parameters_active = 1000;  // All of them.
  EXPECT_EQ(ActivationBytes(summary, Dtype::kFloat32), (16 + 4 * 30) * 4);
}

// The first block is dense, 8 + 8 features; the second has 4 experts of 8 + 16 features, of which a token goes to two.
TEST(ActivationBytes, AreThoseOfTheWidestBlock) {
  ModelSummary summary;
  summary.num_blocks = 2;
  summary.linears = {{"dense", 0, 8, 8}};
  for (int expert = 0; expert < 4; ++expert) summary.linears.push_back({"expert", 1, 8, 16, /*is_expert=*/true});
  summary.parameters_total = 1000;
  summary.parameters_active = 1000 - 2 * 128;
  EXPECT_EQ(ActivationBytes(summary, Dtype::kFloat32), 2 * 24 * 4);
  summary.linears.front() = {"dense", 0, 8, 92};
  EXPECT_EQ(ActivationBytes(summary, Dtype::kFloat32), 100 * 4);
}

TEST(Scheduling, DecidesTheSameInWhateverBatchesAndOrder) {
  const auto model = ByteDecoder();
  std::vector<TaskItem> items = MixedItems();
  EvaluateOptions apart;  // The definition: every request whole and by itself.
  apart.share_prefixes = false;
  apart.batch_tokens = 1;
  const auto expected = Outcomes(*model, items, apart);
  ASSERT_EQ(expected.size(), items.size());
  Rng rng(9);
  for (const int64_t batch_tokens : {64, 512, 4096}) {
    for (int order = 0; order < 3; ++order) {
      SCOPED_TRACE(std::to_string(batch_tokens) + " tokens, order " + std::to_string(order));
      EvaluateOptions options;
      options.batch_tokens = batch_tokens;
      const auto given = Outcomes(*model, items, options);
      for (const auto& [id, wanted] : expected) {
        const Outcome& outcome = given.at(id);
        ASSERT_EQ(outcome.nats.size(), wanted.nats.size());
        for (size_t r = 0; r < wanted.nats.size(); ++r) {
          // Sums of up to 64 terms of about 6 nats; a term's rounding is of the order of 1e-6.
          EXPECT_NEAR(outcome.nats[r], wanted.nats[r], 5e-5) << id << ", request " << r;
        }
        EXPECT_EQ(outcome.greedy, wanted.greedy) << id;
        EXPECT_EQ(outcome.winner, wanted.winner) << id;
        EXPECT_EQ(outcome.text, wanted.text) << id;
      }
      rng.Shuffle(std::span<TaskItem>(items));
    }
  }
}

TEST(Scheduling, GivesTheSameBytesTwice) {
  const auto model = ByteDecoder();
  const std::vector<TaskItem> items = MixedItems();
  const auto first = Outcomes(*model, items, {}), second = Outcomes(*model, items, {});
  for (const auto& [id, outcome] : first) EXPECT_EQ(outcome.nats, second.at(id).nats) << id;
}

// `count` questions of 20 tokens behind a header of 100, each question beginning with a letter of its own.
std::vector<TaskItem> Questions(int count, const std::vector<std::string>& answers) {
  std::vector<TaskItem> items;
  for (int i = 0; i < count; ++i) {
    const std::string context = std::string(100, 'z') + std::string(20, static_cast<char>('A' + i));
    TaskItem item{std::to_string(i), {}};
    for (const std::string& answer : answers) item.requests.push_back(LoglikelihoodRequest{context, answer});
    items.push_back(std::move(item));
  }
  return items;
}

EvaluateCost CostOf(const std::vector<TaskItem>& items, bool share = true) {
  EvaluateOptions options;
  options.batch_tokens = 128;
  options.share_prefixes = share;
  return Evaluate(*ByteDecoder(), ListTask(items), options).cost;
}

TEST(Scheduling, ReadsHeaderQuestionAndAnswersOnceEach) {
  const auto items = Questions(8, {"bbbbb", "ccccc", "ddddd", "eeeee"});
  const EvaluateCost cost = CostOf(items);
  EXPECT_EQ(cost.tokens_requested, 8 * 4 * (120 + 4));
  // An answer's last token is not read.
  EXPECT_EQ(cost.tokens_computed, 100 + 8 * 20 + 8 * 4 * 4);
  EXPECT_EQ(CostOf(items, false).tokens_computed, cost.tokens_requested);
}

TEST(Scheduling, ReadsAQuestionWithLetterAnswersOnce) {
  const EvaluateCost cost = CostOf(Questions(8, {"b", "c", "d", "e"}));
  EXPECT_EQ(cost.tokens_requested, 8 * 4 * 120);
  EXPECT_EQ(cost.tokens_computed, 100 + 8 * 20);
}

TEST(Scheduling, ReadsAHeaderOfGenerationsOnceAndATokenAStep) {
  std::vector<TaskItem> items;
  for (int i = 0; i < 8; ++i) {
    items.push_back({std::to_string(i),
                     {GenerateRequest{std::string(100, 'z') + std::string(20, static_cast<char>('A' + i)), {}, 5}}});
  }
  const EvaluateCost cost = CostOf(items);
  EXPECT_EQ(cost.tokens_requested, 8 * (120 + 4));
  // The last of five tokens is drawn and not read.
  EXPECT_EQ(cost.tokens_computed, 100 + 8 * 20 + 8 * 4);
}

}  // namespace
}  // namespace bitlaw
