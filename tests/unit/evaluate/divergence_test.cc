#include "evaluate/divergence.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "evaluate/encode.h"
#include "support/toy_model.h"

namespace bitlaw {
namespace {

using testing::ListTask;
using testing::ToyModel;

std::vector<TaskItem> Questions() {
  return {{"0", {LoglikelihoodRequest{"the hat", " is red"}, LoglikelihoodRequest{"the hat", " a"}}},
          {"1", {LoglikelihoodRequest{"a moon", " then"}, LoglikelihoodRequest{"a moon", " then"}}},
          {"2", {RollingRequest{"other hats then the moon", WindowConvention::kDisjoint, 8, 0}}}};
}

TEST(Divergence, IsTheMeanOverScoredPositionsOfTheWholeDistributions) {
  ToyModel reference(1), model(2);
  const ListTask task(Questions());
  const Divergence far = CompareModels(reference, model, task);
  // By hand, in double precision, a text at a time; the request that is asked twice counts once.
  double kl = 0, agreed = 0, positions = 0;
  int64_t texts = 0;
  const at::NoGradGuard no_grad;
  const auto add = [&](const ScoredInput& text) {
    const std::vector<int64_t> ids(text.input.begin(), text.input.end());
    const auto ln = [&](ToyModel& of) {
      return at::log_softmax(of.Logits(of.Forward(at::tensor(ids).unsqueeze(0), {}))[0].to(at::kDouble), -1);
    };
    const at::Tensor p = ln(reference), q = ln(model);  // [T, V]
    for (int64_t t = text.first_scored; t < p.size(0); ++t, ++positions) {
      kl += (p[t].exp() * (p[t] - q[t])).sum().item<double>();
      agreed += p[t].argmax().item<int64_t>() == q[t].argmax().item<int64_t>();
    }
    ++texts;
  };
  for (const auto& [context, continuation] :
       {std::pair{"the hat", " is red"}, {"the hat", " a"}, {"a moon", " then"}}) {
    add(MakeScoredInput(EncodePair(reference.tokenizer(), context, continuation), 512, "x"));
  }
  for (const ScoredInput& window :
       MakeWindows(reference.tokenizer(), std::get<RollingRequest>(Questions()[2].requests[0]), 512, "x")) {
    add(window);
  }
  EXPECT_EQ(far.texts, texts);
  EXPECT_EQ(static_cast<double>(far.positions), positions);
  EXPECT_NEAR(far.kl_nats, kl / positions, 1e-5);
  EXPECT_NEAR(far.top1_agreement, agreed / positions, 1e-12);
  EXPECT_GT(far.kl_nats, 0.1);
  EXPECT_GT(far.kl_standard_error, 0);
}

TEST(Divergence, OfAModelFromItselfIsNothing) {
  ToyModel one(1), same(1);
  const ListTask task(Questions());
  EvaluateOptions options;
  options.logits_budget_bytes = 1;  // A position at a time.
  const Divergence far = CompareModels(one, same, task, options);
  EXPECT_NEAR(far.kl_nats, 0, 1e-7);
  EXPECT_EQ(far.top1_agreement, 1);
}

TEST(Divergence, HasNothingToSayOfTasksThatOnlyGenerate) {
  ToyModel one(1), other(2);
  const Divergence far =
      CompareModels(one, other, ListTask(std::vector<TaskItem>{{"0", {GenerateRequest{"the", {"\n"}, 2}}}}));
  EXPECT_EQ(far.positions, 0);
  EXPECT_TRUE(std::isnan(far.kl_nats));
}

}  // namespace
}  // namespace bitlaw
