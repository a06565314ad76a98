// What a user sees of evaluation: tasks, evaluate, and the verbs that look at recorded items.
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

class Evaluation : public StudyFolder {
 protected:
  ProgramEnd Run(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--configs", BITLAW_SOURCE_DIR "/tests/support"});
    return StartedProgram(words, folder_).Wait();
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  Json ReadJson(const std::string& name) const { return Json::parse(StartedProgram::Text(folder_ / name)); }
  std::vector<Json> ReadLines(const std::string& name) const {
    std::vector<Json> lines;
    std::istringstream text(StartedProgram::Text(folder_ / name));
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    return lines;
  }
};

size_t Largest(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

TEST_F(Evaluation, WritesEveryItemWithItsAnswers) {
  const ProgramEnd end = Run({"evaluate", Path("tiny"), "--task", "uses,capitals", "--limit", "8", "--samples",
                              Path("samples.jsonl"), "--json", Path("scores.json"), "--threads", "1"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("* limited: not all items of the benchmark were scored."));
  const std::vector<Json> lines = ReadLines("samples.jsonl");
  ASSERT_EQ(lines.size(), 16u);
  EXPECT_EQ(lines[0].at("task"), "uses");
  EXPECT_EQ(lines[0].at("item"), "0");
  // acc takes the choice with the highest likelihood, acc_norm the one with the highest a letter.
  double right = 0;
  int apart = 0;
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_GE(lines[i].at("answers").size(), 3u);
    std::vector<double> nats, nats_per_letter;
    for (const Json& answer : lines[i].at("answers")) {
      nats.push_back(answer.at("loglikelihood_nats").get<double>());
      EXPECT_LT(nats.back(), 0);
      // " a fridge" has eight letters, the space before them left out.
      const std::string text = answer.at("continuation").get<std::string>();
      nats_per_letter.push_back(nats.back() / static_cast<double>(text.size() - 1));
      EXPECT_THAT(answer.at("context").get<std::string>(), HasSubstr("Question: "));
    }
    const Json& values = lines[i].at("values");
    ASSERT_EQ(values.size(), 2u);
    EXPECT_EQ(values[0].at("metric"), "acc");
    EXPECT_EQ(values[0].at("chosen"), Largest(nats));
    EXPECT_EQ(values[1].at("metric"), "acc_norm");
    EXPECT_EQ(values[1].at("chosen"), Largest(nats_per_letter));
    apart += values[0].at("chosen") != values[1].at("chosen");
    right += values[0].at("value").get<double>();
    for (const Json& value : values) {
      const bool is_right = std::to_string(value.at("chosen").get<int>()) == lines[i].at("right");
      EXPECT_EQ(value.at("value").get<double>(), is_right ? 1 : 0);
      const Json& taken = lines[i].at("answers").at(value.at("chosen").get<size_t>());
      EXPECT_EQ(" " + value.at("extracted").get<std::string>(), taken.at("continuation"));
      const Json& best = lines[i].at("answers").at(std::stoul(lines[i].at("right").get<std::string>()));
      EXPECT_EQ(" " + lines[i].at("target").get<std::string>(), best.at("continuation"));
    }
  }
  EXPECT_GT(apart, 0) << "no item tells the two metrics' choices apart";
  EXPECT_EQ(lines[8].at("values")[0].count("chosen"), 0u) << "an answer of words has no number";
  EXPECT_EQ(lines[1].at("right"), "1") << "milk is kept in the fridge";
  EXPECT_TRUE(lines[8].at("answers")[0].at("text").is_string());
  EXPECT_EQ(lines[8].at("right"), "Cairo") << "two examples stand before it";
  EXPECT_EQ(lines[8].at("target"), "Cairo");
  EXPECT_TRUE(lines[8].at("values")[0].at("extracted").is_string());
  const Json scores = ReadJson("scores.json");
  EXPECT_EQ(scores.at("tasks")[0].at("limit"), 8);
  EXPECT_DOUBLE_EQ(scores.at("tasks")[0].at("metrics")[0].at("value").get<double>(), right / 8);

  const ProgramEnd shown = Run({"samples", Path("samples.jsonl"), "--task", "uses", "--count", "2", "--context", "12"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr("uses 0  acc "), HasSubstr("\n  >"), HasSubstr("2 of 8 items shown."),
                               Not(HasSubstr("capitals"))));
}

TEST_F(Evaluation, ShowsTheModelsAnswerBesideTheRightOne) {
  // Two choices per metric, a text, a cut-off end, and a file as it was before there were right answers.
  std::ofstream(folder_ / "s.jsonl")
      << R"({"task":"t","item":"0","right":"2","answers":[)"
         R"({"context":"Q","continuation":" a","loglikelihood_nats":-1.5},)"
         R"({"context":"Q","continuation":" bbbb","loglikelihood_nats":-2},)"
         R"({"context":"Q","continuation":" c","loglikelihood_nats":-3}],)"
         R"("values":[{"metric":"acc","value":0,"weight":1,"chosen":0},{"metric":"acc_norm","value":0,"weight":1,"chosen":1,"extracted":"bb"}],"target":"cc"})"
         "\n"
         R"({"task":"t","item":"1","right":"Cairo","answers":[{"context":"R","text":"Rome"}],)"
         R"("values":[{"metric":"acc_norm","value":0,"weight":1}]})"
         "\n"
         R"({"task":"t","item":"2","right":"tea","answers":[{"context":"S","continuation":" tea","loglikelihood_nats":-1}],)"
         R"("values":[{"metric":"acc_norm","value":0,"weight":1}]})"
         "\n"
         R"({"task":"t","item":"3","answers":[{"context":"T","continuation":" a","loglikelihood_nats":-2},)"
         R"({"context":"T","continuation":" b","loglikelihood_nats":-1}],)"
         R"("values":[{"metric":"acc_norm","value":0,"weight":1}]})"
         "\n";
  const ProgramEnd end = Run({"samples", Path("s.jsonl"), "--metric", "acc_norm"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_EQ(end.out,
            "t 0  acc 0  acc_norm 0\n    Q\n        -1.5000 ' a'\n  >     -2.0000 ' bbbb'\n   =    -3.0000 ' c'\n    "
            "right 2, target 'cc', chosen 1, extracted 'bb'\n"
            "t 1  acc_norm 0\n    R\n  >  'Rome'\n   =  'Cairo'\n"
            "t 2  acc_norm 0\n    S\n   =    -1.0000 ' tea'\n"
            "t 3  acc_norm 0\n    T\n        -2.0000 ' a'\n  >     -1.0000 ' b'\n"
            "4 of 4 items shown.\n> the model's answer, >> what was taken out of it, = the right one.\n");
}

TEST_F(Evaluation, ShowsWhatTheHarnessLogged) {
  std::ofstream(folder_ / "samples_sums_2026-01-31T10-00-00.123456.jsonl")
      << R"({"doc_id":0,"doc":{"q":"x"},"target":"4","arguments":{"gen_args_0":{"arg_0":"2 + 2 =","arg_1":{"until":["."]}}},)"
         R"("resps":[["#### 5, say"]],"filtered_resps":["5"],"filter":"strict-match","metrics":["exact_match"],"exact_match":0.0})"
         "\n";
  const std::string file = Path("samples_sums_2026-01-31T10-00-00.123456.jsonl");
  const ProgramEnd shown = Run({"samples", file});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_EQ(shown.out,
            "sums 0  exact_match_strict-match 0.0\n    2 + 2 =\n  >  '#### 5, say'\n  >> '5'\n   =  '4'\n"
            "1 of 1 item shown.\n> the model's answer, >> what was taken out of it, = the right one.\n");
  const ProgramEnd items = Run({"tasks", "fetch", "--from", file, "--out", Path("items.jsonl")});
  ASSERT_EQ(items.exit_code, 0) << items.err;
  EXPECT_EQ(ReadLines("items.jsonl").at(0), Json({{"q", "x"}}));
}

TEST_F(Evaluation, ImportsATaskOfTheHarnessWithItsItems) {
  std::ofstream(folder_ / "theirs.yaml")
      << "task: theirs\ndataset_path: a/theirs\ntest_split: test\noutput_type: multiple_choice\n"
         "doc_to_text: \"Q: {{q}}\"\ndoc_to_target: label\ndoc_to_choice: [\"tea\", \"milk\"]\n";
  std::filesystem::create_directories(folder_ / "sets" / "theirs");
  std::ofstream(folder_ / "sets" / "theirs" / "test.json") << R"([{"q": "x", "label": 1}, {"q": "y", "label": "tea"}])";
  const ProgramEnd made = Run({"tasks", "import", Path("theirs.yaml"), "--from", Path("sets"), "--out", Path("mine")});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("1 of 1 files imported"));
  const ProgramEnd end = Run({"evaluate", Path("tiny"), "--task", Path("mine/theirs.yaml"), "--threads", "1"});
  EXPECT_EQ(end.exit_code, 0) << end.err;
  // What is there is not written over.
  std::ofstream(folder_ / "sets" / "theirs" / "test.json") << R"([{"q": "x", "label": 0}])";
  const ProgramEnd again = Run({"tasks", "import", Path("theirs.yaml"), "--from", Path("sets"), "--out", Path("mine")});
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_THAT(again.out, HasSubstr("is there and holds something else. Write elsewhere (--out), or over it (--replace)."));
}

TEST_F(Evaluation, OfAQuantizedModelStandsBesideTheUnquantizedOne) {
  const ProgramEnd made = Run({"quantize", Path("tiny"), "--quantizer", "rtn", "--option", "bits=2", "--option",
                               "group_size=16", "--output", Path("codes.safetensors"), "--threads", "1"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const ProgramEnd end =
      Run({"evaluate", Path("tiny"), "--quantized", Path("codes.safetensors"), "--task", "uses,capitals",
           "--against-unquantized", "--json", Path("scores.json"), "--threads", "1"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const Json scores = ReadJson("scores.json");
  EXPECT_GT(scores.at("quantized").at("bits_effective").get<double>(), 2);
  const Json& uses = scores.at("tasks")[0].at("against_unquantized");
  const Json& acc = uses.at("metrics")[0];
  EXPECT_EQ(acc.at("items"), 16);
  EXPECT_DOUBLE_EQ(acc.at("quantized").get<double>(), scores.at("tasks")[0].at("metrics")[0].at("value").get<double>());
  EXPECT_DOUBLE_EQ(acc.at("difference").get<double>(),
                   acc.at("quantized").get<double>() - acc.at("unquantized").get<double>());
  EXPECT_DOUBLE_EQ(acc.at("difference").get<double>() * 16,
                   acc.at("only_quantized").get<double>() - acc.at("only_unquantized").get<double>());
  EXPECT_GT(uses.at("kl_nats").get<double>(), 1e-3) << "two bits change the predictions";
  EXPECT_LE(uses.at("top1_agreement").get<double>(), 1);
  EXPECT_EQ(scores.at("tasks")[1].at("against_unquantized").at("positions"), 0) << "capitals only generates";

  const ProgramEnd alone =
      Run({"evaluate", Path("tiny"), "--task", "uses", "--json", Path("before.json"), "--threads", "1"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_DOUBLE_EQ(ReadJson("before.json").at("tasks")[0].at("metrics")[0].at("value").get<double>(),
                   acc.at("unquantized").get<double>());
  const ProgramEnd refused = Run({"evaluate", Path("tiny"), "--task", "uses", "--against-unquantized"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.err,
            "bitlaw: --against-unquantized compares a quantized model. Name its weights with --quantized.\n");
}

TEST_F(Evaluation, RecordedItemsAreComparedAndGroupedWithoutARun) {
  const auto study = WriteStudy("  - none\n  - {quantizer: rtn, bits: 2, group_size: 16}\n", "[uses, steps, endings]");
  const ProgramEnd run = RunStudy(study, "out");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::string out = Path("out");

  const ProgramEnd paired = Run({"paired", out, "--task", "uses", "--items", "1600", "--format", "csv"});
  ASSERT_EQ(paired.exit_code, 0) << paired.err;
  EXPECT_THAT(paired.out, HasSubstr("detectable at 1600\n"));
  EXPECT_THAT(paired.out, HasSubstr(",uses,acc,16,"));
  // Both tables where people read; the verdict is over the accuracies, and `endings` is one.
  const ProgramEnd judged = Run({"paired", out});
  ASSERT_EQ(judged.exit_code, 0) << judged.err;
  EXPECT_THAT(judged.out, HasSubstr("Degraded or not, over all benchmarks of a trial\n"));
  EXPECT_THAT(judged.out, HasSubstr("of 1 trial degraded; the chance of one false alarm or more among them is at most 0.05\n"));
  EXPECT_THAT(judged.out, HasSubstr("McNemar p"));
  const ProgramEnd verdicts = Run({"paired", out, "--show", "verdicts", "--combine", "fisher", "--format", "csv"});
  EXPECT_THAT(verdicts.out, ::testing::StartsWith(
                                "trial,verdict,benchmarks,items,lost,gained,change,loss at most,p Fisher,p (Holm)\n"));
  EXPECT_EQ(std::count(verdicts.out.begin(), verdicts.out.end(), '\n'), 2);
  const ProgramEnd both = Run({"paired", out, "--show", "both", "--format", "csv"});
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_EQ(both.err,
            "bitlaw: --show both --format csv: CSV holds one table. Choose --show verdicts or --show tasks.\n");

  const ProgramEnd strata =
      Run({"strata", out, "--group", "both=uses,steps", "--group", "one=steps", "--format", "csv"});
  ASSERT_EQ(strata.exit_code, 0) << strata.err;
  EXPECT_THAT(strata.out, HasSubstr("trial,stratum,adjusted,+-,tasks,items\n"));
  EXPECT_THAT(strata.out, HasSubstr(",both,"));
  EXPECT_THAT(strata.out, HasSubstr(",2,32\n"));
  const ProgramEnd unknown = Run({"strata", out, "--group", "a=usess"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.err,
            "bitlaw: --group a: no task 'usess' is recorded. Did you mean 'uses'? Recorded: endings, steps, uses.\n");

  const ProgramEnd samples = Run({"samples", out, "--task", "uses", "--count", "40", "--format", "csv"});
  ASSERT_EQ(samples.exit_code, 0) << samples.err;
  EXPECT_EQ(std::count(samples.out.begin(), samples.out.end(), '\n'), 33);  // Two trials of 16 items, and the header.
  EXPECT_THAT(samples.out, HasSubstr(",uses,0,,acc,"));
  EXPECT_THAT(samples.out, HasSubstr(",value,weight,chance,right,target,chosen,extracted,loglikelihoods\n"));
  // With the texts of the task, as `evaluate --samples` would have shown them.
  const ProgramEnd texts = Run({"samples", out, "--task", "uses", "--count", "1", "--texts"});
  ASSERT_EQ(texts.exit_code, 0) << texts.err;
  EXPECT_THAT(texts.out, AllOf(HasSubstr(" uses 0  acc "), HasSubstr("\n    "), HasSubstr("\n  >"), HasSubstr("= "),
                               HasSubstr("1 of 32 items shown.")));
  // Each metric's own choice, and the right answers as data/uses.jsonl has them: milk is kept in the fridge, number 1.
  const ProgramEnd by_letter = Run({"samples", out, "--task", "uses", "--count", "40", "--metric", "acc_norm", "--format",
                                    "csv"});
  const auto likeliest = RowsOf(samples.out), likeliest_by_letter = RowsOf(by_letter.out);
  ASSERT_EQ(likeliest.size(), 32u);
  ASSERT_EQ(likeliest_by_letter.size(), 32u);
  int wrong = 0, apart = 0;
  for (size_t i = 0; i < 32; ++i) {
    const auto &row = likeliest[i], &other = likeliest_by_letter[i];
    std::vector<double> nats;
    std::istringstream text(row.at("loglikelihoods"));
    for (double one; text >> one;) nats.push_back(one);
    EXPECT_EQ(row.at("metric"), "acc");
    EXPECT_EQ(row.at("chosen"), std::to_string(Largest(nats))) << row.at("item");
    EXPECT_EQ(row.at("value"), row.at("chosen") == row.at("right") ? "1" : "0");
    EXPECT_EQ(other.at("metric"), "acc_norm");
    EXPECT_EQ(other.at("value"), other.at("chosen") == other.at("right") ? "1" : "0");
    EXPECT_EQ(row.at("extracted") == row.at("target"), row.at("value") == "1");
    EXPECT_EQ(other.at("extracted") == other.at("target"), other.at("value") == "1");
    EXPECT_EQ(row.at("extracted") == other.at("extracted"), row.at("chosen") == other.at("chosen"));
    if (row.at("item") == "1") {
      EXPECT_EQ(row.at("right"), "1");
      EXPECT_EQ(row.at("target"), "in the fridge");
    }
    wrong += row.at("value") == "0";
    apart += row.at("chosen") != other.at("chosen");
  }
  EXPECT_GT(wrong, 0);
  EXPECT_GT(apart, 0);
}

TEST_F(Evaluation, RecordedAnswersOfWordsAreShownWithWhatWasTakenForTheAnswer) {
  const ProgramEnd run = RunStudy(WriteStudy("  - none\n", "[capitals]"), "out");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const ProgramEnd scored =
      Run({"evaluate", Path("tiny"), "--task", "capitals", "--samples", Path("s.jsonl"), "--threads", "1"});
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  const auto rows = RowsOf(Run({"samples", Path("out"), "--task", "capitals", "--count", "40", "--format", "csv"}).out);
  const std::vector<Json> lines = ReadLines("s.jsonl");
  ASSERT_EQ(rows.size(), 16u);
  ASSERT_EQ(lines.size(), 16u);
  int with_text = 0;
  for (size_t i = 0; i < 16; ++i) {
    const std::string extracted = lines[i].at("values")[0].at("extracted").get<std::string>();
    EXPECT_EQ(rows[i].at("target"), lines[i].at("target").get<std::string>());
    EXPECT_EQ(rows[i].at("extracted"), extracted);
    EXPECT_THAT(lines[i].at("answers")[0].at("text").get<std::string>(), HasSubstr(extracted));
    with_text += !extracted.empty();
  }
  EXPECT_GT(with_text, 8);
  const ProgramEnd texts = Run({"samples", Path("out"), "--count", "1", "--texts"});
  ASSERT_EQ(texts.exit_code, 0) << texts.err;
  EXPECT_THAT(texts.out, AllOf(HasSubstr("Question: What is the capital of Egypt?\n    Answer:\n  >> '"),
                               HasSubstr("'\n   =  'Cairo'\n")));
}

TEST_F(Evaluation, TextsOfOtherDataThanTheRecordsAreRefused) {
  const std::filesystem::path own = folder_ / "own";
  std::filesystem::create_directories(own);
  std::filesystem::copy(BITLAW_SOURCE_DIR "/tests/support/tasks", own / "tasks",
                        std::filesystem::copy_options::recursive);
  const auto samples = [&] {
    return StartedProgram({"--configs", own.string(), "samples", BITLAW_SOURCE_DIR "/tests/support/records_epoch8",
                           "--task", "capitals", "--texts"},
                          folder_)
        .Wait();
  };
  const ProgramEnd same = samples();
  ASSERT_EQ(same.exit_code, 0) << same.err;
  std::ofstream(own / "tasks/data/capitals.jsonl", std::ios::app) << "{\"question\": \"?\", \"answers\": [\"x\"]}\n";
  const ProgramEnd other = samples();
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_EQ(other.err,
            "bitlaw: --texts: task 'capitals' is not that of the record: its file or its data have changed, or the study "
            "sets options of it. Leave out --texts.\n");
  EXPECT_EQ(other.out, "");
}

TEST_F(Evaluation, RecordsWithoutTargetsSayThatTheseWereNotRecorded) {
  const std::string old = BITLAW_SOURCE_DIR "/tests/support/records_epoch8";
  const ProgramEnd shown = Run({"samples", old, "--format", "csv"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(
      shown.out,
      HasSubstr(",uses,1,,acc,0,1,0.25,1,not recorded,0,not recorded,-86.3335 -99.1745 -119.6290 -86.3352\n"));
  EXPECT_THAT(shown.out, HasSubstr(",capitals,2,,exact_match,0,1,0,Cairo,not recorded,,not recorded,\n"));
  const ProgramEnd texts = Run({"samples", old, "--task", "capitals", "--count", "1", "--texts"});
  ASSERT_EQ(texts.exit_code, 0) << texts.err;
  EXPECT_THAT(texts.out, HasSubstr("\n  >> not recorded\n   =  'Cairo'\n"));
}

TEST_F(Evaluation, TasksAreListedAndTheirDataChecked) {
  const ProgramEnd list = Run({"tasks", "list", "uses", "capitals"});
  ASSERT_EQ(list.exit_code, 0) << list.err;
  EXPECT_THAT(list.out, AllOf(HasSubstr("multiple_choice"), HasSubstr("exact_match")));
  const ProgramEnd found = Run({"tasks", "check", "uses", "--format", "csv"});
  EXPECT_EQ(found.exit_code, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("uses,16,data/uses.jsonl,found,"));

  std::filesystem::create_directories(folder_ / "own/tasks");
  std::ofstream(folder_ / "own/tasks/lost.yaml") << "type: cloze\nversion: \"1\"\ndata: lost.jsonl\nget: \"example.org "
                                                    "has it\"\nprompt: \"{{q}}\"\ntarget: \"{{a}}\"\n";
  std::ofstream(folder_ / "own/tasks/other.yaml")
      << "type: cloze\nversion: \"1\"\ndata: other.jsonl\nsha256: \"00\"\nprompt: \"{{q}}\"\ntarget: \"{{a}}\"\n";
  std::ofstream(folder_ / "own/tasks/plain.yaml")
      << "type: cloze\nversion: \"1\"\ndata: plain.jsonl\nprompt: \"{{q}}\"\ntarget: \"{{a}}\"\n";
  for (const char* name : {"other", "plain"}) {
    std::ofstream(folder_ / "own/tasks" / (std::string(name) + ".jsonl")) << "{\"q\": \"x\", \"a\": \"y\"}\n";
  }
  std::ofstream(folder_ / "own/tasks/data.sha256") << std::string(64, '0') << "  plain.jsonl\n";
  const ProgramEnd end = Run({"--configs", Path("own"), "tasks", "check", "lost", "other", "plain", "--format", "csv"});
  EXPECT_EQ(end.exit_code, 5) << end.err;
  EXPECT_THAT(end.out, HasSubstr("lost,-,lost.jsonl,missing,example.org has it\n"));
  EXPECT_THAT(end.out, HasSubstr("other,-,other.jsonl,not the task's: SHA-256 "));
  EXPECT_THAT(end.out, HasSubstr("plain,1,plain.jsonl,\"found, other items than data.sha256 lists\","));
}

TEST_F(Evaluation, EveryShippedTaskCanBeReadAndSaysWhatItMatches) {
  const ProgramEnd end = StartedProgram({"tasks", "list", "--format", "csv"}, folder_).Wait();
  ASSERT_EQ(end.exit_code, 0) << end.err;
  for (const char* name :
       {"triviaqa",      "nq_open",    "popqa",          "wikidata_qa", "mmlu",      "hellaswag",      "piqa",
        "winogrande",    "openbookqa", "commonsense_qa", "boolq",       "arc_easy",  "gsm8k",          "math",
        "arc_challenge", "bbh",        "bbh_cot",        "logiqa",      "jeopardy",  "truthfulqa_mc1", "siqa",
        "svamp",         "aqua_rat",   "strategyqa",     "lambada",     "wikitext2", "wikitext2_word", "c4"}) {
    EXPECT_THAT(end.out, HasSubstr("\n" + std::string(name) + ",")) << name;
  }
  EXPECT_THAT(end.out, HasSubstr("gsm8k,KR,short_answer,5,\"exact_match_strict, exact_match_flexible\","
                                 "\"lm-evaluation-harness 0.4.13, gsm8k, five-shot,"));
}

}  // namespace
}  // namespace bitlaw
