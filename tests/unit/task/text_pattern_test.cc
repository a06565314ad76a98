#include "bitlaw/sdk/text/text_pattern.h"

#include <gmock/gmock.h>

#include "task_test_support.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using testing::ErrorOf;

TextPattern Pattern(std::string_view text) { return TextPattern(text, SourceMark{"task.yaml", 3, 7}); }

// Expected values are those of Python 3.11's re module.
TEST(TextPattern, FindsWholeMatchesOrTheirGroups) {
  EXPECT_THAT(Pattern("[0-9]+").FindAll("a 12, b 345"), ElementsAre(ElementsAre("12"), ElementsAre("345")));
  EXPECT_THAT(Pattern("(-?[$0-9.,]{2,})|(-?[0-9]+)").FindAll("$18 and -7"),
              ElementsAre(ElementsAre("$18", ""), ElementsAre("", "-7")));
  EXPECT_TRUE(Pattern("x").FindAll("abc").empty());
}

TEST(TextPattern, TakesAnEmptyMatchOnceAtEachPlace) {
  EXPECT_THAT(Pattern("x*").FindAll("axxé"),
              ElementsAre(ElementsAre(""), ElementsAre("xx"), ElementsAre(""), ElementsAre("")));
  EXPECT_EQ(Pattern("x*").RemoveFrom("axxéx"), "aé");
}

TEST(TextPattern, KnowsAllOfUnicode) {
  EXPECT_THAT(Pattern("\\w+").FindAll("naïve 東京"), ElementsAre(ElementsAre("naïve"), ElementsAre("東京")));
}

TEST(TextPattern, RemovesWhatItFinds) {
  EXPECT_EQ(Pattern("(?s).*#### ").RemoveFrom("two\nlines\n#### 1,200"), "1,200");
  EXPECT_EQ(Pattern("\\.$").RemoveFrom("3.5."), "3.5");
}

TEST(TextPattern, StepsOverBytesThatAreNoText) {
  EXPECT_THAT(Pattern("[0-9]+").FindAll("1 \xE2\x82 2"), ElementsAre(ElementsAre("1"), ElementsAre("2")));
}

TEST(TextPattern, MeansWhatPythonMeans) {
  const auto all = [](const char* pattern, std::string_view text) {
    std::string found;
    for (const auto& match : Pattern(pattern).FindAll(text)) {
      for (const std::string& group : match) found += "<" + group + ">";
    }
    return found;
  };
  EXPECT_EQ(all("(\\d{,3})%", "42%"), "<42>");
  EXPECT_EQ(all("x{,}y{a}", "xxy{a}"), "<xxy{a}>");
  EXPECT_EQ(all("(\\w+)\\Z", "yes\n"), "");
  EXPECT_EQ(all("(\\w+)$", "yes\n"), "<yes>");
  EXPECT_EQ(all("(?m)^a", "a\nb\na\n"), "<a><a>");
  EXPECT_EQ(all("(?m)^", "a\n"), "<><>");
  EXPECT_EQ(all("([\\u4e00-\\u9fff]+)", "x中文"), "<中文>");
  EXPECT_EQ(all("\\U0001F600|\\x41|\\101|\\0", std::string_view("A\0😀A", 7)), std::string("<A><\0><😀><A>", 15));
  EXPECT_EQ(all("a\\vb", "a\nb a\vb"), "<a\vb>") << "\\v is the vertical tab alone";
  EXPECT_EQ(all("\\s+", "a\x1C" "b\xE1\xA0\x8E"), "<\x1C>") << "as str.isspace(), and U+180E is none";
  EXPECT_EQ(all("(?i)i+", "iI\xC4\xB0\xC4\xB1"), "<iI\xC4\xB0\xC4\xB1>") << "both letters of Turkish";
  EXPECT_EQ(all("[\\W\\d]+", "a1-b_"), "<1->");
  EXPECT_EQ(all("[^\\W_]+", "a1-b_"), "<a1><b>");
  EXPECT_EQ(all("\\B", ""), "");
  EXPECT_EQ(all(R"(\\boxed\{((?:[^{}]|\{(?1)\})*)\})", R"(\boxed{a{b{c}}d} \boxed{e})"), "<a{b{c}}d><e>");
  EXPECT_EQ(all("(?x) a b # c\n c", "abc"), "<abc>");
}

TEST(TextPattern, SaysWhereItIsMalformed) {
  const auto fault = [](const std::string& pattern) {
    const std::string text = ErrorOf([&] { Pattern(pattern); });
    const std::string lead = "task.yaml:3:7: pattern '" + pattern + "' at character ";
    return text.starts_with(lead) ? text.substr(lead.size()) : text;
  };
  EXPECT_EQ(fault("a(b"), "2: the parenthesis is not closed.");
  EXPECT_EQ(fault("a\\z"), "2: '\\z' is no escape of Python's re. Write \\Z for the end of the text.");
  EXPECT_EQ(fault("\\h+"), "1: '\\h' is no escape of Python's re. Write [ \\t] for blanks.");
  EXPECT_EQ(fault("\\R"), "1: '\\R' is no escape of Python's re. Write (?:\\r\\n|\\n|\\r) for a line end.");
  EXPECT_EQ(fault("a\\Kb"), "2: '\\K' is no escape of Python's re. Put the part that is kept in a group: (...).");
  EXPECT_EQ(fault("\\p{L}"), "1: '\\p' is no escape of Python's re. Write [^\\W\\d_] for letters, \\w for letters, digits and "
                             "_, or the characters.");
  EXPECT_EQ(fault("[[:alpha:]]"), "2: '[:alpha:]' is not a class in Python's re. Write \\d, \\s, \\w, [^\\W\\d_] for letters, "
                                  "or the characters.");
  EXPECT_EQ(fault("\\x{41}"), "1: \\x{...} is not part of Python's re. Write \\x41, \\u0041 or \\U00000041: two, four or "
                              "eight digits.");
  EXPECT_EQ(fault("\\ud83d\\ude00"), "1: '\\ud83d' is half of a surrogate pair, which no text holds. Write the character "
                                     "itself, or \\U with eight digits: \\U0001F600.");
  EXPECT_EQ(fault("a(?i)b"), "2: flags of the whole pattern stand at its beginning. Write (?i:...) for a part.");
  EXPECT_EQ(fault("(?<n>a)"), "1: '(?<n' is not part of Python's re. Named groups are (?P<name>...), and a look-behind is "
                              "(?<=...) or (?<!...).");
  EXPECT_EQ(fault("(?R)"), "1: '(?R' is not part of Python's re. Write (?1) to call group 1.");
  EXPECT_EQ(fault("(?|a|b)"), "1: '(?|' is not part of Python's re. Number the groups one by one.");
  EXPECT_EQ(fault("(?P>n)"), "1: '(?P>' is not part of Python's re. Named groups are (?P<name>...).");
  EXPECT_EQ(fault("(?<=a+)b"), "1: a look-behind has one length, and this one takes from 1 to any number of characters.");
  EXPECT_EQ(fault("a**"), "3: '*' repeats what is repeated already. Put the repeated part in (?:...).");
  EXPECT_EQ(fault("*a"), "1: '*' has nothing to repeat. Write \\* for the character.");
  EXPECT_EQ(fault("[b-a]"), "2: 'b-a' is no range: it needs two characters in their order. Put a '-' that is meant as a "
                            "character last.");
  EXPECT_EQ(fault("a{70000}"), "2: the count 70000 is above 65535. Repeat a group that repeats.");
  EXPECT_EQ(fault("\\1(a)"), "1: there is no group 1 before this place.");
  EXPECT_EQ(fault("(*UTF)a"), "2: '*' has nothing to repeat. Write \\* for the character.");
  EXPECT_EQ(fault(std::string(200, '(')), "102: groups are nested deeper than 100. Write a flatter pattern.");
}

TEST(TextPattern, WhatCouldEndBeforeItBeginsIsRefused) {
  const std::string advice = " at character 4: '(?&' is not part of Python's re. Write (?1) to call group 1.";
  EXPECT_EQ(ErrorOf([] { Pattern("(?=(?&k))(?(DEFINE)(?<k>..\\K))"); }),
            "task.yaml:3:7: pattern '(?=(?&k))(?(DEFINE)(?<k>..\\K))'" + advice);
  EXPECT_EQ(ErrorOf([] { Pattern("(?=(?1))(..\\K)"); }),
            "task.yaml:3:7: pattern '(?=(?1))(..\\K)' at character 12: '\\K' is no escape of Python's re. Put the part that is "
            "kept in a group: (...).");
}

TEST(TextPattern, GivesUpOnATextThatTakesTooManySteps) {
  EXPECT_EQ(ErrorOf([] { Pattern("(a+)+$").FindAll(std::string(64, 'a') + "b"); }),
            "task.yaml:3:7: pattern '(a+)+$' gave up on a text of 65 bytes: match limit exceeded. Write a simpler "
            "pattern.");
}

// PCRE2 counts its steps anew for each place of a text: 20,000 places of 10 million would take hours.
TEST(TextPattern, GivesUpOnALongTextAfterAsManyStepsAsOnAShortOne) {
  EXPECT_EQ(ErrorOf([] { Pattern("(?:a|a)+\\d").FindAll(std::string(20'000, 'a') + "b1"); }),
            "task.yaml:3:7: pattern '(?:a|a)+\\d' gave up on a text of 20002 bytes: match limit exceeded. Write a simpler "
            "pattern.");
  // 2^17 steps and more from one place: room in a short text, none where 20,000 places may take as many.
  const std::string end = std::string(17, 'a') + "b";
  EXPECT_EQ(Pattern("(?:a|a){17}\\d").FindAll(end).size(), 0u);
  EXPECT_EQ(ErrorOf([&] { Pattern("(?:a|a){17}\\d").FindAll(std::string(20'000, 'b') + end); }),
            "task.yaml:3:7: pattern '(?:a|a){17}\\d' gave up on a text of 20018 bytes: match limit exceeded. Write a simpler "
            "pattern.");
  // What crosses the text once is no such pattern.
  EXPECT_EQ(Pattern("(?s)^(.*)x").FindAll("x" + std::string(400'000, 'a')).size(), 1u);
}

// Whether a text is UTF-8 is looked at once, not once a match: 400,000 matches would read 80 GB.
TEST(TextPattern, FindsManyMatchesInALongText) {
  EXPECT_EQ(Pattern("").FindAll(std::string(400'000, 'a')).size(), 400'001u);
  EXPECT_EQ(Pattern("").RemoveFrom(std::string(400'000, 'a')).size(), 400'000u);
  EXPECT_EQ(ErrorOf([] { Pattern("").FindAll(std::string(400'000, 'a') + "\xE2"); }),
            "task.yaml:3:7: pattern '' gave up on a text of 400001 bytes: it matches too often in a text that is not UTF-8. "
            "Write a simpler pattern.");
}

TEST(TextPattern, FindsTheFirstOrTheLastMatchAlone) {
  using Which = TextPattern::Which;
  EXPECT_EQ(Pattern("([a-z])([0-9])").FindOne("a1 b2 c3", Which::kFirst), (std::vector<std::string>{"a", "1"}));
  EXPECT_EQ(Pattern("([a-z])([0-9])?").FindOne("a1 b2 c", Which::kLast), (std::vector<std::string>{"c", ""}));
  EXPECT_EQ(Pattern("[0-9]").FindOne("a1 b2", Which::kLast), (std::vector<std::string>{"2"}));
  EXPECT_EQ(Pattern("x").FindOne("a1", Which::kLast), std::nullopt);
}

TEST(TextPattern, HasAtMostAHundredGroups) {
  const auto groups = [](int count) {
    std::string pattern = "a";
    for (int i = 0; i < count; ++i) pattern += "()";
    return pattern;
  };
  EXPECT_EQ(Pattern(groups(100)).FindOne(std::string(20'000, 'a'), TextPattern::Which::kLast)->size(), 100u);
  EXPECT_EQ(ErrorOf([&] { Pattern(groups(101)); }),
            "task.yaml:3:7: a pattern has 101 groups. At most 100 are kept. Write (?:...) where the text is not needed.");
}

TEST(TextPattern, TakesATextWithoutBytesAndOneWithZeroBytes) {
  EXPECT_THAT(Pattern("x*").FindAll({}), ElementsAre(ElementsAre("")));
  EXPECT_THAT(Pattern("x").FindAll(std::string_view("a\0x", 3)), ElementsAre(ElementsAre("x")));
}

}  // namespace
}  // namespace bitlaw
