#include "bitlaw/sdk/text_pattern.h"

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

TEST(TextPattern, SaysWhereItIsMalformed) {
  EXPECT_EQ(ErrorOf([] { Pattern("a(b"); }),
            "task.yaml:3:7: pattern 'a(b' is malformed at character 4: missing closing parenthesis.");
}

TEST(TextPattern, AMatchThatEndsBeforeItBeginsIsRefusedInsteadOfGoingRoundInCircles) {
  const auto refused = [](const std::string& pattern, const std::string& text) {
    const std::string found = ErrorOf([&] { Pattern(pattern).FindAll(text); });
    EXPECT_EQ(ErrorOf([&] { Pattern(pattern).RemoveFrom(text); }), found);
    return found;
  };
  const std::string advice = ". '\\K' in a lookaround is not supported. Write it without.";
  EXPECT_EQ(refused("(?=(?&k))(?(DEFINE)(?<k>..\\K))", "abcd"),
            "task.yaml:3:7: pattern '(?=(?&k))(?(DEFINE)(?<k>..\\K))' matches from byte 2 to 0 in a search from byte 0" +
                advice);
  EXPECT_EQ(refused("b(?<=(?&k))(?(DEFINE)(?<k>\\Kab))|a", "abcd"),
            "task.yaml:3:7: pattern 'b(?<=(?&k))(?(DEFINE)(?<k>\\Kab))|a' matches from byte 0 to 2 in a search from "
            "byte 1" +
                advice);
}

TEST(TextPattern, GivesUpOnATextThatTakesTooManySteps) {
  EXPECT_EQ(ErrorOf([] { Pattern("(a+)+$").FindAll(std::string(64, 'a') + "b"); }),
            "task.yaml:3:7: pattern '(a+)+$' gave up on a text of 65 bytes: match limit exceeded. Write a simpler "
            "pattern.");
}

TEST(TextPattern, TakesATextWithoutBytesAndOneWithZeroBytes) {
  EXPECT_THAT(Pattern("x*").FindAll({}), ElementsAre(ElementsAre("")));
  EXPECT_THAT(Pattern("x").FindAll(std::string_view("a\0x", 3)), ElementsAre(ElementsAre("x")));
}

}  // namespace
}  // namespace bitlaw
