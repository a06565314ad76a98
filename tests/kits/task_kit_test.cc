#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "bitlaw/testing/task_conformance.h"
#include "plugin/host.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TaskFaults;
using testing::TaskTrial;

// Every task component in the tree, over the data of tests/support/tasks.
TEST(TaskKit, EveryTaskInTheTreeKeepsItsPromises) {
  PluginHost host(OwnFingerprint());
  for (const char* name : {"cloze", "multiple_choice", "perplexity", "short_answer"}) {
    host.LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_task_" + name + ".so");
  }
  ASSERT_THAT(host.Names(ComponentKind::kTask), ElementsAre("cloze", "multiple_choice", "perplexity", "short_answer"));
  const std::string folder = BITLAW_SOURCE_DIR "/tests/support/tasks/";
  for (const char* file : {"capitals", "endings", "steps", "story", "uses"}) {
    const Value read = ReadYamlFile(folder + file + ".yaml");
    const std::string type = read.Find("type")->AsString();
    Value::Map options;
    for (const auto& [key, value] : read.AsMap()) {
      if (key != "type") options.emplace_back(key, value);
    }
    const Options resolved = host.Find(ComponentKind::kTask, type).schema.Resolve(Value(options), file);
    TaskTrial trial;
    if (type == "short_answer") {
      trial.knows = [](const TaskItem&, const std::string& right) {
        return std::vector<Response>{GenerateResponse{" " + right, 3, false}};
      };
    }
    EXPECT_THAT(TaskFaults(
                    [&] {
                      return host.MakeTask(type, resolved, {file, {folder}});
                    },
                    file, trial),
                ElementsAre())
        << type;
  }
}

// Two choices an item, the second right, with room for one mistake.
class Pairs : public Task {
 public:
  Pairs() {
    card_.name = "pairs";
    card_.version = "1";
    card_.metrics = {{"acc", MetricKind::kAccuracy, true}};
  }
  const TaskCard& card() const override { return card_; }
  std::vector<TaskItem> Items() const override {
    std::vector<TaskItem> items;
    for (int i = 0; i < 3; ++i) {
      items.push_back({std::to_string(i), {LoglikelihoodRequest{"a", " b"}, LoglikelihoodRequest{"a", " c"}}});
    }
    return items;
  }
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override {
    const double wrong = std::get<LoglikelihoodResponse>(responses[0]).loglikelihood_nats;
    const double right = std::get<LoglikelihoodResponse>(responses[1]).loglikelihood_nats;
    ItemScore score{.id = item.id, .values = {{right > wrong ? 1.0 : 0.0}}, .chance = 0.5};
    score.right = "1";
    score.chosen = {right > wrong ? 1 : 0};
    score.target = "c";
    score.extracted = {right > wrong ? "c" : "b"};
    return {score};
  }
  std::string digest() const override { return DigestOf("pairs"); }

 protected:
  TaskCard card_;
};
struct NoVersion : Pairs {
  NoVersion() { card_.version = ""; }
};
struct OneIdTwice : Pairs {
  std::vector<TaskItem> Items() const override {
    auto items = Pairs::Items();
    items[2].id = "1";
    return items;
  }
};
struct AsksForNothing : Pairs {
  std::vector<TaskItem> Items() const override {
    auto items = Pairs::Items();
    items[1].requests[0] = LoglikelihoodRequest{"a", ""};
    return items;
  }
};
struct OtherItemsEachTime : Pairs {
  std::vector<TaskItem> Items() const override {
    auto items = Pairs::Items();
    items[0].requests[0] = LoglikelihoodRequest{"a", " b" + std::to_string(++calls)};
    return items;
  }
  inline static int calls = 0;
};
struct AlwaysRight : Pairs {
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response>) const override {
    return {{.id = item.id, .values = {{1.0}}, .chance = 0.5}};
  }
};
template <typename Change>
struct Changed : Pairs {
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override {
    auto scores = Pairs::Score(item, responses);
    Change()(scores.front());
    return scores;
  }
};
struct TakesTheOther {
  void operator()(ItemScore& score) const { score.chosen[0] = 1 - score.chosen[0]; }
};
struct ShowsTheOther {
  void operator()(ItemScore& score) const { score.extracted[0] = score.extracted[0] == "b" ? "c" : "b"; }
};
struct TwoTexts {
  void operator()(ItemScore& score) const { score.extracted.push_back("c"); }
};
struct TellsNoText {
  void operator()(ItemScore& score) const { score.target = "", score.extracted = {}; }
};
struct OtherTextEachTime {
  void operator()(ItemScore& score) const { score.chosen = {}, score.extracted[0] = std::to_string(++calls); }
  inline static int calls = 0;
};
struct HalfRight {
  void operator()(ItemScore& score) const { score.values[0].value = 0.5; }
};
struct TwoValues {
  void operator()(ItemScore& score) const { score.values.push_back({1.0}); }
};
struct CertainChance {
  void operator()(ItemScore& score) const { score.chance = 1; }
};
struct OtherId {
  void operator()(ItemScore& score) const { score.id = "9"; }
};
struct Forgetful {
  void operator()(ItemScore& score) const { score.chance = ++calls % 2 == 0 ? 0.5 : 0.25; }
  inline static int calls = 0;
};
struct NoData : Pairs {
  std::vector<TaskItem> Items() const override { throw Error(ErrorKind::kIo, "pairs.jsonl: no such file."); }
};

// A loss of a text, of which it loses sight.
struct Loss : Pairs {
  Loss() { card_.metrics = {{"ppl", MetricKind::kPerplexity, false}}; }
  std::vector<TaskItem> Items() const override { return {{"0", {RollingRequest{.text = "a b"}}}}; }
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override {
    const WindowLoss& window = std::get<RollingResponse>(responses[0]).windows[0];
    return {{.id = item.id, .values = {{window.loss_nats, static_cast<double>(window.tokens)}}}};
  }
};
struct ProbabilityAsLoss : Loss {
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override {
    auto scores = Loss::Score(item, responses);
    scores[0].values[0].value *= -1;
    return scores;
  }
};

// A written answer, looked for with a blank before it or without.
struct Writes : Pairs {
  explicit Writes(std::string before = "") : before_(std::move(before)) {}
  std::vector<TaskItem> Items() const override {
    return {{"0", {GenerateRequest{.context = "1 + 1 =", .until = {"\n"}}}}};
  }
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override {
    ItemScore score{.id = item.id,
                    .values = {{std::get<GenerateResponse>(responses[0]).text == before_ + "2" ? 1.0 : 0.0}}};
    score.right = "2";
    return {score};
  }
  std::string before_;
};

TEST(TaskKit, NamesWhatATaskGetsWrong) {
  const auto faults = [](auto task) {
    using Wrong = decltype(task);
    return TaskFaults([] { return std::make_unique<Wrong>(); }, "t");
  };
  const std::string where = "task 't': ";
  EXPECT_THAT(faults(Pairs()), ElementsAre());
  EXPECT_THAT(faults(Loss()), ElementsAre());
  EXPECT_THAT(
      faults(NoVersion()),
      ElementsAre(where + "its card has no version, so that records of other definitions would pass for its own."));
  EXPECT_THAT(faults(OneIdTwice()), ElementsAre(where + "item id '1' is empty or there twice."));
  EXPECT_THAT(faults(AsksForNothing()), ElementsAre(where + "item '1' asks for the likelihood of an empty text."));
  EXPECT_THAT(faults(OtherItemsEachTime()),
              ElementsAre(where + "it has other items the second time.", where + "another object has other items."));
  EXPECT_THAT(faults(AlwaysRight()), ElementsAre(where + "'acc' is never 0, whatever is answered."));
  EXPECT_THAT(
      faults(Changed<TakesTheOther>()),
      ::testing::Contains(where + "a score of item '0' is 1 for 'acc', where choice 0 was taken and 1 is right."));
  EXPECT_THAT(
      faults(Changed<ShowsTheOther>()),
      ::testing::Contains(where + "a score of item '0' took 'b' for 'acc', which is choice 1, the right one, and its "
                                  "target is 'c'."));
  EXPECT_THAT(
      faults(Changed<TwoTexts>()),
      ::testing::Contains(where + "a score of item '0' says for 2 of 1 values which text was taken for the answer."));
  EXPECT_THAT(faults(Changed<TellsNoText>()), ElementsAre());
  EXPECT_THAT(faults(Changed<OtherTextEachTime>()),
              ::testing::Contains(where + "item '0' gets another score for the same responses."));
  EXPECT_THAT(faults(Changed<HalfRight>()),
              ::testing::Contains(where + "a score of item '0' is 0.500000 for 'acc', an accuracy, which is 0 or 1."));
  EXPECT_THAT(faults(Changed<TwoValues>()),
              ::testing::Contains(where + "a score of item '0' has 2 values for 1 metrics."));
  EXPECT_THAT(faults(Changed<CertainChance>()),
              ::testing::Contains(where + "a score of item '2' has the chance 1.000000, not in [0, 1)."));
  EXPECT_THAT(faults(Changed<OtherId>()), ::testing::Contains(where + "a score of item '0' has the id '9'."));
  EXPECT_THAT(faults(Changed<Forgetful>()),
              ::testing::Contains(where + "item '0' gets another score for the same responses."));
  EXPECT_THAT(faults(NoData()), ElementsAre(where + "it cannot be tried: pairs.jsonl: no such file."));
  EXPECT_THAT(faults(ProbabilityAsLoss()),
              ElementsAre(where + "'ppl' of item '0' does not rise with the loss of its windows."));
}

// What only a model that knows the answer shows.
TEST(TaskKit, AsksAModelThatKnowsTheAnswer) {
  TaskTrial trial;
  trial.knows = [](const TaskItem&, const std::string& right) {
    return std::vector<Response>{GenerateResponse{right, 1, false}};
  };
  EXPECT_THAT(TaskFaults([] { return std::make_unique<Writes>(); }, "t", trial), ElementsAre());
  EXPECT_THAT(TaskFaults([] { return std::make_unique<Writes>(" "); }, "t", trial),
              ElementsAre("task 't': item '0' gets 0.000000 for 'acc' from a model that knows the answer.",
                          "task 't': 'acc' does not depend on the responses."));
}

}  // namespace
}  // namespace bitlaw
