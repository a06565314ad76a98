#include "records/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;

std::string FaultOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(Name(error.kind())) + ": " + error.what();
  }
  return "(no error)";
}

TEST(Csv, TellsColumnsOfNumbersFromColumnsOfTexts) {
  const Table table = ParseCsv("model,N,note\na,1.5e9,\"x, \"\"y\"\"\"\nb,,2\r\n", "t.csv");
  EXPECT_EQ(table.rows(), 2u);
  EXPECT_THAT(table.At("model").texts, ElementsAre("a", "b"));
  EXPECT_EQ(table.Numbers("N")[0], 1.5e9);
  EXPECT_TRUE(std::isnan(table.Numbers("N")[1]));
  EXPECT_THAT(table.At("note").texts, ElementsAre("x, \"y\"", "2"));
}

TEST(Csv, ReadsCommonMarksOfMissingNumbers) {
  const Table table = ParseCsv("x\nNA\nNaN\nnull\nNone\n 4 \n", "t.csv");
  for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(std::isnan(table.Numbers("x")[i])) << i;
  EXPECT_EQ(table.Numbers("x")[4], 4);
}

TEST(Csv, KeepsIdentifiersOfDigitsAsTextWhenToldTo) {
  const Table table = ParseCsv("trial,x\n12e456789012,1\n000000000012,2\n", "t.csv", {{"trial"}});
  EXPECT_THAT(table.At("trial").texts, ElementsAre("12e456789012", "000000000012"));
}

TEST(Csv, KeepsLineBreaksInsideQuotes) {
  const Table table = ParseCsv("a,b\n\"one\ntwo\",3\n", "t.csv");
  EXPECT_EQ(table.At("a").texts[0], "one\ntwo");
  EXPECT_EQ(FaultOf([] { ParseCsv("a,b\n\"one\ntwo\",3\n4\n", "t.csv"); }),
            "io: t.csv:4:1: the row has 1 field, the header has 2.");
}

TEST(Csv, WritesWhatReadsBackTheSame) {
  Table table;
  table.AddTexts("name", {"a,b", "say \"hi\"", ""});
  table.AddNumbers("x", {0.1, std::numeric_limits<double>::quiet_NaN(), 134515008});
  table.AddNumbers("y", {1e-300, 1.0 / 3, -0.0});
  EXPECT_EQ(WriteCsv(table), "name,x,y\n\"a,b\",0.1,1e-300\n\"say \"\"hi\"\"\",,0.3333333333333333\n,134515008,-0\n");
  const Table again = ParseCsv(WriteCsv(table), "t.csv");
  EXPECT_EQ(again.Numbers("y"), table.Numbers("y"));
  EXPECT_EQ(again.At("name").texts, table.At("name").texts);
  Table single;
  single.AddNumbers("x", {std::numeric_limits<double>::quiet_NaN(), 1});
  EXPECT_EQ(ParseCsv(WriteCsv(single), "t.csv").rows(), 2u);
}

TEST(Csv, RefusesMalformedFilesWithLineAndColumn) {
  EXPECT_EQ(FaultOf([] { ParseCsv("", "t.csv"); }), "io: t.csv: the file is empty. A header line is needed.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a,,b\n", "t.csv"); }), "io: t.csv:1:3: column 2 of the header has no name.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a,b,a\n", "t.csv"); }),
            "io: t.csv:1:5: column name 'a' stands in the header twice.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a,b\n1,2\n3\n4,5\n", "t.csv"); }),
            "io: t.csv:3:1: the row has 1 field, the header has 2.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a,b\n1,\"2\n", "t.csv"); }), "io: t.csv:2:3: a quoted field that is not closed.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a\n1\"2\"\n", "t.csv"); }),
            "io: t.csv:2:2: a quote inside an unquoted field. Quote the whole field and double the quote.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a\n\"1\"2\n", "t.csv"); }),
            "io: t.csv:2:4: text after the closing quote of a field. Double quotes that are part of it.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a,b\r1,2\r", "t.csv"); }),
            "io: t.csv:1:4: a carriage return that no line feed follows. Lines end in LF or CRLF.");
}

TEST(Table, NamesCloseColumnsAndTheFirstTextInErrors) {
  const Table table = ParseCsv("params,bits\n1,4\nbig,3\n", "t.csv");
  EXPECT_EQ(FaultOf([&] { table.At("parms", "--map"); }),
            "spec: --map: 'parms' is not a column of t.csv. Did you mean 'params'? Columns: params, bits.");
  EXPECT_EQ(FaultOf([&] { table.Numbers("params"); }),
            "spec: column 'params' of t.csv holds texts, but numbers are needed (t.csv:3:1: 'big' is not a number).");
}

TEST(Table, FiltersEvaluatesAndGroups) {
  const Table table = ParseCsv("q,bits,acc\ngptq,4,0.5\nrtn,4,0.4\ngptq,3,0.3\ngptq,,0.6\n", "t.csv");
  EXPECT_THAT(table.Where(Expression::Parse("q == 'gptq' and bits >= 3")), ElementsAre(0u, 2u));
  EXPECT_THAT(table.Evaluate(Expression::Parse("2 * acc")), ElementsAre(1.0, 0.8, 0.6, 1.2));
  const std::vector<std::string> by = {"q", "bits"};
  const auto groups = table.GroupBy(by);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_THAT(groups[3].key, ElementsAre("gptq", ""));
  const std::vector<std::string> by_q = {"q"};
  EXPECT_THAT(table.GroupBy(by_q)[0].rows, ElementsAre(0u, 2u, 3u));
  const std::vector<size_t> picked = {2, 0};
  EXPECT_THAT(table.Rows(picked).Numbers("acc"), ElementsAre(0.3, 0.5));
}

}  // namespace
}  // namespace bitlaw
