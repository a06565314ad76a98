#include "report/document.h"

#include <gtest/gtest.h>

namespace bitlaw {
namespace {

TEST(ReportCells, RoundForPeople) {
  EXPECT_EQ(Whole(134515008).text, "134,515,008");
  EXPECT_EQ(Whole(12).text, "12");
  EXPECT_EQ(Whole(-1000).text, "-1,000");
  EXPECT_EQ(Whole(kUnset).text, "-");
  EXPECT_EQ(Fixed(0.12345, 3).text, "0.123");
  EXPECT_EQ(Significant(1.0 / 3).text, "0.3333");
}

TEST(ReportCells, SayOfAnR2BelowZeroNoMoreThanThat) {
  EXPECT_EQ(RSquared(0.98765).text, "0.9877");
  EXPECT_EQ(RSquared(-23477.1).text, "below zero");
  EXPECT_EQ(RSquared(-23477.1).number, -23477.1) << "CSV has it whole";
  EXPECT_EQ(RSquared(kUnset).text, "-");
}

TEST(ReportCells, ShowAnEstimateToTheDigitsOfItsError) {
  EXPECT_EQ(Estimate(-0.35912, 0.0123).text, "-0.359 (0.012)");
  EXPECT_EQ(Estimate(1675.2, 397.9).text, "1675 (398)");
  EXPECT_EQ(Estimate(1.234e8, 2e7).text, "1.234e+08 (2e+07)");
  EXPECT_EQ(Estimate(0.5, kUnset).text, "0.5 (-)");
  EXPECT_EQ(Estimate(kUnset, kUnset).text, "-");
}

ReportTable Sample() {
  ReportTable table;
  table.name = "sample";
  table.title = "Scores";
  table.header = {"trial", "n", "bits|weight"};
  table.rows = {{"gptq b=3 ±", Whole(1234), Fixed(3.14159265358979, 2)}, {"rtn", Whole(kUnset), Fixed(4, 2)}};
  table.notes = {"A note."};
  return table;
}

TEST(ReportTables, AlignTextsLeftAndNumbersRight) {
  EXPECT_EQ(RenderText(Sample()),
            "Scores\n"
            "  trial           n  bits|weight\n"
            "  ----------  -----  -----------\n"
            "  gptq b=3 ±  1,234         3.14\n"
            "  rtn             -         4.00\n"
            "  A note.\n");
}

TEST(ReportTables, EscapeWhatMarkdownWouldRead) {
  ReportTable table = Sample();
  table.rows[0][0] = "A * N^a";
  EXPECT_EQ(RenderMarkdown(table),
            "**Scores**\n\n"
            "| trial | n | bits\\|weight |\n"
            "| --- | ---: | ---: |\n"
            "| A \\* N^a | 1,234 | 3.14 |\n"
            "| rtn | - | 4.00 |\n"
            "\nA note.  \n");
}

TEST(ReportTables, LetNoNameBecomeMarkupALinkOrAnotherLine) {
  ReportTable table = Sample();
  table.rows[0][0] = "<img src=x>|`a`[b](c)_d_ e_f $g$ ~~h~~ &amp;\n| i\r\x1b";
  const std::string text = RenderMarkdown(table);
  EXPECT_NE(text.find("| &lt;img src=x&gt;\\|\\`a\\`\\[b\\](c)\\_d\\_ e_f \\$g\\$ \\~\\~h\\~\\~ &amp;amp; \\| i   | 1,234 |"),
            std::string::npos)
      << text;
  // In text a name keeps to its line, too, and moves no cursor.
  EXPECT_NE(RenderText(table).find("&amp; | i  "), std::string::npos) << RenderText(table);
}

TEST(ReportDocument, LetsNoTextBeginAHeadingOrAList) {
  ReportDocument document;
  document.title = "<b>";
  document.sections = {{"s", {"# not a heading", "1. not a list"}, {"- not a list", "=="}, {}}};
  EXPECT_EQ(RenderMarkdown(document),
            "# &lt;b&gt;\n\n## s\n\n\\# not a heading\n\n1\\. not a list\n\n- \\- not a list\n- \\==\n");
}

TEST(ReportTables, KeepEveryDigitInCsv) {
  EXPECT_EQ(RenderCsv(Sample()), "trial,n,bits|weight\ngptq b=3 ±,1234,3.14159265358979\nrtn,,4\n");
}

TEST(ReportTables, GiveBoundsAndErrorsColumnsOfTheirOwnInCsv) {
  ReportTable table;
  table.header = {"name", "value", "delta"};
  table.rows = {{"A", Estimate(1.25, 0.5), Between(0.4273190, 2.07)}, {"b", Estimate(2, kUnset), Between(kUnset, kUnset)}};
  EXPECT_EQ(RenderCsv(table),
            "name,value,value standard error,delta low,delta high\nA,1.25,0.5,0.427319,2.07\nb,2,,,\n");
  EXPECT_THAT(RenderText(table), testing::HasSubstr("[0.4273, 2.07]"));
}

}  // namespace
}  // namespace bitlaw
