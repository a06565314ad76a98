// Numbers of data files as prompts, answers and ids show them: as Python's str() does.
#include "bitlaw/sdk/text/data_text.h"

#include <gmock/gmock.h>

#include <limits>

#include "bitlaw/sdk/data/data_rows.h"
#include "multiple_choice.h"
#include "short_answer.h"
#include "task_test_support.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using testing::ErrorOf;

TEST(NumberText, IsPythonsStrOfADouble) {
  // Right sides: Python 3.11, repr(float(x)).
  EXPECT_EQ(NumberText(100000.0), "100000.0");
  EXPECT_EQ(NumberText(1e5), "100000.0");
  EXPECT_EQ(NumberText(1e15), "1000000000000000.0");
  EXPECT_EQ(NumberText(9999999999999998.0), "9999999999999998.0");
  EXPECT_EQ(NumberText(1e16), "1e+16");
  EXPECT_EQ(NumberText(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(NumberText(1e22), "1e+22");
  EXPECT_EQ(NumberText(1e100), "1e+100");
  EXPECT_EQ(NumberText(0.0001), "0.0001");
  EXPECT_EQ(NumberText(0.00012), "0.00012");
  EXPECT_EQ(NumberText(0.00001), "1e-05");
  EXPECT_EQ(NumberText(1e-7), "1e-07");
  EXPECT_EQ(NumberText(1.5e-300), "1.5e-300");
  EXPECT_EQ(NumberText(5e-324), "5e-324");
  EXPECT_EQ(NumberText(0.1), "0.1");
  EXPECT_EQ(NumberText(2.5), "2.5");
  EXPECT_EQ(NumberText(-0.0), "-0.0");
  EXPECT_EQ(NumberText(0.0), "0.0");
  EXPECT_EQ(NumberText(-123.456), "-123.456");
  EXPECT_EQ(NumberText(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(NumberText(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
}

class NumbersOfData : public testing::TaskFromYaml {
 protected:
  std::vector<std::string> Prompts(const std::string& rows, const std::string& prompt) const {
    Write("n.jsonl", rows);
    const auto task = Make<ShortAnswer>("version: \"1\"\ndata: n.jsonl\nprompt: \"" + prompt + "\"\nanswers_field: n\n");
    std::vector<std::string> prompts;
    for (const TaskItem& item : task.Items()) prompts.push_back(std::get<GenerateRequest>(item.requests[0]).context);
    return prompts;
  }
};

TEST_F(NumbersOfData, KeepTheirDigitsInPromptsListsAndMaps) {
  EXPECT_THAT(Prompts("{\"n\": 100000.0}\n{\"n\": 18446744073709551616}\n{\"n\": -9223372036854775809}\n{\"n\": 1e5}\n"
                      "{\"n\": 9223372036854775808}\n{\"n\": -0.0}\n{\"n\": 0.00001}\n{\"n\": -0}\n",
                      "{{n}}"),
              ElementsAre("100000.0", "18446744073709551616", "-9223372036854775809", "100000.0", "9223372036854775808",
                          "-0.0", "1e-05", "0"));
  EXPECT_THAT(Prompts("{\"n\": 1, \"l\": [1e6, 12345678901234567890], \"m\": {\"x\": [0.5, 1e16]}}\n",
                      "{{l|join:', '}} {{l[1]}} {{m.x|last}} {{l|lettered}}"),
              ElementsAre("1000000.0, 12345678901234567890 12345678901234567890 1e+16 A. 1000000.0\nB. 12345678901234567890"));
}

TEST_F(NumbersOfData, AreAnswersInTheSameDigits) {
  Write("n.jsonl", "{\"q\": \"?\", \"answers\": [100000.0, 18446744073709551617]}\n");
  const auto task = Make<ShortAnswer>("version: \"1\"\ndata: n.jsonl\nprompt: \"{{q}}\"\nnormalization: none\n");
  const auto items = task.Items();
  const auto value = [&](const std::string& text) {
    GenerateResponse response;
    response.text = text;
    return task.Score(items[0], std::vector<Response>{response})[0].values[0].value;
  };
  EXPECT_EQ(value("100000.0"), 1.0);
  EXPECT_EQ(value("1e+05"), 0.0);
  EXPECT_EQ(value("18446744073709551617"), 1.0);
  EXPECT_EQ(value("18446744073709551616"), 0.0);
}

TEST_F(NumbersOfData, AreChoicesAndIdsInTheSameDigits) {
  Write("c.jsonl",
        "{\"id\": 18446744073709551616, \"choices\": [1e5, 2.0], \"answer\": 100000.0}\n"
        "{\"id\": 18446744073709551617, \"choices\": [3, 4], \"answer\": 4}\n"
        "{\"id\": 7.0, \"choices\": [3, 4], \"answer\": 4}\n");
  const auto task = Make<MultipleChoice>(
      "version: \"1\"\ndata: c.jsonl\nprompt: \"?\"\nid_field: id\nanswer_form: text\n");
  const auto items = task.Items();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].id, "18446744073709551616");
  EXPECT_EQ(items[1].id, "18446744073709551617");
  EXPECT_EQ(items[2].id, "7.0");
  EXPECT_EQ(Pair(items[0], 0).continuation, " 100000.0");
  EXPECT_EQ(Pair(items[0], 1).continuation, " 2.0");
}

TEST_F(NumbersOfData, OfTablesStayAsTheyAreWritten) {
  const auto rows = ReadRows(Write("t.csv", "a,b,c,d,e\n100000.0,18446744073709551616,1e5,007,-0\n"));
  for (const auto& [name, cell] : rows.at(0).AsMap()) EXPECT_TRUE(cell.is_string()) << name;
  EXPECT_EQ(DataText(*rows[0].Find("a")), "100000.0");
  EXPECT_EQ(DataText(*rows[0].Find("b")), "18446744073709551616");
  EXPECT_EQ(DataText(*rows[0].Find("c")), "1e5");
  EXPECT_EQ(DataText(*rows[0].Find("d")), "007");
  EXPECT_EQ(DataText(*rows[0].Find("e")), "-0");
}

TEST_F(NumbersOfData, NullAndListsAreNoAnswersAndNoIds) {
  const std::string file = Write("n.jsonl", "{\"q\": \"?\", \"answers\": null}\n");
  const auto error = [&](const std::string& more) {
    return ErrorOf([&] { Make<ShortAnswer>("version: \"1\"\ndata: n.jsonl\nprompt: \"{{q}}\"\n" + more).Items(); });
  };
  EXPECT_EQ(error(""), file + ":1:1: 'answers' is null, where a text or a number is needed (option 'answers_field').");
  EXPECT_EQ(error("id_field: answers\n"),
            file + ":1:1: 'answers' is null, where a text or a number is needed (option 'id_field').");
}

}  // namespace
}  // namespace bitlaw
