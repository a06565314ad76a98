#include "import/lm_eval_samples.h"

#include <gtest/gtest.h>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// Lines as save_results_samples() of lm_eval 0.4.13 writes them.
Value Row(const std::string& json) {
  Value row = ParseJson(json, "s.jsonl");
  row.set_mark({"s.jsonl", 4, 1});
  return row;
}
const std::string kChoice =
    R"({"doc_id": 7, "doc": {"q": "x"}, "target": "1", "arguments": {)"
    R"("gen_args_0": {"arg_0": "Q: x\nA:", "arg_1": " a"}, "gen_args_1": {"arg_0": "Q: x\nA:", "arg_1": " b"}},)"
    R"("resps": [[["-3.25", "False"]], [["-1.5", "True"]]], "filtered_resps": [["-3.25", "False"], ["-1.5", "True"]],)"
    R"("filter": "none", "metrics": ["acc", "acc_norm"], "acc": 1.0, "acc_norm": 0.0})";
const std::string kGenerated =
    R"({"doc_id": 0, "doc": {"q": "x"}, "target": "['4', 'four']", "arguments": {"gen_args_0": {"arg_0": "Q: 2 + 2\nA:",)"
    R"("arg_1": {"until": ["\n"]}}}, "resps": [["It is #### 4."]], "filtered_resps": ["4"], "filter": "strict-match",)"
    R"("metrics": ["exact_match"], "exact_match": 1.0})";

TEST(LmEvalSamples, OfChoicesHaveTextsLikelihoodsAndTheNumberOfTheRightOne) {
  ASSERT_TRUE(IsLmEvalSample(Row(kChoice)));
  EXPECT_FALSE(IsLmEvalSample(Row(R"({"task": "t", "item": "0"})")));
  EXPECT_EQ(
      SampleFromLmEval(Row(kChoice), "t").CanonicalJson(),
      R"({"answers":[{"context":"Q: x\nA:","continuation":" a","loglikelihood_nats":-3.25},)"
      R"({"context":"Q: x\nA:","continuation":" b","loglikelihood_nats":-1.5}],"item":"7","right":"1","target":"b","task":"t",)"
      R"("values":[{"chosen":1,"extracted":"b","metric":"acc","value":1.0,"weight":1.0},)"
      R"({"metric":"acc_norm","value":0.0,"weight":1.0}]})")
      << "the likeliest a character is b, too, so that acc_norm = 0 is of another length than the texts'";
  Value by_text = Row(kChoice);
  by_text.Set("target", "b");
  EXPECT_EQ(SampleFromLmEval(by_text, "t").Find("right")->AsString(), "1");
}

// A character of "e acute" is likelier (-1) than two of "ab" (-0.75 each) by bytes (-0.5) alone.
TEST(LmEvalSamples, TakeTheLengthOfAChoiceInCharacters) {
  const Value sample = SampleFromLmEval(
      Row(R"({"doc_id": 7, "doc": {}, "target": "1", "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " \u00e9"},)"
          R"( "gen_args_1": {"arg_0": "Q", "arg_1": " ab"}}, "resps": [[["-1.0", "False"]], [["-1.5", "False"]]],)"
          R"( "filtered_resps": [], "filter": "none", "metrics": ["acc_norm", "acc_bytes"], "acc_norm": 1.0,)"
          R"( "acc_bytes": 0.0})"),
      "t");
  const Value::List& values = sample.Find("values")->AsList();
  ASSERT_TRUE(values[0].Find("chosen") != nullptr && values[1].Find("chosen") != nullptr);
  EXPECT_EQ(*values[0].Find("chosen"), Value(1));
  EXPECT_EQ(*values[1].Find("chosen"), Value(0));
}

TEST(LmEvalSamples, OfGeneratedAnswersHaveTheTextAndWhatWasTakenOutOfIt) {
  EXPECT_EQ(
      SampleFromLmEval(Row(kGenerated), "t").CanonicalJson(),
      R"({"answers":[{"context":"Q: 2 + 2\nA:","text":"It is #### 4."}],"item":"0","right":"['4', 'four']","target":"['4', 'four']",)"
      R"("task":"t","values":[{"extracted":"4","metric":"exact_match_strict-match","value":1.0,"weight":1.0}]})");
}

TEST(LmEvalSamples, NameTheLineThatIsNone) {
  Value row = Row(kChoice);
  row.Set("resps", Value::List{});
  try {
    SampleFromLmEval(row, "t");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "s.jsonl:4:1: 'arguments', 'resps' and 'metrics' are not as the harness writes them "
                 "(log_samples of lm-evaluation-harness).");
  }
}

TEST(LmEvalSamples, TakeTheTaskFromTheFilesName) {
  EXPECT_EQ(TaskOfLmEvalSamples("out/samples_arc_easy_2026-01-31T10-00-00.123456.jsonl"), "arc_easy");
  EXPECT_EQ(TaskOfLmEvalSamples("samples_mine_2.jsonl"), "mine_2");
}

}  // namespace
}  // namespace bitlaw
