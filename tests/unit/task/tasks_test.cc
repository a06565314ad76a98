// The four kinds of task, on files written by the test.
#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "bitlaw/sdk/text/unicode_text.h"
#include "cloze.h"
#include "multiple_choice.h"
#include "normalize.h"
#include "perplexity.h"
#include "short_answer.h"
#include "spec/study_spec.h"
#include "task_test_support.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::ErrorOf;

class Tasks : public testing::TaskFromYaml {
 protected:
  MultipleChoice MakeChoice(const std::string& more) const {
    return Make<MultipleChoice>("version: \"1\"\ndata: items.jsonl\n" + more);
  }
  static Response Nats(double value, bool greedy = false) { return LoglikelihoodResponse{value, greedy, 1}; }
};

using MultipleChoiceTask = Tasks;
using ShortAnswerTask = Tasks;
using ClozeTask = Tasks;
using PerplexityTask = Tasks;

constexpr char kPrompt[] = "prompt: \"Q: {{question}}\\nA:\"\n";

TEST_F(MultipleChoiceTask, AsksForEveryChoiceAfterTheSameContext) {
  Write("items.jsonl", R"({"question": "Two?", "choices": ["one", "två"], "answer": 1})");
  const auto task = MakeChoice(kPrompt);
  const auto items = task.Items();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].id, "0");
  EXPECT_EQ(Pair(items[0], 0).context, "Q: Two?\nA:");
  EXPECT_EQ(Pair(items[0], 0).continuation, " one");
  EXPECT_EQ(Pair(items[0], 1).continuation, " två");
}

TEST_F(MultipleChoiceTask, NormalizesByCharactersOrBytesOfTheChoiceWithoutDelimiter) {
  Write("items.jsonl", R"({"question": "?", "choices": ["aaaa", "éé"], "answer": 1})");
  const auto task = MakeChoice(std::string(kPrompt) + "metrics: [acc, acc_norm, acc_bytes]\n");
  const auto items = task.Items();
  // Sums: -4 > -4.4. Per character: -1 > -2.2. Per byte: -1 > -1.1. The right answer is the second.
  EXPECT_THAT(task.Score(items[0], std::vector<Response>{Nats(-4), Nats(-4.4)})[0].values[0].value, 0.0);
  // Sums: -4 < -3.9; per character: -1 > -1.95; per byte: -1 < -0.975.
  const auto scores = task.Score(items[0], std::vector<Response>{Nats(-4), Nats(-3.9)});
  ASSERT_EQ(scores.size(), 1u);
  EXPECT_EQ(scores[0].values[0].value, 1.0);
  EXPECT_EQ(scores[0].values[1].value, 0.0);
  EXPECT_EQ(scores[0].values[2].value, 1.0);
  EXPECT_EQ(scores[0].chance, 0.5);
  EXPECT_EQ(scores[0].right, "1");
  EXPECT_THAT(scores[0].chosen, ElementsAre(1, 0, 1));
  EXPECT_EQ(scores[0].target, "éé");
  EXPECT_THAT(scores[0].extracted, ElementsAre("éé", "aaaa", "éé"));
}

TEST_F(MultipleChoiceTask, GivesATieToTheFirst) {
  Write("items.jsonl",
        "{\"question\": \"?\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n"
        "{\"question\": \"?\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n");
  const auto task = MakeChoice(kPrompt);
  const auto items = task.Items();
  const std::vector<Response> tie = {Nats(-1), Nats(-1)};
  EXPECT_EQ(task.Score(items[0], tie)[0].values[0].value, 1.0);
  EXPECT_EQ(task.Score(items[1], tie)[0].values[0].value, 0.0);
}

TEST_F(MultipleChoiceTask, PutsWorkedExamplesInFront) {
  Write("shots.jsonl",
        "{\"question\": \"S1\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n"
        "{\"question\": \"S2\", \"choices\": [\"c\", \"d\"], \"answer\": 0}\n"
        "{\"question\": \"S3\", \"choices\": [\"e\", \"f\"], \"answer\": 0}\n");
  Write("items.jsonl", R"({"question": "T", "choices": ["x", "y"], "answer": 0})");
  const auto task = MakeChoice(std::string(kPrompt) + "preamble: \"Answer.\\n\\n\"\nfew_shot: {data: shots.jsonl, count: 2}\n");
  EXPECT_EQ(Pair(task.Items()[0], 1).context, "Answer.\n\nQ: S1\nA: b\n\nQ: S2\nA: c\n\nQ: T\nA:");
  EXPECT_EQ(task.card().few_shot, 2);
}

TEST_F(MultipleChoiceTask, TakesExamplesOfTheItemsOwnSubject) {
  Write("shots.jsonl",
        "{\"question\": \"S1\", \"choices\": [\"a\", \"b\"], \"answer\": 1, \"subject\": \"law\"}\n"
        "{\"question\": \"S2\", \"choices\": [\"c\", \"d\"], \"answer\": 0, \"subject\": \"art_history\"}\n");
  Write("items.jsonl",
        "{\"question\": \"T\", \"choices\": [\"x\", \"y\"], \"answer\": 0, \"subject\": \"art_history\"}\n"
        "{\"question\": \"U\", \"choices\": [\"x\", \"y\"], \"answer\": 0, \"subject\": \"music\"}\n");
  const std::string yaml = std::string(kPrompt) +
                           "preamble: \"About {{subject|replace:'_',' '}}.\\n\"\ntarget: \"{{letter}}\"\n"
                           "few_shot: {data: shots.jsonl, count: 1, match: subject}\n";
  EXPECT_EQ(ErrorOf([&] { MakeChoice(yaml).Items(); }),
            (folder_ / "items.jsonl").string() +
                ":2:1: there are 0 few-shot examples with subject = \"music\", and few_shot.count is 1. Lower the count "
                "or bring more examples.");
  const auto task = MakeChoice(yaml + "limit: 1\n");
  EXPECT_EQ(Pair(task.Items()[0], 0).context, "About art history.\nQ: S2\nA: A\n\nQ: T\nA:");
  EXPECT_EQ(Pair(task.Items()[0], 1).continuation, " B");
}

TEST_F(MultipleChoiceTask, LeavesItsOwnExamplesOutOfTheScore) {
  std::string lines;
  for (int i = 0; i < 6; ++i) {
    lines += "{\"question\": \"" + std::to_string(i) + "\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n";
  }
  Write("items.jsonl", lines);
  const auto first = MakeChoice(std::string(kPrompt) + "few_shot: {count: 2}\n").Items();
  ASSERT_EQ(first.size(), 4u);
  EXPECT_EQ(first[0].id, "2");
  EXPECT_EQ(Pair(first[0], 0).context, "Q: 0\nA: a\n\nQ: 1\nA: a\n\nQ: 2\nA:");
  const std::string random = std::string(kPrompt) + "few_shot: {count: 2, choose: random, seed: 5}\n";
  const auto drawn = MakeChoice(random).Items();
  EXPECT_EQ(drawn.size(), 4u);
  EXPECT_EQ(Pair(drawn[0], 0).context, Pair(MakeChoice(random).Items()[0], 0).context);
}

TEST_F(MultipleChoiceTask, MayPutTheChoiceIntoThePrompt) {
  // Partial evaluation: what follows the blank is scored after each filling of it.
  Write("items.jsonl", R"({"question": "Ann thanked Bea because _ was kind.", "choices": ["Ann", "Bea"], "answer": 1})");
  const auto task = MakeChoice(
      "prompt: \"{{question|before:'_'}}{{choice}}\"\ntarget: \"{{question|after:'_'|trim}}\"\nmetrics: [acc]\n");
  const auto items = task.Items();
  EXPECT_EQ(Pair(items[0], 0).context, "Ann thanked Bea because Ann");
  EXPECT_EQ(Pair(items[0], 1).context, "Ann thanked Bea because Bea");
  EXPECT_EQ(Pair(items[0], 1).continuation, " was kind.");
}

TEST_F(MultipleChoiceTask, ReadsAnswersInTheFormThatItWasTold) {
  Write("items.jsonl", R"({"q": "?", "t": "b", "l": "B", "n": 2, "zero": 1})");
  const std::string yaml = "prompt: \"{{q}}\"\nchoices: [\"a\", \"{{t}}\"]\n";
  for (const char* form : {"answer_field: t\nanswer_form: text\n", "answer_field: l\nanswer_form: letter\n",
                           "answer_field: n\nanswer_form: index_from_1\n", "answer_field: zero\n"}) {
    SCOPED_TRACE(form);
    const auto task = MakeChoice(yaml + form);
    EXPECT_EQ(task.Score(task.Items()[0], std::vector<Response>{Nats(-2), Nats(-1)})[0].values[0].value, 1.0);
  }
  const std::string place = (folder_ / "items.jsonl").string() + ":1:1: ";
  EXPECT_EQ(ErrorOf([&] { MakeChoice(yaml + "answer_field: n\n").Items(); }),
            place + "'n' is 2, where an index from 0 to 1 is needed (answer_form: index).");
  EXPECT_EQ(ErrorOf([&] { MakeChoice(yaml + "answer_field: q\nanswer_form: text\n").Items(); }),
            place + "'q' is '?', where one of the choices is needed (answer_form: text).");
}

TEST_F(MultipleChoiceTask, ReadsLabelsLettersAndIndicesAsTheyAreFound) {
  struct Case {
    const char *row, *options;
  };
  // In each the third of four choices is right.
  for (const Case& one : {
           Case{R"({"c": {"text": ["p", "q", "r", "s"], "label": ["A", "B", "C", "D"]}, "answer": "C"})",
                "choices_field: c.text\nanswer_form: letter\n"},
           Case{R"({"c": {"text": ["p", "q", "r", "s"], "label": ["1", "2", "3", "4"]}, "answer": "3"})",
                "choices_field: c.text\nanswer_form: letter\n"},
           Case{R"({"c": {"text": ["p", "q", "r", "s"], "label": [1, 2, 3, 4]}, "answer": 3})",
                "choices_field: c.text\nanswer_form: letter\n"},
           Case{R"({"c": {"text": ["p", "q", "r", "s"], "labels": ["D", "C", "B", "A"]}, "answer": "b"})",
                "choices_field: c.text\nanswer_form: letter\n"},
           Case{R"({"c": ["p", "q", "r", "s"], "names": ["i", "ii", "iii", "iv"], "answer": "iii"})",
                "choices_field: c\nanswer_form: letter\nlabels_field: names\n"},
           Case{R"({"c": ["p", "q", "r", "s"], "answer": "c"})", "choices_field: c\nanswer_form: letter\n"},
           Case{R"({"c": ["p", "q", "r", "s"], "answer": " C "})", "choices_field: c\nanswer_form: letter\n"},
           Case{R"({"c": ["p", "q", "r", "s"], "answer": "2"})", "choices_field: c\n"},
           Case{R"({"c": ["p", "q", "r", "s"], "answer": 2.0})", "choices_field: c\n"},
           Case{R"({"c": ["p", "q", "r", "s"], "answer": "2.0"})", "choices_field: c\n"},
           Case{R"({"c": ["p", "q", "r", "s"], "answer": "3"})", "choices_field: c\nanswer_form: index_from_1\n"},
           Case{R"({"c": [1, 2, 3.0, 4], "answer": 3.0})", "choices_field: c\nanswer_form: text\n"},
       }) {
    SCOPED_TRACE(std::string(one.row) + "\n" + one.options);
    Write("items.jsonl", one.row);
    const auto task = MakeChoice(std::string("prompt: x\n") + one.options);
    EXPECT_EQ(task.Score(task.Items()[0], std::vector<Response>{Nats(-2), Nats(-2), Nats(-1), Nats(-2)})[0].values[0].value,
              1.0);
  }
}

TEST_F(MultipleChoiceTask, RefusesAnswersThatNameNoChoice) {
  const std::string place = (folder_ / "items.jsonl").string() + ":1:1: ";
  const auto error = [&](const std::string& row, const std::string& options) {
    Write("items.jsonl", row);
    return ErrorOf([&] { MakeChoice("prompt: x\nchoices_field: c\n" + options).Items(); });
  };
  EXPECT_EQ(error(R"({"c": ["p", "q"], "answer": "2"})", "answer_form: letter\n"),
            place + "'answer' is '2', where a letter from A to B, or labels_field, the item's list of labels, or another "
                    "form, is needed (answer_form: letter).");
  EXPECT_EQ(error(R"({"c": ["p", "q"], "l": ["1", "2"], "answer": "3"})", "answer_form: letter\nlabels_field: l\n"),
            place + "'answer' is '3', where one of the item's labels (1, 2) is needed (answer_form: letter).");
  EXPECT_EQ(error(R"({"c": ["p", "q"], "l": ["1"], "answer": "1"})", "answer_form: letter\nlabels_field: l\n"),
            place + "'l' has 1 labels, and the item has 2 choices.");
  EXPECT_EQ(error(R"({"c": ["p", "q"], "l": ["1", "1"], "answer": "1"})", "answer_form: letter\nlabels_field: l\n"),
            place + "'l' has the label '1' twice.");
  EXPECT_EQ(error(R"({"c": ["p", "q"], "answer": "1.5"})", ""),
            place + "'answer' is '1.5', where an index from 0 to 1 is needed (answer_form: index).");
  EXPECT_EQ(error(R"({"c": ["p", "q"], "answer": true})", ""),
            place + "'answer' is true, where an index from 0 to 1 is needed (answer_form: index).");
  EXPECT_EQ(error(R"({"c": ["p", "q"], "answer": -1})", ""),
            place + "'answer' is -1, where an index from 0 to 1 is needed (answer_form: index).");
}

TEST_F(MultipleChoiceTask, HasAsManyChoicesAsAnItemUnlessLettersAreAskedFor) {
  std::string choices, labels;
  for (int i = 0; i < 30; ++i) {
    choices += (i == 0 ? "\"c" : ", \"c") + std::to_string(i) + "\"";
    labels += (i == 0 ? "\"" : ", \"") + std::to_string(100 + i) + "\"";
  }
  const std::string place = (folder_ / "items.jsonl").string() + ":1:1: ";
  Write("items.jsonl", "{\"choices\": [" + choices + "], \"answer\": 29, \"l\": [" + labels + "], \"label\": \"129\"}");
  for (const char* more : {"", "answer_form: letter\nlabels_field: l\nanswer_field: label\n"}) {
    const auto task = MakeChoice(std::string("prompt: x\n") + more);
    const auto items = task.Items();
    ASSERT_EQ(items[0].requests.size(), 30u);
    EXPECT_EQ(Pair(items[0], 29).continuation, " c29");
    std::vector<Response> responses(30, Nats(-2));
    responses[29] = Nats(-1);
    EXPECT_EQ(task.Score(items[0], responses)[0].values[0].value, 1.0);
  }
  EXPECT_EQ(ErrorOf([&] { MakeChoice("prompt: x\ntarget: \"{{letter}}\"\n").Items(); }),
            place + "the item has 30 choices, and {{letter}} goes from A to Z. Write {{choice}} in prompt and target.");
  EXPECT_EQ(ErrorOf([&] { MakeChoice("prompt: \"{{choices|lettered}}\"\n").Items(); }),
            place + "there is no letter for 26. Letters go from 0 to 25 (template {{choices|lettered}}).");
}

TEST_F(MultipleChoiceTask, RefusesItemsThatHaveNoChoice) {
  Write("items.jsonl", R"({"question": "?", "choices": ["a"], "answer": 0})");
  EXPECT_EQ(ErrorOf([&] { MakeChoice(kPrompt).Items(); }),
            (folder_ / "items.jsonl").string() + ":1:1: the item has 1 choices. There must be at least 2.");
  Write("items.jsonl", R"({"question": "?", "choices": ["a", ""], "answer": 0})");
  EXPECT_EQ(ErrorOf([&] { MakeChoice(kPrompt).Items(); }),
            (folder_ / "items.jsonl").string() + ":1:1: the target of choice 1 is empty. There is no likelihood of "
                                                 "nothing.");
}

TEST_F(MultipleChoiceTask, SpreadsALimitOverTheFile) {
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += "{\"question\": \"?\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n";
  Write("items.jsonl", lines);
  const auto spread = MakeChoice(std::string(kPrompt) + "limit: 3\nlimit_from: spread\n");
  std::vector<std::string> ids;
  for (const auto& item : spread.Items()) ids.push_back(item.id);
  EXPECT_THAT(ids, ElementsAre("0", "3", "6"));
  EXPECT_EQ(spread.card().limit, 3);
}

TEST_F(ShortAnswerTask, AsksForTextAndComparesIt) {
  Write("items.jsonl", R"({"question": "Capital of Cuba?", "answers": ["Havana", "La Habana"]})");
  const auto task = Make<ShortAnswer>("version: \"1\"\ndata: items.jsonl\nprompt: \"{{question}}\"\nuntil: [\"\\n\", \".\"]\n");
  const auto items = task.Items();
  const auto& request = std::get<GenerateRequest>(items[0].requests.at(0));
  EXPECT_EQ(request.context, "Capital of Cuba?");
  EXPECT_THAT(request.until, ElementsAre("\n", "."));
  EXPECT_EQ(request.max_new_tokens, 32);
  const auto score = [&](const char* text) {
    return task.Score(items[0], std::vector<Response>{GenerateResponse{text, 1, false}})[0].values[0].value;
  };
  EXPECT_EQ(score("  LA HABANA!"), 1.0);
  EXPECT_EQ(score("Havana \n"), 1.0);
  EXPECT_EQ(score("The Havana"), 0.0);
  // The first that is accepted, as the data write it, and what the model wrote before it is normalized.
  const ItemScore one = task.Score(items[0], std::vector<Response>{GenerateResponse{" La HABANA! ", 1, false}})[0];
  EXPECT_EQ(one.right, "Havana");
  EXPECT_EQ(one.target, "Havana");
  EXPECT_THAT(one.extracted, ElementsAre("La HABANA!"));
  EXPECT_THAT(one.lengths, ElementsAre(10));  // Characters, without white space at the ends.
}

TEST_F(ShortAnswerTask, AsksForTheLikelihoodOfTheAnswerWhereBitsPerByteAreWanted) {
  Write("items.jsonl", R"({"question": "Summer?", "answers": ["été", "summer"]})");
  const std::string text = "version: \"1\"\ndata: items.jsonl\nprompt: \"{{question}}\"\n";
  const auto task = Make<ShortAnswer>(text + "metrics: [bits_per_byte, exact_match]\n"
                                             "extract: {first: {pattern: \"\\\\S+\"}}\n");
  EXPECT_EQ(task.card().metrics[0].name, "exact_match_first");
  EXPECT_EQ(task.card().metrics[1].name, "bits_per_byte");
  EXPECT_EQ(task.card().metrics[1].kind, MetricKind::kMean);
  EXPECT_FALSE(task.card().metrics[1].higher_is_better);
  const auto items = task.Items();
  ASSERT_EQ(items[0].requests.size(), 2u);
  const auto& scored = std::get<LoglikelihoodRequest>(items[0].requests[1]);
  EXPECT_EQ(scored.context, "Summer?");
  EXPECT_EQ(scored.continuation, " \u00e9t\u00e9");
  const ItemScore one = task.Score(
      items[0], std::vector<Response>{GenerateResponse{"hiver", 1, false}, Nats(-10 * std::numbers::ln2)})[0];
  ASSERT_EQ(one.values.size(), 2u);
  EXPECT_EQ(one.values[0].value, 0);
  EXPECT_NEAR(one.values[1].value, 2, 1e-12);  // 10 bits of five bytes.
  EXPECT_THAT(one.extracted, ElementsAre("hiver", "hiver"));
  EXPECT_THAT(ErrorOf([&] { Make<ShortAnswer>(text + "metrics: [bits_per_byte]\n"); }),
              EndsWith(": bits_per_byte stands alone, where a metric of the model's own answer is needed before it. Add "
                       "exact_match."));
}

TEST(NormalizeAnswer, FollowsTheNamedRule) {
  EXPECT_EQ(NormalizeAnswer("The Beatles' “Help!”", "none"), "The Beatles' “Help!”");
  EXPECT_EQ(NormalizeAnswer("The Beatles' “Help!”", "punctuation"), "The Beatles “Help”");
  EXPECT_EQ(NormalizeAnswer("The Beatles' “Help!”", "harness"), "the beatles “help”");
  EXPECT_EQ(NormalizeAnswer("The cat and a dog", "harness_articles"), "cat and dog");
  EXPECT_EQ(NormalizeAnswer("“The Cat”, Panama the", "harness_articles"), "“cat” panama the");
  EXPECT_EQ(NormalizeAnswer(" The  Cat,\tand a dog: an apple ", "squad"), "cat and dog apple");
  EXPECT_EQ(NormalizeAnswer("A.B. Panamá", "squad"), "ab panamá");
}

TEST_F(ShortAnswerTask, ExtractsTheAnswerWithPatterns) {
  // The two ways of the public harness for GSM8K: the marked answer, or the last number.
  Write("items.jsonl", R"({"question": "6 dozen?", "answers": ["1,072"], "solution": "so\n#### 72"})");
  Write("shots.jsonl", R"({"question": "2+2?", "answers": ["4"], "solution": "It is 4.\n#### 4"})");
  const auto task = Make<ShortAnswer>(
      "version: \"1\"\ndata: items.jsonl\nprompt: \"Q: {{question}}\\nA:\"\nnormalization: lower\n"
      "target: \"{{solution}}\"\nfew_shot: {data: shots.jsonl, count: 1}\nignore: [\",\", \"\\\\$\"]\n"
      "metrics: [exact_match, numeric_match]\n"
      "extract:\n  strict: {pattern: \"#### (\\\\-?[0-9\\\\.\\\\,]+)\"}\n"
      "  flexible: {pattern: \"(-?[$0-9.,]{2,})|(-?[0-9]+)\", take: last}\n");
  const auto items = task.Items();
  EXPECT_EQ(std::get<GenerateRequest>(items[0].requests.at(0)).context,
            "Q: 2+2?\nA: It is 4.\n#### 4\n\nQ: 6 dozen?\nA:");
  std::vector<std::string> names;
  for (const MetricCard& metric : task.card().metrics) names.push_back(metric.name);
  EXPECT_THAT(names, ElementsAre("exact_match_strict", "numeric_match_strict", "exact_match_flexible",
                                 "numeric_match_flexible"));
  const auto scores = [&](const char* text) {
    std::vector<double> values;
    const auto scored = task.Score(items[0], std::vector<Response>{GenerateResponse{text, 1, false}});
    for (const ItemValue& value : scored[0].values) values.push_back(value.value);
    return values;
  };
  EXPECT_THAT(scores("Well.\n#### 1072"), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(scores("#### 1072.0"), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(scores("It is $1,072"), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(scores("#### 1,072 and then 5 more"), ElementsAre(1, 1, 0, 0));
  EXPECT_THAT(scores("no number"), ElementsAre(0, 0, 0, 0));
  const auto extracted = [&](const char* text) {
    return task.Score(items[0], std::vector<Response>{GenerateResponse{text, 1, false}})[0].extracted;
  };
  EXPECT_THAT(extracted("#### 1,072 and then 5 more $10"), ElementsAre("1,072", "1,072", "$10", "$10"));
  EXPECT_THAT(extracted("It is $1,072"), ElementsAre("", "", "$1,072", "$1,072"));
}

TEST_F(ShortAnswerTask, MayTakeTheWholeTextWherePatternsFindNothing) {
  Write("items.jsonl", R"({"question": "Half?", "answers": ["\\frac{1}{2}"]})");
  const auto task = Make<ShortAnswer>(
      "version: \"1\"\ndata: items.jsonl\nprompt: \"{{question}}\"\nnormalization: math\n"
      "extract: {between_dollars: {pattern: \"(?s)\\\\$(.*)\\\\$\", otherwise: text}}\n");
  const auto items = task.Items();
  const auto score = [&](const char* text) {
    return task.Score(items[0], std::vector<Response>{GenerateResponse{text, 1, false}})[0].values[0].value;
  };
  EXPECT_EQ(score(" It is $\\dfrac12$."), 1);
  EXPECT_EQ(score(" 1/2"), 1);
  EXPECT_EQ(score("$1$ or $2$"), 0);
  EXPECT_THAT(task.Score(items[0], std::vector<Response>{GenerateResponse{" 1/2", 1, false}})[0].extracted,
              ElementsAre(" 1/2"));
}

TEST_F(ShortAnswerTask, ScoresWordsInCommon) {
  Write("items.jsonl", R"({"question": "Who?", "answers": ["Ada Lovelace", "Countess of Lovelace"]})");
  const auto task = Make<ShortAnswer>(
      "version: \"1\"\ndata: items.jsonl\nprompt: \"{{question}}\"\nnormalization: squad\nmetrics: [f1]\n");
  EXPECT_EQ(task.card().metrics[0].kind, MetricKind::kMean);
  const auto items = task.Items();
  // Three words of four and three: 2 * 3 / 7.
  EXPECT_DOUBLE_EQ(task.Score(items[0], std::vector<Response>{GenerateResponse{
                                            "The countess of old Lovelace.", 1, false}})[0].values[0].value,
                   6.0 / 7);
  EXPECT_DOUBLE_EQ(TokenF1("a a b", "a c"), 2.0 / 5);
  EXPECT_EQ(TokenF1("", ""), 1);
  EXPECT_EQ(TokenF1("", "a"), 0);
}

TEST(SameNumber, ReadsNumbersAsPeopleWriteThem) {
  EXPECT_TRUE(SameNumber("$1,200.", "1200"));
  EXPECT_TRUE(SameNumber(" 50 %", "50.0"));
  EXPECT_TRUE(SameNumber("3/4", "0.75"));
  EXPECT_TRUE(SameNumber("-2", "-2"));
  EXPECT_FALSE(SameNumber("12 apples", "12"));
  EXPECT_FALSE(SameNumber("1/0", "1"));
  EXPECT_FALSE(SameNumber("", "0"));
  EXPECT_TRUE(SameNumber("x+1", "x+1"));  // No number is accepted: the texts decide.
}

TEST_F(MultipleChoiceTask, KeepsPartLikelihoodsAndLengthsOfAnItem) {
  Write("items.jsonl", R"({"question": "?", "choices": ["a", "été"], "answer": 1, "subject": "law"})");
  const auto task = MakeChoice(std::string(kPrompt) + "group_field: subject\n");
  const auto score = task.Score(task.Items()[0], std::vector<Response>{Nats(-4), Nats(-3)})[0];
  EXPECT_EQ(score.group, "law");
  EXPECT_THAT(score.loglikelihoods_nats, ElementsAre(-4, -3));
  EXPECT_THAT(score.lengths, ElementsAre(1, 3));
}

TEST_F(MultipleChoiceTask, MayWriteItsExamplesAsATemplateSays) {
  Write("shots.jsonl", R"({"text": "Q: one\nA: 1", "subject": "law"})");
  Write("items.jsonl", R"({"question": "T", "choices": ["x", "y"], "answer": 0, "subject": "law"})");
  const auto task = MakeChoice(std::string(kPrompt) +
                               "few_shot: {data: shots.jsonl, count: 1, match: subject, example: \"{{text}}\"}\n");
  EXPECT_EQ(Pair(task.Items()[0], 0).context, "Q: one\nA: 1\n\nQ: T\nA:");
}

TEST(NormalizeAnswer, BringsTexToTheFormOfTheMathBenchmark) {
  // Made by lm-evaluation-harness 0.4.13, tasks/hendrycks_math/utils.py, strip_string.
  const std::pair<const char*, const char*> kPairs[] = {{"\\frac12", "\\frac{1}{2}"},
                                                        {"\\dfrac1{72}", "\\frac{1}{72}"},
                                                        {"\\tfrac{a}{b}", "\\frac{a}{b}"},
                                                        {"0.5", "\\frac{1}{2}"},
                                                        {"3/4", "\\frac{3}{4}"},
                                                        {"-3/4", "\\frac{-3}{4}"},
                                                        {"03/4", "03/4"},
                                                        {"k = 7", "7"},
                                                        {"x+1 = 7", "x+1=7"},
                                                        {"\\sqrt3+\\sqrt{2}", "\\sqrt{3}+\\sqrt{2}"},
                                                        {"12\\text{ cm}", "12"},
                                                        {"90^\\circ", "90"},
                                                        {"\\left( 1, 2\\right)", "(1,2)"},
                                                        {".5", "\\frac{1}{2}"},
                                                        {"{.5}", "{0.5}"},
                                                        {"50\\%", "50"},
                                                        {"\\$ 1,000", "1,000"},
                                                        {"\\frac1", "\\frac1"},
                                                        {"a/b/c", "a/b/c"},
                                                        {"", ""},
                                                        {"1 0\n0", "100"},
                                                        {"1/2/", "1/2/"}};
  for (const auto& [text, wanted] : kPairs) EXPECT_EQ(NormalizeAnswer(text, "math"), wanted) << text;
}

TEST_F(ClozeTask, ScoresGreedyMatchAndPerplexityOfTheTarget) {
  Write("items.jsonl", R"({"text": "I drink", "word": "tea"})");
  const auto task = Make<Cloze>("version: \"1\"\ndata: items.jsonl\nprompt: \"{{text}}\"\ntarget: \"{{word}}\"\n");
  const auto items = task.Items();
  EXPECT_EQ(Pair(items[0], 0).context, "I drink");
  EXPECT_EQ(Pair(items[0], 0).continuation, " tea");
  const auto score = task.Score(items[0], std::vector<Response>{Nats(-2.5, true)})[0];
  EXPECT_EQ(score.values[0].value, 1.0);
  EXPECT_EQ(score.values[1].value, 2.5);
  EXPECT_EQ(score.values[1].weight, 1.0);
  EXPECT_EQ(score.right, "tea");
  EXPECT_EQ(score.target, "tea");
  EXPECT_TRUE(score.extracted.empty()) << "a likelihood tells no other answer";
}

TEST_F(PerplexityTask, JoinsWikiTextLinesAsTheDatasetsLibraryDoes) {
  Write("text.txt", " \n = A = \n \n b c \n");
  const auto task = Make<Perplexity>("version: \"1\"\ndata: text.txt\nconvention: gptq\njoin: hf_rows\nwindow_tokens: 4\nmax_windows: 3\n");
  const auto items = task.Items();
  const auto& request = std::get<RollingRequest>(items[0].requests.at(0));
  // Rows "", " = A = \n", "", " b c \n" with "\n\n" between them.
  EXPECT_EQ(request.text, "\n\n = A = \n\n\n\n\n b c \n");
  EXPECT_EQ(request.window_tokens, 4);
  EXPECT_EQ(request.max_windows, 3);
  EXPECT_EQ(task.card().convention, "gptq_disjoint_4");
  EXPECT_EQ(task.card().limit, 3);
  const auto scores = task.Score(items[0], std::vector<Response>{RollingResponse{{{6, 3}, {9, 3}}}});
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_EQ(scores[1].values[0].value, 9);
  EXPECT_EQ(scores[1].values[0].weight, 3);
  EXPECT_EQ(scores[1].right, "");
}

TEST_F(PerplexityTask, RollingCountsWordsBytesAndTokensOfEachDocument) {
  Write("docs.jsonl", "{\"text\": \"one two\"}\n{\"text\": \"é\"}\n");
  const auto task = Make<Perplexity>("version: \"1\"\ndata: docs.jsonl\nconvention: rolling\njoin: as_is\n");
  const auto items = task.Items();
  ASSERT_EQ(items.size(), 2u);
  const auto score = task.Score(items[0], std::vector<Response>{RollingResponse{{{6, 3}, {2, 1}}}})[0];
  EXPECT_EQ(score.values[0].value, 8);
  EXPECT_EQ(score.values[0].weight, 2);  // Words.
  EXPECT_EQ(score.values[1].weight, 7);  // Bytes.
  EXPECT_EQ(score.values[2].weight, 4);  // Tokens.
  EXPECT_DOUBLE_EQ(score.values[3].value, 8 / std::log(2));
  EXPECT_EQ(score.values[3].weight, 7);
  EXPECT_EQ(task.card().metrics[3].name, "bits_per_byte");
  EXPECT_EQ(task.card().metrics[3].kind, MetricKind::kRatio);
  EXPECT_EQ(task.Score(items[1], std::vector<Response>{RollingResponse{{{6, 3}}}})[0].values[1].weight, 2);
}

TEST_F(PerplexityTask, AnEmptyDocumentIsOneWordOfNoBytesAndTextsThatAreAllEmptyAreRefused) {
  const std::string file = "version: \"1\"\ndata: docs.jsonl\nconvention: rolling\njoin: as_is\n";
  Write("docs.jsonl", "{\"text\": \"one\"}\n{\"text\": \"\"}\n");
  const auto task = Make<Perplexity>(file);
  const auto score = task.Score(task.Items()[1], std::vector<Response>{RollingResponse{}})[0];
  EXPECT_EQ(score.values[0].value, 0);
  EXPECT_EQ(score.values[0].weight, 1);  // Python's len(re.split(r"\s+", "")).
  EXPECT_EQ(score.values[1].weight, 0);
  EXPECT_EQ(score.values[2].weight, 0);
  Write("docs.jsonl", "\n{\"text\": \"\"}\n{\"text\": \"\"}\n");
  EXPECT_EQ(ErrorOf([&] { Make<Perplexity>(file).Items(); }),
            (folder_ / "docs.jsonl").string() +
                ":2:1: 'text' is empty here and in every other text that is read. There is nothing to score.");
  Write("docs.txt", "");
  EXPECT_EQ(ErrorOf([&] {
              Make<Perplexity>("version: \"1\"\ndata: docs.txt\nconvention: rolling\njoin: as_is\n").Items();
            }),
            (folder_ / "docs.txt").string() + ": the text is empty. There is nothing to score.");
}

TEST_F(PerplexityTask, CutsWikiTextIntoArticlesAndDetokenizesThem) {
  const std::string article =
      " = Title = \n \n \" One \" ( two ) [ 3 ] men 's @-@ 1 @,@ 000 , 5 @.@ 5 . \n = = Sub = = \n A : b ; c ! d ? 5 ° C N ' q ' ";
  Write("text.txt", " \n" + article + "\n = Next = \n x \n");
  const auto task = Make<Perplexity>(
      "version: \"1\"\ndata: text.txt\nconvention: rolling\njoin: wikitext_pages\ndetokenize: wikitext\n");
  const auto items = task.Items();
  ASSERT_EQ(items.size(), 2u);
  // Made by lm-evaluation-harness 0.4.13, tasks/wikitext/preprocess_wikitext.py.
  EXPECT_EQ(std::get<RollingRequest>(items[0].requests.at(0)).text,
            " = Title =\n\n\"One\" (two) [3] men's-1,000, 5.5.\n== Sub ==\nA: b; c! d? 5°C N' q ' ");
  // Words and bytes of the article as it stood in the file.
  const auto score = task.Score(items[0], std::vector<Response>{RollingResponse{{{6, 3}}}})[0];
  EXPECT_EQ(score.values[0].weight, static_cast<double>(CountSplitWords(article)));
  EXPECT_EQ(score.values[1].weight, static_cast<double>(article.size()));
  EXPECT_EQ(std::get<RollingRequest>(items[1].requests.at(0)).text, " = Next =\nx\n");
}

TEST_F(PerplexityTask, RefusesJoinsThatDoNotFitTheFile) {
  EXPECT_EQ(ErrorOf([&] {
              Make<Perplexity>("version: \"1\"\ndata: a.txt\nconvention: gptq\njoin: blank_line\n");
            }),
            (folder_ / "task.yaml").string() + ":4:7: join 'blank_line' is for .jsonl documents, and 'a.txt' is plain text. "
                                               "Use 'as_is' or 'hf_rows'.");
}

TEST_F(PerplexityTask, ReadsSeveralFilesAsOneText) {
  Write("a.txt", "one two");
  Write("b.txt", " three");
  Write("c.jsonl", "{\"text\": \"x\"}\n");
  const std::string yaml = "version: \"1\"\nconvention: gptq\njoin: as_is\ndata: ";
  EXPECT_EQ(std::get<RollingRequest>(Make<Perplexity>(yaml + "[a.txt, b.txt]\n").Items().at(0).requests[0]).text,
            "one two three");
  EXPECT_EQ(ErrorOf([&] { Make<Perplexity>(yaml + "[a.txt, c.jsonl]\n"); }),
            (folder_ / "task.yaml").string() + ":4:7: the data files (a.txt, c.jsonl) are partly JSON lines and partly plain "
                                               "text, and one task reads one kind.");
}

TEST(TestTasks, OfTheRepositoryCanBeRead) {
  const std::filesystem::path folder = std::filesystem::path(BITLAW_SOURCE_DIR) / "tests/support/tasks";
  const auto options = [&](const std::string& name, const OptionSchema& schema) {
    Value map = ReadYamlFile(folder / (name + ".yaml"));
    std::erase_if(map.AsMap(), [](const auto& entry) { return entry.first == "type"; });
    return schema.Resolve(map, "task '" + name + "'");
  };
  EXPECT_EQ(ShortAnswer(options("capitals", ShortAnswer::Schema()), {"capitals", {}}).Items().size(), 16u);
  EXPECT_EQ(MultipleChoice(options("uses", MultipleChoice::Schema()), {"uses", {}}).Items().size(), 16u);
  EXPECT_EQ(MultipleChoice(options("steps", MultipleChoice::Schema()), {"steps", {}}).Items().size(), 16u);
  EXPECT_EQ(Cloze(options("endings", Cloze::Schema()), {"endings", {}}).Items().size(), 12u);
  EXPECT_EQ(Perplexity(options("story", Perplexity::Schema()), {"story", {}}).Items().size(), 1u);
}

}  // namespace
}  // namespace bitlaw
