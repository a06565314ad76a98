#include "import/results/lm_eval_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class HarnessResults : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("bitlaw_HarnessResults_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void Put(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  // One task "t" with these numbers; `more` are further keys.
  void PutResults(const std::string& numbers,
                  const std::string& more = R"("n-samples": {"t": {"original": 2, "effective": 2}})") {
    Put("results_d.json", R"({"results": {"t": {"alias": "t", )" + numbers +
                              R"(}}, "config": {"model_dtype": "torch.bfloat16",)"
                              R"( "model_num_parameters": 10}, "model_name": "org/m", "lm_eval_version": "0.4.13",)"
                              R"( "versions": {"t": 1.0}, "n-shot": {"t": 3}, )" +
                              more + "}");
  }
  HarnessRun Read() { return ReadHarnessRun(folder_); }
  std::string ErrorOf() {
    try {
      Read();
    } catch (const Error& error) {
      const std::string text = error.what();
      return text.starts_with(folder_.string()) ? text.substr(folder_.string().size()) : text;
    }
    return "(no error)";
  }
  fs::path folder_;
};

// Two choices; the second line has three.
const std::string kChoices =
    R"({"doc_id": 0, "doc": {}, "target": "1", "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " no"},)"
    R"( "gen_args_1": {"arg_0": "Q", "arg_1": " yes"}}, "resps": [[["-2.0", "False"]], [["-2.5", "False"]]],)"
    R"( "filtered_resps": [], "filter": "none", "metrics": ["acc", "acc_norm", "f1"], "acc": 0.0, "acc_norm": 1.0, "f1": [1, 0]})"
    "\n"
    R"({"doc_id": 1, "doc": {}, "target": "2", "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " a"},)"
    R"( "gen_args_1": {"arg_0": "Q", "arg_1": " b"}, "gen_args_2": {"arg_0": "Q", "arg_1": " c"}},)"
    R"( "resps": [[["-2.0", "False"]], [["-2.5", "False"]], [["-1.0", "True"]]],)"
    R"( "filtered_resps": [], "filter": "none", "metrics": ["acc", "acc_norm", "f1"], "acc": 1.0, "acc_norm": 1.0, "f1": [2, 2]})"
    "\n";

TEST_F(HarnessResults, OfMultipleChoiceHaveItemsChancesAndTheChosenOnes) {
  PutResults(R"("acc,none": 0.5, "acc_stderr,none": 0.5, "acc_norm,none": 1.0, "f1,none": 0.4)");
  Put("samples_t_d.jsonl", kChoices);
  const HarnessRun run = Read();
  EXPECT_EQ(run.model, "m");
  EXPECT_EQ(run.dtype, "bfloat16");
  EXPECT_EQ(run.parameters_total, 10);
  EXPECT_EQ(run.version, "0.4.13");
  ASSERT_EQ(run.tasks.size(), 1u);
  const HarnessTask& task = run.tasks[0];
  EXPECT_EQ(task.card.version, "lm-eval 1.0");
  EXPECT_EQ(task.card.few_shot, 3);
  EXPECT_FALSE(task.card.limit);
  EXPECT_THAT(task.notes, ElementsAre("t: 'f1' is left out: its items are logged as something other than a number"));
  ASSERT_EQ(task.metrics.size(), 2u);
  EXPECT_EQ(task.card.metrics[0].kind, MetricKind::kAccuracy);
  EXPECT_EQ(task.metrics[0].value, 0.5);
  EXPECT_EQ(task.metrics[0].standard_error, 0.5);
  EXPECT_DOUBLE_EQ(task.metrics[0].chance, (1.0 / 2 + 1.0 / 3) / 2);
  ASSERT_EQ(task.items.size(), 2u);
  EXPECT_EQ(task.items[0].right, "1");
  EXPECT_EQ(task.items[0].target, "yes");
  EXPECT_THAT(task.items[0].chosen, ElementsAre(0, 1)) << "-2 > -2.5, and a letter -1 < -0.83";
  EXPECT_THAT(task.items[0].extracted, ElementsAre("no", "yes"));
  EXPECT_THAT(task.items[0].lengths, ElementsAre(2, 3));
  EXPECT_THAT(task.items[1].loglikelihoods_nats, ElementsAre(-2, -2.5, -1));
}

TEST_F(HarnessResults, ThatDifferFromTheirSamplesAreAnError) {
  PutResults(R"("acc,none": 0.75, "acc_norm,none": 1.0)");
  Put("samples_t_d.jsonl", kChoices);
  EXPECT_EQ(ErrorOf(),
            "/results_d.json: task 't': 'acc' is 0.750000 in the results and 0.500000 over the 2 items of "
            "samples_t_d.jsonl. They are not of one run, or the file was cut off.");
  Put("samples_t_d.jsonl", kChoices + kChoices);
  EXPECT_EQ(ErrorOf(),
            "/samples_t_d.jsonl:3:1: item 0 has 'acc' a second time. A file of samples has one line for each item and "
            "filter.");
}

TEST_F(HarnessResults, WithoutSamplesHaveValuesAndNoItems) {
  PutResults(
      R"("acc,none": 0.75, "acc_stderr,none": 0.1)",
      R"("n-samples": {"t": {"original": 9, "effective": 4}}, "configs": {"t": {"output_type": "multiple_choice"}})");
  const HarnessTask task = Read().tasks.at(0);
  EXPECT_TRUE(task.items.empty());
  EXPECT_EQ(task.metrics.at(0).value, 0.75);
  EXPECT_EQ(task.metrics[0].standard_error, 0.1);
  EXPECT_EQ(task.metrics[0].items, 4);
  EXPECT_TRUE(std::isnan(task.metrics[0].chance));
  EXPECT_EQ(task.card.limit, 4);
  EXPECT_THAT(
      task.notes,
      ElementsAre("t: no samples (samples_t_d.jsonl), so no items to compare. Run lm_eval with --log_samples"));
}

TEST_F(HarnessResults, KeepTheFiltersOfGeneratedAnswersApart) {
  PutResults(R"("exact_match,strict": 0.0, "exact_match,loose": 0.5)");
  const auto line = [](const char* id, const char* filter, const char* taken, const char* value) {
    return std::string(R"({"doc_id": )") + id +
           R"(, "doc": {}, "target": "4", "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {}}},)"
           R"( "resps": [["so 4"]], "filtered_resps": [")" +
           taken + R"("], "filter": ")" + filter + R"(", "metrics": ["exact_match"], "exact_match": )" + value + "}\n";
  };
  Put("samples_t_d.jsonl", line("0", "strict", "[invalid]", "0.0") + line("1", "strict", "[invalid]", "0.0") +
                               line("0", "loose", "4", "1.0") + line("1", "loose", "5", "0.0"));
  const HarnessTask task = Read().tasks.at(0);
  ASSERT_EQ(task.metrics.size(), 2u);
  EXPECT_EQ(task.metrics[0].name, "exact_match_strict");
  EXPECT_EQ(task.metrics[1].name, "exact_match_loose");
  EXPECT_EQ(task.metrics[1].value, 0.5);
  EXPECT_EQ(task.metrics[1].chance, 0);
  ASSERT_EQ(task.items.size(), 2u);
  EXPECT_EQ(task.items[0].target, "4");
  EXPECT_THAT(task.items[0].extracted, ElementsAre("[invalid]", "4"));
  EXPECT_TRUE(task.items[0].chosen.empty());
}

TEST_F(HarnessResults, TakeLossesOfTextsWithTheirWeights) {
  // exp(30 / 6), 30 / ln 2 / 20 bits a byte.
  PutResults(
      R"("word_perplexity,none": 148.4131591025766, "bits_per_byte,none": 2.164042561333445, "other,none": 3.0)");
  const auto line = [](const char* id, const char* nats, const char* words, const char* bytes) {
    return std::string(R"({"doc_id": )") + id +
           R"(, "doc": {}, "target": "text", "arguments": {"gen_args_0": {"arg_0": "text"}},)"
           R"( "resps": [[")" +
           nats +
           R"("]], "filtered_resps": [], "filter": "none", "metrics": ["word_perplexity", "bits_per_byte", "other"],)"
           R"( "word_perplexity": [)" +
           nats + ", " + words + R"(], "bits_per_byte": [)" + nats + ", " + bytes +
           R"(], "other": 1.0})"
           "\n";
  };
  Put("samples_t_d.jsonl", line("0", "-10.0", "2", "8") + line("1", "-20.0", "4", "12"));
  const HarnessTask task = Read().tasks.at(0);
  ASSERT_EQ(task.metrics.size(), 2u);
  EXPECT_EQ(task.card.metrics[0].kind, MetricKind::kPerplexity);
  EXPECT_NEAR(task.metrics[0].value, std::exp(5), 1e-9);
  EXPECT_EQ(task.card.metrics[1].kind, MetricKind::kRatio);
  EXPECT_EQ(task.items[0].right, "") << "a text has no right answer";
  EXPECT_EQ(task.items[1].values[0].weight, 4);
  EXPECT_THAT(task.notes, ElementsAre("t: 'other' is left out: it is no mean over items as they are logged"));
}

TEST_F(HarnessResults, OfGroupsAreThoseOfTheirTasks) {
  Put("results_d.json",
      R"({"results": {"g": {"acc,none": 0.5}, "a": {"acc,none": 0.5}}, "config": {}, "model_name": "m",)"
      R"( "group_subtasks": {"g": ["a"], "a": []}})");
  const HarnessRun run = Read();
  ASSERT_EQ(run.tasks.size(), 1u);
  EXPECT_EQ(run.tasks[0].card.name, "a");
}

// An item of two choices, right is the second; its metrics as they are given.
std::string TwoChoices(const std::string& metrics, bool asked_twice = false) {
  const std::string more =
      R"(, "gen_args_2": {"arg_0": "", "arg_1": " no"}, "gen_args_3": {"arg_0": "", "arg_1": " ok"})";
  return R"({"doc_id": 0, "doc": {}, "target": "1", "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " no"},)"
         R"( "gen_args_1": {"arg_0": "Q", "arg_1": " ok"})" +
         (asked_twice ? more : "") + R"(}, "resps": [[["-2.0", "False"]], [["-1.0", "True"]])" +
         (asked_twice ? R"(, [["-1.0", "False"]], [["-1.5", "False"]])" : "") +
         R"(], "filtered_resps": [], "filter": "none", )" + metrics + "}\n";
}

// The second choice is likelier by itself and a letter; a harness that says acc_norm = 0 measured another length.
TEST_F(HarnessResults, HaveNoChoiceWhereAMetricsIsNotKnown) {
  PutResults(R"("acc,none": 1.0, "acc_norm,none": 1.0)", R"("n-samples": {})");
  Put("samples_t_d.jsonl", TwoChoices(R"("metrics": ["acc", "acc_norm"], "acc": 1.0, "acc_norm": 1.0)"));
  EXPECT_THAT(Read().tasks.at(0).items.at(0).chosen, ElementsAre(1, 1));
  PutResults(R"("acc,none": 1.0, "acc_norm,none": 0.0)", R"("n-samples": {})");
  Put("samples_t_d.jsonl", TwoChoices(R"("metrics": ["acc", "acc_norm"], "acc": 1.0, "acc_norm": 0.0)"));
  const HarnessTask task = Read().tasks.at(0);
  EXPECT_TRUE(task.items.at(0).chosen.empty());
  EXPECT_TRUE(task.items.at(0).extracted.empty());
}

TEST_F(HarnessResults, OfMutualInformationHaveHalfAsManyChoicesAsRequests) {
  PutResults(R"("acc,none": 1.0, "acc_mutual_info,none": 1.0)", R"("n-samples": {})");
  const std::string metrics = R"("metrics": ["acc", "acc_mutual_info"], "acc": 1.0, "acc_mutual_info": 1.0)";
  Put("samples_t_d.jsonl", TwoChoices(metrics, true));
  EXPECT_EQ(Read().tasks.at(0).items.at(0).chance, 0.5);
}

TEST_F(HarnessResults, KnowWhatIsBetter) {
  PutResults(R"("acc,none": 0.5, "ter,none": 12.0)", R"("higher_is_better": {"t": {"acc": true, "ter": false}})");
  const HarnessTask task = Read().tasks.at(0);
  ASSERT_EQ(task.card.metrics.size(), 2u);
  EXPECT_TRUE(task.card.metrics[0].higher_is_better);
  EXPECT_FALSE(task.card.metrics[1].higher_is_better);
}

TEST_F(HarnessResults, SayWhichFileIsNone) {
  EXPECT_EQ(ErrorOf(),
            ": the folder holds no results_*.json, which lm_eval writes with --output_path. Name the results file or "
            "its folder.");
  Put("results_d.json", "{}");
  EXPECT_EQ(ErrorOf(),
            "/results_d.json: there is no 'results' or no 'config', which lm-evaluation-harness writes. Name its "
            "results_*.json.");
  Put("results_e.json", "{}");
  EXPECT_EQ(ErrorOf(), ": the folder holds 2 runs, from " + (folder_ / "results_d.json").string() + " to " +
                           (folder_ / "results_e.json").string() + ". Name the results file of one.");
}

}  // namespace
}  // namespace bitlaw
