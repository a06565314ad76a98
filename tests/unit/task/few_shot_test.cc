// Which examples stand in front of an item: never the item itself, whatever the files are called.
#include <gmock/gmock.h>

#include <filesystem>
#include <string>

#include "cloze.h"
#include "multiple_choice.h"
#include "short_answer.h"
#include "task_test_support.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using testing::ErrorOf;

class FewShot : public testing::TaskFromYaml {
 protected:
  void SetUp() override {
    TaskFromYaml::SetUp();
    Write("x.jsonl", kItems);
  }

  static constexpr char kItems[] =
      "{\"q\": \"1+1\", \"answers\": [\"2\"]}\n"
      "{\"q\": \"2+2\", \"answers\": [\"4\"]}\n"
      "{\"q\": \"3+3\", \"answers\": [\"6\"]}\n";

  std::vector<std::string> Contexts(const std::string& few_shot, const std::string& more = "data: x.jsonl\n") const {
    const auto task = Make<ShortAnswer>("version: \"1\"\nprompt: \"{{q}}\"\nfew_shot: " + few_shot + "\n" + more);
    std::vector<std::string> contexts;
    for (const TaskItem& item : task.Items()) contexts.push_back(std::get<GenerateRequest>(item.requests[0]).context);
    return contexts;
  }
};

// Each item sees the two others.
constexpr char kFirst[] = "2+2 4\n\n3+3 6\n\n1+1", kSecond[] = "1+1 2\n\n3+3 6\n\n2+2", kThird[] = "1+1 2\n\n2+2 4\n\n3+3";

TEST_F(FewShot, LeavesTheItemItselfOutWhateverItsFileIsCalled) {
  std::filesystem::create_symlink(folder_ / "x.jsonl", folder_ / "soft.jsonl");
  std::filesystem::create_hard_link(folder_ / "x.jsonl", folder_ / "hard.jsonl");
  for (const char* name : {"x.jsonl", "./x.jsonl", "soft.jsonl", "hard.jsonl", "x*.jsonl"}) {
    SCOPED_TRACE(name);
    EXPECT_THAT(Contexts("{data: \"" + std::string(name) + "\", count: 2}"), ElementsAre(kFirst, kSecond, kThird));
  }
  EXPECT_THAT(Contexts("{data: [x.jsonl], count: 2}"), ElementsAre(kFirst, kSecond, kThird));
}

TEST_F(FewShot, ComparesContentsAndNotBytesOrderOrColumns) {
  Write("windows.jsonl",
        "\xEF\xBB\xBF{\"q\": \"1+1\", \"answers\": [\"2\"]}\r\n{\"answers\": [\"4\"], \"q\": \"2+2\"}\r\n"
        "{\"q\": \" 3+3\", \"answers\": [\"6\"]}\r\n");
  EXPECT_THAT(Contexts("{data: windows.jsonl, count: 2}"),
              ElementsAre("2+2 4\n\n 3+3 6\n\n1+1", "1+1 2\n\n 3+3 6\n\n2+2", "1+1 2\n\n2+2 4\n\n3+3"));
  Write("turned.csv", "index,q,answers,source\n9,3+3,6,web\n8,2+2,4,web\n7,1+1,2,web\n");
  EXPECT_THAT(Contexts("{data: turned.csv, count: 2}"),
              ElementsAre("3+3 6\n\n2+2 4\n\n1+1", "3+3 6\n\n1+1 2\n\n2+2", "2+2 4\n\n1+1 2\n\n3+3"));
  Write("more.jsonl", "{\"q\": \"2+2\", \"answers\": [\"four\", \"4\"]}\n{\"q\": \"5+5\", \"answers\": [\"10\"]}\n");
  EXPECT_THAT(Contexts("{data: more.jsonl, count: 1}"),
              ElementsAre("2+2 four\n\n1+1", "5+5 10\n\n2+2", "2+2 four\n\n3+3"));
}

TEST_F(FewShot, KnowsTheItemInReadyMadeExamples) {
  Write("made.jsonl", "{\"text\": \"1+1 2\"}\n{\"text\": \"8+8 16\"}\n{\"text\": \"9+9 18\"}\n");
  EXPECT_THAT(Contexts("{data: made.jsonl, count: 1, example: \"{{text}}\"}"),
              ElementsAre("8+8 16\n\n1+1", "1+1 2\n\n2+2", "1+1 2\n\n3+3"));
  // Worked solutions: the question is the item's, the text is not.
  Write("worked.jsonl", "{\"q\": \"1+1\", \"answers\": \"2\", \"why\": \"count\"}\n"
                        "{\"q\": \"8+8\", \"answers\": \"16\", \"why\": \"double\"}\n");
  EXPECT_THAT(Contexts("{data: worked.jsonl, count: 1, example: \"{{q}} {{why}} {{answers}}\"}", "data: x.jsonl\nlimit: 1\n"),
              ElementsAre("8+8 double 16\n\n1+1"));
}

TEST_F(FewShot, LeavesTheItemOutOfDrawsAndSubjects) {
  for (const int seed : {1, 2, 3}) {
    for (const std::string& context : Contexts("{data: x.jsonl, count: 2, choose: random, seed: " + std::to_string(seed) + "}")) {
      // The question once, at the end, and the two others before it.
      const std::string question = context.substr(context.rfind('\n') + 1);
      EXPECT_EQ(context.find(question), context.size() - question.size()) << context;
    }
  }
  Write("m.csv", "q,answers,s\n1+1,2,a\n2+2,4,a\n2-2,0,7\n3-2,1,7\n");
  // The subject is a number in one file and a text in the other.
  Write("m.jsonl", "{\"q\": \"2-2\", \"answers\": \"0\", \"s\": \"7\"}\n{\"q\": \"5-2\", \"answers\": \"3\", \"s\": \"7\"}\n");
  EXPECT_THAT(Contexts("{data: m.csv, count: 1, match: s}", "data: m.jsonl\n"),
              ElementsAre("3-2 1\n\n2-2", "2-2 0\n\n5-2"));
}

TEST_F(FewShot, RefusesAnItemWithoutEnoughOtherExamplesAndNamesTheFiles) {
  Write("two.jsonl", "{\"q\": \"1+1\", \"answers\": [\"2\"]}\n{\"q\": \"7+7\", \"answers\": [\"14\"]}\n");
  EXPECT_EQ(ErrorOf([&] { Contexts("{data: two.jsonl, count: 2}"); }),
            (folder_ / "x.jsonl").string() +
                ":1:1: there are 1 few-shot examples beside the item itself, which stands among them in few_shot.data "
                "(two.jsonl) beside the data (x.jsonl), and few_shot.count is 2. Lower the count or bring more examples.");
}

TEST_F(FewShot, ScoresNoItemOfItsOwnFileAfterACopyOfIt) {
  Write("double.jsonl", std::string(kItems) + kItems);
  // Items 0 and 1 are the examples; 3 and 4 are copies of them.
  EXPECT_THAT(Contexts("{count: 2}", "data: double.jsonl\n"), ElementsAre(kThird, kFirst, kSecond, kThird));
}

TEST_F(FewShot, ComparesAChoiceByItsQuestionAndRightAnswer) {
  Write("mc.jsonl", "{\"q\": \"Q\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n");
  Write("shots.jsonl",
        "{\"q\": \"Q\", \"choices\": [\"b\", \"a\"], \"answer\": 1}\n"
        "{\"q\": \"Q\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n");
  const auto task = Make<MultipleChoice>(
      "version: \"1\"\ndata: mc.jsonl\nprompt: \"{{q}}\"\nfew_shot: {data: shots.jsonl, count: 1}\n");
  // The first has the same right answer at another place; the second answers otherwise and is another item.
  EXPECT_EQ(Pair(task.Items()[0], 0).context, "Q b\n\nQ");
}

TEST_F(FewShot, ComparesAClozeByItsTarget) {
  Write("c.jsonl", "{\"a\": \"The cat\", \"b\": \"sat\"}\n{\"a\": \"The dog\", \"b\": \"ran\"}\n");
  const auto task = Make<Cloze>(
      "version: \"1\"\ndata: c.jsonl\nprompt: \"{{a}}\"\ntarget: \"{{b}}\"\nfew_shot: {data: ./c.jsonl, count: 1}\n");
  EXPECT_EQ(Pair(task.Items()[0], 0).context, "The dog ran\n\nThe cat");
  EXPECT_EQ(Pair(task.Items()[1], 0).context, "The cat sat\n\nThe dog");
}

}  // namespace
}  // namespace bitlaw
