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

TEST(Table, ReadsTrueAndFalseInTheWordsThatFilesHave) {
  const Table table = ParseCsv(
      "a,b\nno,1\nN,1.0\noff,0\n FALSE ,0.0\nf,NA\nyes,\nY,1\nOn,1\nTRUE,1\nt,1\nNA,0\n,0\n", "t.csv");
  const TableColumn &a = table.At("a"), &b = table.At("b");
  const std::vector<bool> wanted = {false, false, false, false, false, true, true, true, true, true, true, true};
  for (size_t row = 0; row < wanted.size(); ++row) EXPECT_EQ(table.Flag(a, row, true), wanted[row]) << row;
  EXPECT_FALSE(table.Flag(a, 10, false));
  EXPECT_TRUE(table.Flag(b, 1, false));
  EXPECT_FALSE(table.Flag(b, 3, true));
  EXPECT_FALSE(table.Flag(b, 4, false));
}

TEST(Table, RefusesWhatIsNeitherTrueNorFalseWithItsPlace) {
  const Table table = ParseCsv("x,split,part\n1,yes,0\n2,\"a\nb\",1\n3,maybe,0.5\n", "t.csv");
  EXPECT_EQ(FaultOf([&] { table.Flag(table.At("split"), 2, false); }),
            "io: t.csv:5:3: 'maybe' in column 'split' is neither true nor false. Write 1, true or yes, or 0, false or "
            "no; an empty cell is missing.");
  EXPECT_EQ(FaultOf([&] { table.Flag(table.At("part"), 2, false); }),
            "io: t.csv:5:9: '0.5' in column 'part' is neither true nor false. Write 1, true or yes, or 0, false or no; "
            "an empty cell is missing.");
}

TEST(Table, NamesRowsAsTheFileHasThemAfterTheyWereFiltered) {
  const Table table = ParseCsv("x,y\n1,5\n\"2\",\"a\nb\"\n3,7\n4,8\n", "t.csv");
  const std::vector<size_t> last = {2, 3};
  const Table kept = table.Rows(last);
  EXPECT_EQ(kept.RowName(0), "row 3 (line 5)");
  const std::vector<size_t> second = {1};
  EXPECT_EQ(kept.Rows(second).RowName(0), "row 4 (line 6)");
  EXPECT_EQ(kept.Place(kept.At("y"), 1), "t.csv:6:3");
  Table made("made");
  made.AddNumbers("x", {1, 2, 3});
  EXPECT_EQ(made.Rows(second).RowName(0), "row 2");
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

TEST(Csv, RefusesMoreColumnsThanATableHas) {
  std::string text = "c0";
  for (int j = 1; j <= 10000; ++j) text += ",c" + std::to_string(j);
  try {
    ParseCsv(text + "\n", "t.csv");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "t.csv:1:1: the header has 10001 columns. At most 10000 are read. Leave out what no law uses.");
  }
}

TEST(Csv, GuardsTextsThatASpreadsheetWouldRunAndReadsThemBack) {
  const std::vector<std::string> names = {"=1+1", "+x", "-x",   "@SUM(A1)", "\t=1", "'=1+1",
                                          "''@a", "-",  "-0.5", "it's",     "'a",   "+-",
                                          "-1.5 -2", "'-1 -2", "-1 =2"};
  Table table("t");
  table.AddTexts("=name", names);
  table.AddNumbers("value", {-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -13, -14, -15});
  const std::string text = WriteCsv(table);
  EXPECT_EQ(text,
            "'=name,value\n'=1+1,-1\n'+x,-2\n'-x,-3\n'@SUM(A1),-4\n'\t=1,-5\n''=1+1,-6\n'''@a,-7\n-,-8\n-0.5,-9\n"
            "it's,-10\n'a,-11\n+-,-12\n-1.5 -2,-13\n'-1 -2,-14\n'-1 =2,-15\n");
  const Table read = ParseCsv(text, "t");
  EXPECT_EQ(read.columns()[0].name, "=name");
  EXPECT_EQ(read.columns()[0].texts, names);
  EXPECT_EQ(read.columns()[1].numbers, table.columns()[1].numbers);
}

TEST(Csv, TellsColumnsApartWhoseNamesAreOneWithoutApostrophe) {
  EXPECT_THAT(ParseCsv("=x,'=x, '=x,y\n1,2,3,4\n", "t.csv").names(),
              ElementsAre("=x (column 1)", "=x (column 2)", "=x (column 3)", "y"));
  EXPECT_THAT(ParseCsv("'=x\n7\n", "t.csv", {.text_columns = {"=x"}}).columns()[0].texts, ElementsAre("7"));
}

TEST(Csv, WritesWhiteSpaceAtTheEndsOfANameInQuotesSoThatItStays) {
  const std::string text = "\" a\",\"b \"\n1,2\n";
  EXPECT_THAT(ParseCsv(text, "t.csv").names(), ElementsAre(" a", "b "));
  EXPECT_EQ(WriteCsv(ParseCsv(text, "t.csv")), text);
}

TEST(Csv, RefusesMalformedFilesWithLineAndColumn) {
  EXPECT_EQ(FaultOf([] { ParseCsv("", "t.csv"); }), "io: t.csv: the file is empty. A header line is needed.");
  EXPECT_EQ(FaultOf([] { ParseCsv(",,\n1,2,3\n", "t.csv"); }),
            "io: t.csv:1:1: no column of the header has a name. A header line is needed.");
  EXPECT_EQ(FaultOf([] { ParseCsv("a,b\n1,2,3\n", "t.csv"); }),
            "io: t.csv:2:1: the row has 3 fields, the header has 2.");
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

TEST(Csv, CallsColumnsWithoutANameByTheirPlace) {
  const Table index = ParseCsv(",model,N\n0,a,1\n1,b,2\n", "t.csv");  // As pandas writes it.
  EXPECT_THAT(index.names(), ElementsAre("column 1", "model", "N"));
  EXPECT_THAT(index.Numbers("column 1"), ElementsAre(0, 1));
  EXPECT_THAT(ParseCsv("\"\",N, ,column 1\n0,1,x,2\n", "t.csv").names(),
              ElementsAre("column 1'", "N", "column 3", "column 1"));
  EXPECT_THAT(ParseCsv(" N , acc\n1, 2\n", "t.csv").names(), ElementsAre("N", "acc"));
}

TEST(Csv, DropsWhatACommaAtTheEndOfLinesMakes) {
  for (const std::string text : {"a,b,\n1,2,\n3,4,\n", "a,b,\n1,2\n3,4\n", "a,b\n1,2,\n3,4,\n", "a,b,,\n1,2\n3,4,\n"}) {
    const Table table = ParseCsv(text, "t.csv");
    EXPECT_THAT(table.names(), ElementsAre("a", "b")) << text;
    EXPECT_THAT(table.Numbers("b"), ElementsAre(2, 4)) << text;
  }
}

TEST(Csv, GivesNoColumnTheNameThatTwoHave) {
  const Table table = ParseCsv("acc,N,acc\n0.5,1,0.6\n", "t.csv");
  EXPECT_THAT(table.names(), ElementsAre("acc (column 1)", "N", "acc (column 3)"));
  EXPECT_EQ(FaultOf([&] { table.Numbers("acc", "law"); }),
            "spec: law: 'acc' is not a column of t.csv. Columns: acc (column 1), N, acc (column 3).");
}

TEST(Table, EvaluatesConditionsOverTexts) {
  const Table table = ParseCsv("method,group,hidden\ngptq,per_channel,2048\nrtn,128,2048\n,128,4096\n", "t.csv");
  EXPECT_THAT(table.Evaluate(Expression::Parse("method == 'gptq'")), ElementsAre(1, 0, 0));
  EXPECT_THAT(table.Evaluate(Expression::Parse("(group == 'per_channel') * hidden + (group == '128') * 128")),
              ElementsAre(2048, 128, 128));
  EXPECT_THAT(table.Evaluate(Expression::Parse("if(missing(method), 0, if(method != 'gptq', 2, 1))")),
              ElementsAre(1, 2, 0));
  EXPECT_EQ(FaultOf([&] { table.Evaluate(Expression::Parse("2 * method")); }),
            "spec: 'method' at character 5 of '2 * method': column 'method' of t.csv holds texts, but numbers are "
            "needed (t.csv:2:1: 'gptq' is not a number).");
  EXPECT_EQ(FaultOf([&] { table.Evaluate(Expression::Parse("hidden == 'x'")); }),
            "spec: '==' at character 8 of 'hidden == 'x'' needs a text, but 'hidden' is a number.");
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

// The first column has neither name nor content and goes; what was the second name begins the file that is written.
TEST(Csv, KeepsAByteOrderMarkOfANameThatComesFirst) {
  const Table table = ParseCsv(",\xef\xbb\xbfx\n,1\n", "a.csv");
  EXPECT_EQ(WriteCsv(table), "\"\xef\xbb\xbfx\"\n1\n");
  EXPECT_EQ(ParseCsv(WriteCsv(table), "b.csv").columns()[0].name, "\xef\xbb\xbfx");
}

}  // namespace
}  // namespace bitlaw
