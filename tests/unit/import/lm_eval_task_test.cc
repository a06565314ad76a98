#include "import/lm_eval_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "import/jinja.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

std::string Translated(const std::string& jinja) {
  try {
    return JinjaTemplate(jinja, {"t.yaml", 3, 5}).Translated();
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Jinja, BecomesATemplateOfTaskFiles) {
  EXPECT_EQ(Translated("Q: {{ question.strip() }}?\n{single} {# no #}A:"), "Q: {{question|trim}}?\n{single} A:");
  EXPECT_EQ(Translated("{{a['b'].c[0]|lower}}"), "{{a.b.c[0]|lower}}");
  EXPECT_EQ(Translated("{{ 'x' + a ~ \"y\" }}"), "x{{a}}y");
  EXPECT_EQ(Translated("{{a.split(', ')[0]}} {{a.split('x')[-1].rstrip()}}"),
            "{{a|before:', '}} {{a|after_last:'x'|trim_right}}");
  EXPECT_EQ(Translated("{{a.split(' ')[:-1] | join(' ')}}"), "{{a|before_last:' '}}");
  EXPECT_EQ(Translated("{{a|replace('\\n', \"'\")}} {{l|join}} {{l|last}} {{n|string}}"),
            "{{a|replace:'\\n','\\''}} {{l|join:''}} {{l|last}} {{n}}");
  EXPECT_EQ(Translated("x \n{{- a -}}\n y"), "x{{a}}y");
  EXPECT_EQ(Translated("{{ '{{' }}{{\"}}\"}}"), "{{'{{'}}}}");
  EXPECT_EQ(Translated("a {b} {"), "{{'a {b} {'}}");
  EXPECT_EQ(Translated("{{['A', 'B'][answer]}} {{[\"x\", 'y'][a.b - 1]|lower}}"),
            "{{answer|pick:'A','B'}} {{a.b|pick_from_1:'x','y'|lower}}");
}

TEST(Jinja, RefusesWhatHasNoCounterpartByPlace) {
  EXPECT_EQ(Translated("{% if x %}y{% endif %}"),
            "t.yaml:3:5: Jinja: the statement {% if x %} has no counterpart in templates of task files.");
  EXPECT_EQ(Translated("{{a if b else c}}"),
            "t.yaml:3:5: Jinja: 'if b else c' in {{a if b else c}} has no counterpart in templates of task files.");
  EXPECT_EQ(Translated("{{a.title()}}"),
            "t.yaml:3:5: Jinja: the method 'title' has no counterpart in templates of task files.");
  EXPECT_EQ(Translated("{{a|length}}"),
            "t.yaml:3:5: Jinja: the filter 'length' has no counterpart in templates of task files.");
  EXPECT_EQ(
      Translated("{{a.strip('.')}}"),
      "t.yaml:3:5: Jinja: the method 'strip' with these arguments has no counterpart in templates of task files.");
  EXPECT_EQ(Translated("{{n + 1}}"),
            "t.yaml:3:5: Jinja: '+' of numbers or lists has no counterpart in templates of task files.");
  EXPECT_EQ(Translated("{{range(3)}}"),
            "t.yaml:3:5: Jinja: 'range(3)' in {{range(3)}} has no counterpart in templates of task files.");
  EXPECT_EQ(Translated("{{['A', 'B'][a|int]}}"),
            "t.yaml:3:5: Jinja: a list of texts at something other than a field, or a field - 1, has no counterpart in "
            "templates of task files.");
  EXPECT_EQ(
      Translated("{{['A', b][n]}}"),
      "t.yaml:3:5: Jinja: a list of other things than texts, of which one is taken, has no counterpart in templates of "
      "task files.");
  EXPECT_EQ(Translated("{{a"), "t.yaml:3:5: Jinja: '{{' is not closed.");
  EXPECT_EQ(Translated("{{a[0}}"), "t.yaml:3:5: Jinja: 'a[0' ends too early.");
}

class LmEvalTask : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("bitlaw_LmEvalTask_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  std::string FaultsOf(const std::string& text) {
    const std::string path = Put("t.yaml", text);
    try {
      ReadLmEvalTask(path);
    } catch (const Error& error) {
      std::string faults = error.what();
      for (size_t at; (at = faults.find(folder_.string() + "/")) != std::string::npos;)
        faults.erase(at, folder_.string().size() + 1);
      return faults;
    }
    return "(no error)";
  }
  fs::path folder_;
};

const std::string kChoices =
    "task: t\ndataset_path: a/b\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: "
    "c\ndoc_to_target: l\n";

TEST_F(LmEvalTask, NamesEveryFaultByItsLine) {
  EXPECT_EQ(FaultsOf(kChoices +
                     "process_docs: !function utils.process_docs\ngen_prefix: \"x\"\nmetric_list:\n  - metric: f1\n"),
            "t.yaml:8:15: process_docs is Python (!function utils.process_docs), which is not run. Make the items as "
            "it does, "
            "and import a task without the key.\n"
            "t.yaml:9:13: 'gen_prefix' has no counterpart here.\n"
            "t.yaml:11:13: the metric 'f1' has no counterpart here. There are acc, acc_norm, acc_bytes.");
  EXPECT_EQ(
      FaultsOf("task: t\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\ngeneration_kwargs: {do_sample: true}\n"
               "filter_list: [{name: x, filter: [{function: majority_vote}]}]\n"),
      "t.yaml:5:32: generation_kwargs.do_sample: true has no counterpart: answers are greedy.\n"
      "t.yaml:6:34: the filter 'majority_vote' has no counterpart here. There are regex, remove_whitespace before it, "
      "take_first.");
  EXPECT_EQ(FaultsOf("group: g\ntask: [a, b]\n"),
            "t.yaml:2:7: the file is no task but a group, or a part that others include. Import its tasks.");
}

TEST_F(LmEvalTask, PlacesAreThoseOfTheIncludedFile) {
  Put("_base", kChoices + "doc_to_image: x\n");
  EXPECT_EQ(FaultsOf("include: _base\ntask: u\n"), "_base:8:15: 'doc_to_image' has no counterpart here.");
}

TEST_F(LmEvalTask, KeepsExamplesThatStandInTheFile) {
  const ImportedTask task = ReadLmEvalTask(Put(
      "t.yaml", kChoices + "num_fewshot: 1\nfewshot_config: {sampler: first_n, samples: [{q: a, c: [x, y], l: 1}]}\n"));
  ASSERT_EQ(task.own_examples.size(), 1u);
  EXPECT_EQ(task.examples.split, "");
  EXPECT_EQ(task.options.Find("few_shot")->CanonicalJson(), "{\"count\":1,\"data\":\"t.fewshot.jsonl\"}");
}

TEST_F(LmEvalTask, LeavesOutMetricsBesideOneThatThereIs) {
  const ImportedTask task = ReadLmEvalTask(Put(
      "t.yaml",
      kChoices +
          "metric_list:\n  - metric: f1\n    aggregation: !function utils.f1\n  - {metric: acc}\n  - {metric: mcc}\n"));
  EXPECT_EQ(task.options.Find("metrics")->CanonicalJson(), "[\"acc\"]");
  EXPECT_EQ(task.options.Find("matches")->AsString(),
            "lm-evaluation-harness 0.4.13, t; without its metrics 'f1', 'mcc'");
  EXPECT_EQ(FaultsOf(kChoices + "metric_list:\n  - {metric: acc, aggregation: !function utils.mean}\n"),
            "t.yaml:9:32: the aggregation of 'acc' is Python, which is not run.");
}

const std::string kWritten = "task: t\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n";

TEST_F(LmEvalTask, TakesTheFlagsOfExactMatchWhereverItStands) {
  const ImportedTask task = ReadLmEvalTask(
      Put("t.yaml",
          kWritten +
              "metric_list:\n  - {metric: bleu, ignore_case: false}\n  - {metric: exact_match, ignore_case: true}\n"));
  EXPECT_EQ(task.options.Find("normalization")->AsString(), "lower");
}

TEST_F(LmEvalTask, KeepsTheSamplerTheLastMatchAndWhatIsIgnored) {
  const ImportedTask task = ReadLmEvalTask(
      Put("t.yaml", kWritten + "num_fewshot: 2\nmetric_list:\n  - {metric: exact_match, regexes_to_ignore: [',']}\n"
                               "filter_list:\n  - {name: n, filter: [{function: regex, group_select: -1}]}\n"));
  ASSERT_NE(task.options.Find("few_shot")->Find("choose"), nullptr);
  ASSERT_NE(task.options.Find("ignore"), nullptr);
  EXPECT_EQ(task.options.Find("few_shot")->Find("choose")->AsString(), "random");
  EXPECT_EQ(task.options.Find("extract")->Find("n")->Find("take")->AsString(), "last");
  EXPECT_EQ(task.options.Find("ignore")->CanonicalJson(), "[\",\"]");
}

TEST_F(LmEvalTask, NormalizesAsExactMatchDoes) {
  const auto normalization = [&](const std::string& flags) {
    return ReadLmEvalTask(Put("t.yaml", kWritten + "metric_list:\n  - {metric: exact_match" + flags + "}\n"))
        .options.Find("normalization")
        ->AsString();
  };
  EXPECT_EQ(normalization(""), "none");
  EXPECT_EQ(normalization(", ignore_case: true"), "lower");
  EXPECT_EQ(normalization(", ignore_punctuation: true"), "punctuation");
  EXPECT_EQ(normalization(", ignore_punctuation: true, ignore_case: true"), "harness");
}

TEST_F(LmEvalTask, EndsAnswersWhereTheHarnessDoes) {
  const auto until = [&](const std::string& more) {
    return ReadLmEvalTask(Put("t.yaml", kWritten + more)).options.Find("until")->CanonicalJson();
  };
  EXPECT_EQ(until(""), "[\"\\n\\n\"]");
  EXPECT_EQ(until("fewshot_delimiter: \"#\"\ngeneration_kwargs: {temperature: 0}\n"), "[\"#\"]");
  EXPECT_EQ(until("generation_kwargs: {until: []}\n"), "[]") << "nothing but the end of the text";
  EXPECT_EQ(until("generation_kwargs: {until: \".\"}\n"), "[\".\"]");
}

TEST_F(LmEvalTask, AChainWithoutAPatternBesideOthersTakesTheWholeText) {
  const ImportedTask task = ReadLmEvalTask(
      Put("t.yaml",
          kWritten +
              "filter_list:\n  - {name: all, filter: [{function: remove_whitespace}, {function: take_first}]}\n"
              "  - {name: number, filter: [{function: regex, regex_pattern: '([0-9]+)'}, {function: take_first}]}\n"));
  EXPECT_EQ(task.options.Find("extract")->CanonicalJson(),
            R"x({"all":{"pattern":"(?s).*"},"number":{"pattern":"([0-9]+)","take":"first"}})x");
}

TEST_F(LmEvalTask, ReadsBooleansAndEmptyKeysAsPyYamlDoes) {
  EXPECT_EQ(FaultsOf(kChoices + "dataset_kwargs:\nmetric_list:\n  - metric: acc\n    higher_is_better: True\n"),
            "(no error)");
  EXPECT_EQ(FaultsOf("dataset_kwargs:\n\n  # none\n" + kChoices), "(no error)");
  EXPECT_EQ(FaultsOf(kChoices + "dataset_kwargs: {trust_remote_code: True}\n\"training_split\": !!null \"null\"\n"),
            "(no error)");
  EXPECT_THAT(FaultsOf("task: t\ndescription: True\n"), ::testing::HasSubstr("'True' is true in some YAML readers"));
}

}  // namespace
}  // namespace bitlaw
