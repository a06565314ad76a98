#include "bitlaw/sdk/data/data_rows.h"

#include "task_test_support.h"

namespace bitlaw {
namespace {

using testing::ErrorOf;
class DataRows : public testing::TaskFiles {};

TEST_F(DataRows, ReadCsvWithQuotesAndNumbers) {
  const std::string path = Write("a.csv",
                                 "\xEF\xBB\xBFquestion,a,answer\r\n"
                                 "\"Who, \"\"then\"\"?\nSay.\",007,1\r\n"
                                 "\r\n"
                                 ",\"\",-2\n");
  const auto rows = ReadRows(path);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].Find("question")->AsString(), "Who, \"then\"?\nSay.");
  EXPECT_EQ(rows[0].Find("a")->AsString(), "007");
  EXPECT_EQ(rows[0].Find("answer")->AsInt(), 1);
  EXPECT_EQ(rows[0].mark().Text(), path + ":2:1");
  EXPECT_EQ(rows[1].Find("question")->AsString(), "");
  EXPECT_EQ(rows[1].Find("answer")->AsInt(), -2);
  EXPECT_EQ(rows[1].mark().Text(), path + ":5:1");
}

TEST_F(DataRows, ReadTsvAsItStands) {
  const auto rows = ReadRows(Write("a.tsv", "q\ta\n\"x\", y\t\n"));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].Find("q")->AsString(), "\"x\", y");
  EXPECT_EQ(rows[0].Find("a")->AsString(), "");
}

TEST_F(DataRows, SkipEmptyLinesButNotEmptyFields) {
  EXPECT_EQ(ReadRows(Write("a.csv", "q\n\n\"\"\nx\n")).size(), 2u);
}

TEST_F(DataRows, CallColumnsWithoutANameByTheirPlace) {
  const auto rows = ReadRows(Write("pandas.csv", ",q,a,\n0,x,1\n1,y,2,\n"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].Find("column 1")->AsInt(), 1);
  EXPECT_EQ(rows[1].Find("a")->AsInt(), 2);
}

TEST_F(DataRows, AreJsonLinesOtherwise) {
  EXPECT_EQ(ReadRows(Write("a.jsonl", "{\"q\": 3}\n")).at(0).Find("q")->AsInt(), 3);
}

TEST_F(DataRows, OfAJsonFileAreItsListOrItsLines) {
  const std::string path = Write("list.json", " [{\"q\": 3},\n {\"q\": [null, 18446744073709551616]}]\n");
  const auto rows = ReadRows(path);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].Find("q")->AsInt(), 3);
  EXPECT_EQ(rows[1].CanonicalJson(), "{\"q\":[null,\"18446744073709551616\"]}");
  EXPECT_EQ(rows[1].mark().Text(), path + ":2:1");
  EXPECT_EQ(ReadRows(Write("lines.json", "{\"q\": 3}\n{\"q\": 4}\n")).size(), 2u);
  const std::string bad = Write("bad.json", "[{}, 7]");
  EXPECT_EQ(ErrorOf([&] { ReadRows(bad); }),
            bad + ":2: the entry of the list is an integer. Each entry is a JSON object: {\"field\": value, ...}.");
}

TEST_F(DataRows, OfAGzFileAreThoseOfWhatItHolds) {
  // gzip.compress(b'{"q": 3}\n', mtime=0) of Python, twice: two members.
  const std::string member(
      "\037\213\010\000\000\000\000\000\002\003\253\126\052\124\262"
      "\122\060\256\345\002\000\132\351\035\070\011\000\000\000", 29);
  const auto rows = ReadRows(Write("two.jsonl.gz", member + member));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].Find("q")->AsInt(), 3);
  const std::string cut = Write("cut.csv.gz", member.substr(0, 20));
  EXPECT_EQ(ErrorOf([&] { ReadRows(cut); }), cut + ": the gzip data end too early. The file is cut off.");
  const std::string none = Write("none.json.gz", "{\"q\": 3}\n");
  EXPECT_EQ(ErrorOf([&] { ReadRows(none); }), none + ": the bytes from 2 on are not gzip (incorrect header check).");
}

TEST_F(DataRows, PointToTheBadLine) {
  const auto error = [&](const std::string& text, const std::string& name = "bad.csv") {
    const std::string path = Write(name, text);
    return ErrorOf([&] { ReadRows(path); }).substr(path.size());
  };
  EXPECT_EQ(error("a\tb\n\n1\t2\t3\n", "bad.tsv"), ":3:1: the row has 3 fields, the header has 2.");
  EXPECT_EQ(error("a,b\n1,2\n3\n"), ":3:1: the row has 1 field, the header has 2.");
  EXPECT_EQ(error("a,b\n1,\"2\n"), ":2:3: a quoted field that is not closed.");
  EXPECT_EQ(error("a,b\n1,x\"2\n"), ":2:4: a quote inside an unquoted field. Quote the whole field and double the quote.");
  EXPECT_EQ(error("a,b\n\"1\"x,2\n"), ":2:4: text after the closing quote of a field. Double quotes that are part of it.");
  EXPECT_EQ(error(",\n1,2\n"), ":1:1: no column of the header has a name. A header line is needed.");
}

}  // namespace
}  // namespace bitlaw
