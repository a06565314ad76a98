#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "bitlaw/base/error.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

std::string FaultOf(const std::string& text) {
  try {
    return "accepted: " + ParseYaml(text, "x.yaml").Text();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSpec);
    return error.what();
  }
}

TEST(ParseYaml, ReadsScalarsByTheirSpelling) {
  EXPECT_EQ(ParseYaml("[1, -2, +3, 0, 1.5, .5, 2., 1e-3, 1E3, true, false, null, word, 1.2.3, 1-2, -, 3B]", "x").Text(),
            "[1, -2, 3, 0, 1.5, 0.5, 2.0, 0.001, 1000.0, true, false, null, 'word', '1.2.3', '1-2', '-', '3B']");
}

TEST(ParseYaml, TakesQuotedScalarsAsText) {
  EXPECT_EQ(ParseYaml("['1', \"yes\", '~', \"a\\tb\", '', '010']", "x").Text(), "['1', 'yes', '~', 'a\tb', '', '010']");
  EXPECT_EQ(ParseYaml("a: |\n  12\n", "x").Find("a")->AsString(), "12\n");
}

TEST(ParseYaml, ReadsNanAndInfinitiesAsReals) {
  const Value list = ParseYaml("[.nan, .inf, -.inf]", "x");
  EXPECT_TRUE(std::isnan(list.AsList()[0].AsReal()));
  EXPECT_EQ(list.AsList()[1].AsReal(), INFINITY);
  EXPECT_EQ(list.AsList()[2].AsReal(), -INFINITY);
}

TEST(ParseYaml, RefusesScalarsThatOtherReadersTakeDifferently) {
  EXPECT_EQ(FaultOf("a: 010"),
            "x.yaml:1:4: '010' is octal in some YAML readers and decimal in others. Write 10, or '010' in quotes for "
            "the text.");
  EXPECT_EQ(FaultOf("a: 1_000"),
            "x.yaml:1:4: '1_000' is a number in some YAML readers and text in others. Write 1000, or '1_000' in quotes "
            "for the text.");
  EXPECT_EQ(FaultOf("a: yes"),
            "x.yaml:1:4: 'yes' is true in some YAML readers and a word in others. Write true, or 'yes' in quotes for the "
            "text.");
  EXPECT_EQ(FaultOf("a: Off"),
            "x.yaml:1:4: 'Off' is false in some YAML readers and a word in others. Write false, or 'Off' in quotes for "
            "the text.");
  EXPECT_EQ(FaultOf("a:\n  - ~"),
            "x.yaml:2:5: '~' is null in some YAML readers and a word in others. Write null, or '~' in quotes for the "
            "text.");
  EXPECT_EQ(FaultOf("a: NULL"),
            "x.yaml:1:4: 'NULL' is null in some YAML readers and a word in others. Write null, or 'NULL' in quotes for "
            "the text.");
  EXPECT_EQ(FaultOf("a: 0x1F"),
            "x.yaml:1:4: '0x1F' is a number in some YAML readers and text in others. Write the number in decimal, or "
            "'0x1F' in quotes for the text.");
  EXPECT_EQ(FaultOf("a: 1:30"),
            "x.yaml:1:4: '1:30' is a number to base 60 in some YAML readers and text in others. Write '1:30' in quotes "
            "for the text.");
  EXPECT_EQ(FaultOf("yes: 1"), "x.yaml:1:1: the key 'yes' is a boolean in some YAML readers. Write it in quotes.");
}

TEST(ParseYaml, KeepsWordsThatOnlyLookUnusual) {
  EXPECT_EQ(ParseYaml("[_a_b, a_1, N, y, none, 'no', llama_3, 2026-11-22, C:/x, -x_1]", "x").Text(),
            "['_a_b', 'a_1', 'N', 'y', 'none', 'no', 'llama_3', '2026-11-22', 'C:/x', '-x_1']");
}

TEST(ParseYaml, RefusesNumbersThatDoNotFit) {
  EXPECT_EQ(FaultOf("a: 9223372036854775808"), "x.yaml:1:4: 9223372036854775808 does not fit a 64-bit integer.");
  EXPECT_EQ(FaultOf("a: 1e999"), "x.yaml:1:4: 1e999 is larger than any double.");
  EXPECT_EQ(ParseYaml("1e-999", "x").AsReal(), 0.0);
}

TEST(ParseYaml, RefusesDuplicateKeysAndReportsAllOfThem) {
  EXPECT_EQ(FaultOf("a: 1\nb: {c: 1, c: 2}\na: 3\n"),
            "x.yaml:2:11: the key 'c' is written twice, first at line 2.\n"
            "x.yaml:3:1: the key 'a' is written twice, first at line 1.");
}

TEST(ParseYaml, CountsLinesAndCharactersFromOne) {
  const Value value = ParseYaml("first: x\n\xC3\xA4\xC3\xB6: {k: [7]}\n", "x.yaml");
  const Value& inner = *value.Find("\xC3\xA4\xC3\xB6");
  EXPECT_EQ(inner.key_mark().Text(), "x.yaml:2:1");
  EXPECT_EQ(inner.mark().Text(), "x.yaml:2:5");
  EXPECT_EQ(inner.Find("k")->AsList()[0].mark().Text(), "x.yaml:2:10");
}

TEST(ParseYaml, ReadsWindowsFiles) {
  const Value value = ParseYaml("\xEF\xBB\xBF" "a: 1\r\nb:\r\n  - x\r\n", "x.yaml");
  EXPECT_EQ(value.Text(), "{a: 1, b: ['x']}");
  EXPECT_EQ(value.Find("b")->AsList()[0].mark().Text(), "x.yaml:3:5");
}

TEST(ParseYaml, RefusesOtherEncodingsAndControlCharacters) {
  EXPECT_EQ(FaultOf(std::string("\xFF\xFE" "a\0", 4)), "x.yaml:1:1: the file is UTF-16. Save it as UTF-8.");
  EXPECT_EQ(FaultOf("a: b\nc: \xE9t\xE9"), "x.yaml:2:4: the file is not UTF-8. Save it as UTF-8.");
  EXPECT_EQ(FaultOf("a: 1\n\x04" "b: 2"), "x.yaml:2:1: the control character 0x04 is not allowed in YAML.");
  EXPECT_EQ(FaultOf(std::string("a: \0", 4)), "x.yaml:1:4: the control character 0x00 is not allowed in YAML.");
}

TEST(ParseYaml, RefusesSeveralDocuments) {
  EXPECT_EQ(FaultOf("---\na: 1\n---\nb: 2\n"),
            "x.yaml:3:1: a second YAML document begins. A file holds one; remove the '---' line or split the file.");
  EXPECT_EQ(ParseYaml("---\na: 1\n...\n", "x").Text(), "{a: 1}");
}

TEST(ParseYaml, SaysWhereASyntaxErrorIs) {
  EXPECT_EQ(FaultOf("a: [1, 2\nb: 3\n"), "x.yaml:2:2: not YAML: end of sequence flow not found.");
  EXPECT_EQ(FaultOf("a: 1\n\tb: 2\n"), "x.yaml:2:1: not YAML: illegal tab when looking for indentation. A tab indents the line; YAML wants spaces.");
  EXPECT_EQ(FaultOf("a: *nowhere"), "x.yaml:1:4: not YAML: the referenced anchor is not defined.");
  EXPECT_EQ(FaultOf("a: b: c"), "x.yaml:1:5: not YAML: illegal map value.");
}

TEST(ParseYaml, ResolvesAliasesAndKeepsTheMarkOfTheDefinition) {
  const Value value = ParseYaml("a: &g [32, 64]\nb: *g\n", "x.yaml");
  EXPECT_EQ(value.Text(), "{a: [32, 64], b: [32, 64]}");
  EXPECT_EQ(value.Find("b")->AsList()[0].mark().Text(), "x.yaml:1:8");
  EXPECT_EQ(value.Find("b")->key_mark().Text(), "x.yaml:2:1");
}

TEST(ParseYaml, RefusesAliasesThatMultiplyOrContainThemselves) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    const std::string ref = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + ref;
    for (int j = 1; j < 10; ++j) bomb += ", " + ref;
    bomb += "]\n";
  }
  EXPECT_THAT(FaultOf(bomb), ::testing::EndsWith(
                                 ": the file stands for more than 1000000 values. Aliases multiply; use fewer."));
  EXPECT_EQ(FaultOf("a: &x [1, *x]"), "x.yaml:1:11: an alias stands inside the value that it refers to.");
}

TEST(ParseYaml, RefusesWhatSpecsDoNotUse) {
  EXPECT_EQ(FaultOf("a: !!int 3"),
            "x.yaml:1:4: the tag 'tag:yaml.org,2002:int' is not understood here. Remove it; quotes make a value text.");
  EXPECT_EQ(FaultOf("b: &b {c: 1}\na:\n  <<: *b\n"),
            "x.yaml:3:3: merge keys ('<<') are not part of YAML 1.2. Write the keys out, or use 'include' in a task or "
            "law file.");
  EXPECT_EQ(FaultOf("? [a, b]\n: 1"), "x.yaml:1:3: a list or map stands where a key is expected. Keys are plain words.");
}

TEST(ParseYaml, BoundsDepthAndSize) {
  EXPECT_THAT(FaultOf("a: " + std::string(200, '[') + std::string(200, ']')), ::testing::HasSubstr("nested deeper than 100 levels."));
  EXPECT_EQ(FaultOf(std::string((16 << 20) + 1, ' ')), "x.yaml: the file has 16777217 bytes. The limit is 16777216.");
}

TEST(ParseYaml, ReadsAnEmptyFileAsNull) {
  EXPECT_TRUE(ParseYaml("# nothing\n", "x.yaml").is_null());
  EXPECT_EQ(ParseYaml("", "x.yaml").mark().Text(), "x.yaml:1:1");
}

TEST(ReadYamlFile, SaysWhyAFileCannotBeRead) {
  try {
    ReadYamlFile("/no/such.yaml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_THAT(error.what(), ::testing::StartsWith("/no/such.yaml: there is no such file or folder. The folder / has "));
  }
  EXPECT_THROW(ReadYamlFile("/dev/zero"), Error);
  EXPECT_THROW(ReadYamlFile("/"), Error);
}

TEST(ParseYaml, TellsATabThatIndents) {
  EXPECT_EQ(FaultOf("a:\n  \t- b\n"), "x.yaml:2:4: not YAML: illegal block entry. A tab indents the line; YAML wants spaces.");
  EXPECT_EQ(FaultOf("a: [1, 2\nb: \"\t\"\n").find("tab"), std::string::npos);
}

TEST(ParseYaml, WantsAValueBehindEveryKeyAndDash) {
  const auto fault = [](const std::string& text) { return FaultOf(text); };
  const std::string missing = "the key 'limit' has no value. Write one, or remove the key.";
  EXPECT_EQ(fault("a: 1\nlimit:\n"), "x.yaml:2:1: " + missing);
  EXPECT_EQ(fault("a: 1\nlimit:"), "x.yaml:2:1: " + missing);
  EXPECT_EQ(fault("limit:  # later\na: 1\n"), "x.yaml:1:1: " + missing);
  EXPECT_EQ(fault("limit:\nnull_mode: 1\n"), "x.yaml:1:1: " + missing);
  EXPECT_EQ(fault("a: {limit: }\n"), "x.yaml:1:5: " + missing);
  EXPECT_EQ(fault("a: {limit: , b: 1}\n"), "x.yaml:1:5: " + missing);
  EXPECT_EQ(fault("a: {limit}\n"), "x.yaml:1:5: " + missing);
  EXPECT_EQ(fault("{\"limit\": }"), "x.yaml:1:2: " + missing);
  EXPECT_EQ(fault("a:\n  b: 1\n  limit:\nc: 2\n"), "x.yaml:3:3: " + missing);
  EXPECT_EQ(fault("limit: &x\na: 1\n"), "x.yaml:1:1: " + missing);
  EXPECT_EQ(fault("- 1\n-\n- 2\n"), "x.yaml:3:1: an entry of the list is empty. Write a value, or remove it.");
  EXPECT_EQ(fault("a: [1, , 2]\n"), "x.yaml:1:8: an entry of the list is empty. Write a value, or remove it.");
  EXPECT_EQ(ParseYaml("{a: null, b: \"\", c: '', d: [null]}", "x").Text(), "{a: null, b: '', c: '', d: [null]}");
}

TEST(ParseYaml, ReadsTheEscapesThatJsonWrites) {
  EXPECT_EQ(ParseYaml("\"\\ud83d\\ude00 \\uD83D\\uDE00\"", "x").AsString(), "\U0001F600 \U0001F600");
  EXPECT_EQ(ParseYaml("{\"\\ud83d\\ude00\": [\"a\\ud834\\udd1eb\", \"\\u00e9\\/\\t\"]}", "x").Text(),
            "{\U0001F600: ['a\U0001D11E" "b', '\u00e9/\t']}");
  // Not escapes: after a doubled backslash, and in texts that are not in double quotes.
  EXPECT_EQ(ParseYaml("\"\\\\ud83d\\\\ude00\"", "x").AsString(), "\\ud83d\\ude00");
  EXPECT_EQ(ParseYaml("'\\uD83d\\udE0a'", "x").AsString(), "\\uD83d\\udE0a");
  EXPECT_EQ(ParseYaml("a \\ud83d\\ude00 b", "x").AsString(), "a \\ud83d\\ude00 b");
  EXPECT_EQ(ParseYaml("# \\ud83d\\ude00\n|\n  \\ud83D\\ude00\n", "x").AsString(), "\\ud83D\\ude00\n");
  // What follows a pair keeps its place.
  EXPECT_EQ(ParseYaml("[\"\\ud83d\\ude00\", 7]", "x").AsList()[1].mark().column, 18);
}

TEST(ParseYaml, RefusesHalvesOfPairs) {
  const auto fault = [](const std::string& text) { return FaultOf(text); };
  const std::string rest = "not YAML: the escape before this place is no character: half of a surrogate pair, or a number "
                           "above 10FFFF. Write both halves, as in \"\\ud83d\\ude00\", or the character itself.";
  EXPECT_EQ(fault("a: \"\\ud83d\"\n"), "x.yaml:1:11: " + rest);
  EXPECT_EQ(fault("a: \"\\ude00\\ud83d\"\n"), "x.yaml:1:11: " + rest);
  EXPECT_EQ(fault("a: \"\\ud83d \\ude00\"\n"), "x.yaml:1:11: " + rest);
  EXPECT_EQ(fault("a: \"\\U00110000\"\n"), "x.yaml:1:15: " + rest);
}

TEST(ParseYaml, StopsAtTextThatAliasesMultiply) {
  std::string text = "a: &a " + std::string(1 << 20, 'x') + "\nb: [";
  for (int i = 0; i < 20000; ++i) text += "*a, ";
  EXPECT_THAT(FaultOf(text + "1]\n"),
              ::testing::EndsWith("the file stands for more than 67108864 bytes of text. Aliases multiply; use fewer."));
  std::string laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 1; j < 10; ++j) laughs += ", " + before;
    laughs += "]\n";
  }
  EXPECT_EQ(FaultOf(laughs),
            "x.yaml:6:45: the file stands for more than 1000000 values. Aliases multiply; use fewer.");
}

TEST(ParseYaml, StopsAtNestingBeforeTheStackEnds) {
  for (const char* piece : {"[", "{a: ", "- ", "? ", "{[", "&a [", "\"a\": {"}) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += piece;
    EXPECT_THAT(FaultOf(text), ::testing::Not(::testing::StartsWith("accepted"))) << piece;
  }
}

}  // namespace
}  // namespace bitlaw
