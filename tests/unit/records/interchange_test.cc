// Records in the forms of other programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "records/interchange/every_eval_ever_writer.h"
#include "records/interchange/lm_eval_writer.h"
#include "records/interchange/python_json.h"
#include "sample_record.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::StartsWith;

// Expected texts: json.dumps() of Python 3.11.7, 2026-11-28; exact.
TEST(PythonJson, IsThatOfPython) {
  const Value value = Value::Map{{"b", 1},
                                 {"a", Value::List{1.0, 1e-05, 1e16, 0.1, 123456789.125, -0.0, 1e22, 5e-324}},
                                 {"e", Value::List{}},
                                 {"m", Value::Map{}},
                                 {"t", "\xc3\xa9\xe2\x80\xa8 \"q\" \\ \n\t\x01\x7f\xf0\x9f\x98\x80"},
                                 {"n", Value()},
                                 {"f", Value::List{true, false}},
                                 {"nest", Value::Map{{"x", Value::List{Value::Map{{"y", 2}}}}}}};
  EXPECT_EQ(
      PythonJson(value, {.indent = 2}),
      "{\n  \"b\": 1,\n  \"a\": [\n    1.0,\n    1e-05,\n    1e+16,\n    0.1,\n    123456789.125,\n    -0.0,\n    "
      "1e+22,\n    5e-324\n  ],\n  \"e\": [],\n  \"m\": {},\n  \"t\": \"\xc3\xa9\xe2\x80\xa8 \\\"q\\\" \\\\ "
      "\\n\\t\\u0001\x7f\xf0\x9f\x98\x80\",\n  \"n\": null,\n  \"f\": [\n    true,\n    false\n  ],\n  \"nest\": {\n   "
      " "
      "\"x\": [\n      {\n        \"y\": 2\n      }\n    ]\n  }\n}");
  EXPECT_EQ(
      PythonJson(value, {.ensure_ascii = true}),
      "{\"b\": 1, \"a\": [1.0, 1e-05, 1e+16, 0.1, 123456789.125, -0.0, 1e+22, 5e-324], \"e\": [], \"m\": {}, \"t\": "
      "\"\\u00e9\\u2028 \\\"q\\\" \\\\ \\n\\t\\u0001\\u007f\\ud83d\\ude00\", \"n\": null, \"f\": [true, false], "
      "\"nest\": {\"x\": [{\"y\": 2}]}}");
  EXPECT_EQ(PythonJson(std::nan("")), "NaN");
  EXPECT_EQ(PythonJson(-std::numeric_limits<double>::infinity()), "-Infinity");
}

// What lm_eval 0.4.13 logged (tests/parity/lm_eval/outputs/README.md): rows, contexts and targets, with its hashes of
// them.
TEST(SampleHashesTest, AreThoseThatTheHarnessLogged) {
  size_t compared = 0;
  for (const auto& entry : fs::directory_iterator(BITLAW_SOURCE_DIR "/tests/parity/lm_eval/outputs/larger")) {
    if (entry.path().extension() != ".jsonl") continue;
    for (const Value& line : ReadJsonl(entry.path())) {
      ItemTexts texts;
      texts.row = *line.Find("doc");
      texts.requests = {
          LoglikelihoodRequest{line.Find("arguments")->Find("gen_args_0")->Find("arg_0")->AsString(), ""}};
      ItemScore item;
      item.right = line.Find("target")->AsString();
      const SampleHashes hashes = HashesOf(texts, item);
      EXPECT_EQ(hashes.doc, line.Find("doc_hash")->AsString()) << line.mark().Text();
      EXPECT_EQ(hashes.prompt, line.Find("prompt_hash")->AsString()) << line.mark().Text();
      EXPECT_EQ(hashes.target, line.Find("target_hash")->AsString()) << line.mark().Text();
      ++compared;
    }
  }
  EXPECT_EQ(compared, 32u);  // 12 + 6 under two filters + 4 + 4.
}

class Interchange : public TemporaryFolder {
 protected:
  // One choice of two, and a loss.
  static RecordedTrial Sample() {
    RecordedTask task;
    task.record = SampleRecord();
    task.digest = RecordDigest(task.record.key);
    task.items = SampleItems();
    for (ItemScore& item : task.items) {
      item.loglikelihoods_nats = {-1.5, -2.25};
      item.right = "1";
      item.target = "Venus";
      item.chosen = {0, 0};
      item.extracted = {"Mars", "Mars"};
    }
    for (const ItemScore& item : task.items) {
      const std::vector<Request> requests = {LoglikelihoodRequest{"Which?", " Mars"},
                                             LoglikelihoodRequest{"Which?", " Venus"}};
      task.texts.push_back({item.id, static_cast<int64_t>(task.texts.size()), Value::Map{{"q", item.id}}, requests});
    }
    task.available = 7;
    task.timings = Value::Map{{"date", "2026-11-28T09:07:18Z"}};
    return {"demo", "0123456789ab", "tiny rtn bits=3/4", {task}};
  }
  static EvaluationSource Source() {
    return {.organization = "a laboratory",
            .model_ids = {{"tiny", "acme/tiny-1b"}},
            .retrieved_timestamp = "1795857035",
            .version = "1.0"};
  }
};

TEST_F(Interchange, WritesARunOfTheHarness) {
  std::vector<std::string> notes;
  const fs::path file = WriteHarnessRun(Sample(), "1.0", folder_, notes);
  EXPECT_EQ(file, folder_ / "tiny rtn bits=3__4" / "results_2026-11-28T09-07-18.000000.json");
  EXPECT_THAT(notes, ElementsAre("arc_easy: 'perplexity' is in the results and not in the samples"));
  const Value root = ParseJson(ReadWholeFile(file), "results");
  const Value& result = *root.Find("results")->Find("arc_easy");
  EXPECT_EQ(*result.Find("acc,none"), Value(0.5));
  EXPECT_EQ(*result.Find("acc_stderr,none"), Value("N/A"));
  EXPECT_EQ(*result.Find("perplexity_stderr,none"), Value(0.5));
  EXPECT_EQ(*root.Find("n-samples")->Find("arc_easy")->Find("original"), Value(7));
  EXPECT_EQ(*root.Find("n-samples")->Find("arc_easy")->Find("effective"), Value(2));
  EXPECT_EQ(*root.Find("higher_is_better")->Find("arc_easy")->Find("perplexity"), Value(false));
  EXPECT_EQ(*root.Find("configs")->Find("arc_easy")->Find("output_type"), Value("multiple_choice"));
  EXPECT_EQ(*root.Find("config")->Find("model_dtype"), Value("torch.float32"));
  EXPECT_EQ(*root.Find("date"), Value(1795856838.0));  // date -d 2026-11-28T09:07:18Z +%s
  const auto samples = ReadJsonl(file.parent_path() / "samples_arc_easy_2026-11-28T09-07-18.000000.jsonl");
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[1].Find("resps")->CanonicalJson(), R"([[["-1.5","None"]],[["-2.25","None"]]])");
  EXPECT_EQ(samples[0].Find("arguments")->Find("gen_args_1")->CanonicalJson(),
            R"({"arg_0":"Which?","arg_1":" Venus"})");
  EXPECT_EQ(*samples[1].Find("acc"), Value(0.0));
  EXPECT_EQ(*samples[1].Find("target"), Value("1"));
  EXPECT_EQ(samples[1].Find("perplexity"), nullptr);
  std::string hashes;
  for (const Value& sample : samples)
    for (const char* name : {"doc_hash", "prompt_hash", "target_hash"}) hashes += sample.Find(name)->AsString();
  EXPECT_EQ(*root.Find("task_hashes")->Find("arc_easy"), Value(DigestOf(hashes)));
  EXPECT_THROW(WriteHarnessRun(Sample(), "1.0", folder_, notes), Error);
}

TEST_F(Interchange, WritesNoSamplesOfWhatIsNotKnown) {
  RecordedTrial trial = Sample();
  trial.tasks[0].texts.clear();
  std::vector<std::string> notes;
  const fs::path file = WriteHarnessRun(trial, "1.0", folder_, notes);
  EXPECT_THAT(notes, ElementsAre("arc_easy: no samples, since the texts of its items are not known"));
  EXPECT_EQ(std::distance(fs::directory_iterator(file.parent_path()), fs::directory_iterator()), 1);
}

TEST_F(Interchange, WritesEveryEvalEver) {
  std::vector<std::string> notes;
  const fs::path file = WriteEveryEvalEver(Sample(), Source(), folder_, notes);
  EXPECT_THAT(notes, IsEmpty());
  EXPECT_EQ(file.parent_path(), folder_ / "demo/acme/tiny-1b");
  EXPECT_THAT(file.stem().string(),
              MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  const Value log = ParseJson(ReadWholeFile(file), "log");
  EXPECT_EQ(*log.Find("schema_version"), Value("0.3.0"));
  EXPECT_EQ(*log.Find("evaluation_id"), Value("demo-0123456789ab/acme/tiny-1b/1795857035"));
  EXPECT_EQ(*log.Find("model_info")->Find("developer"), Value("acme"));
  const Value& details = *log.Find("model_info")->Find("additional_details");
  EXPECT_EQ(*details.Find("deployment_type"), Value("self_deployed"));
  EXPECT_EQ(*details.Find("bits_effective"), Value("3.25"));
  for (const auto& [name, value] : details.AsMap()) EXPECT_TRUE(value.is_string()) << name;
  const Value::List& results = log.Find("evaluation_results")->AsList();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].Find("metric_config")->Find("metric_id")->AsString(), "accuracy");
  EXPECT_EQ(*results[0].Find("metric_config")->Find("max_score"), Value(1.0));
  EXPECT_EQ(*results[1].Find("metric_config")->Find("max_score"), Value("Infinity"));
  EXPECT_EQ(*results[1].Find("metric_config")->Find("lower_is_better"), Value(true));
  EXPECT_EQ(*results[1].Find("score_details")->Find("score"), Value(12.5));
  EXPECT_EQ(results[0].Find("score_details")->Find("uncertainty")->Find("standard_error"),
            nullptr);  // Of two items: none.
  // Items of the accuracy, each with the place of its result.
  const Value& detailed = *log.Find("detailed_evaluation_results");
  const fs::path samples = file.parent_path() / (file.stem().string() + "_samples.jsonl");
  EXPECT_EQ(detailed.Find("file_path")->AsString(), "data/demo/acme/tiny-1b/" + samples.filename().string());
  EXPECT_EQ(detailed.Find("checksum")->AsString(), DigestOfFile(samples));
  const auto lines = ReadJsonl(samples);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(*lines[1].Find("evaluation_result_id"), *results[0].Find("evaluation_result_id"));
  EXPECT_EQ(lines[1].Find("input")->CanonicalJson(),
            R"({"choices":["Mars","Venus"],"raw":"Which?","reference":["Venus"]})");
  EXPECT_EQ(lines[1].Find("output")->CanonicalJson(), R"({"raw":["Mars"]})");
  EXPECT_EQ(*lines[1].Find("evaluation")->Find("is_correct"), Value(false));
  // printf '{"raw": "Which?", "reference": "Venus"}' | sha256sum
  EXPECT_EQ(lines[1].Find("sample_hash")->AsString(),
            "54f3b1221741c9a57093a96edb30730e9b68d76f570e65ad167df95881c205ac");
  EXPECT_THROW(WriteEveryEvalEver(Sample(), Source(), folder_, notes), Error);
}

TEST(RecordedDates, AreSecondsSince1970) {
  EXPECT_EQ(EpochSeconds("1970-01-02T00:00:01Z"), 86401);
  EXPECT_EQ(EpochSeconds("yesterday"), 0);
  EXPECT_EQ(EpochSeconds(""), 0);
}

}  // namespace
}  // namespace bitlaw
