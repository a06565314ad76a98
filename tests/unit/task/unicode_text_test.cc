#include "bitlaw/sdk/text/unicode_text.h"

#include <gtest/gtest.h>

namespace bitlaw {
namespace {

TEST(UnicodeText, CountsCharactersNotBytes) {
  EXPECT_EQ(CountCharacters("naïve"), 5);
  EXPECT_EQ(CountCharacters("日本"), 2);
  EXPECT_EQ(CountCharacters("😀"), 1);
  EXPECT_EQ(CountCharacters("a\xFF\xC3"), 3);  // Two bytes that are no characters.
}

TEST(UnicodeText, TrimsWhatPythonCallsWhiteSpace) {
  EXPECT_EQ(Trim(" \t\n\v\f\r\x1C\x1F" "a b\xC2\x85\xC2\xA0\xE3\x80\x80\xE2\x80\xA8"), "a b");
  EXPECT_EQ(TrimLeft("  a "), "a ");
  EXPECT_EQ(TrimRight("  a "), "  a");
  EXPECT_EQ(Trim("\xE2\x80\x8B" "a"), "\xE2\x80\x8B" "a");  // A zero-width space is none for Python.
  EXPECT_EQ(Trim(" \n "), "");
}

TEST(UnicodeText, CountsWordsAsASplitByWhiteSpaceDoes) {
  EXPECT_EQ(CountSplitWords("a b"), 2);
  EXPECT_EQ(CountSplitWords(" a  b\n"), 4);  // Empty pieces at both ends.
  EXPECT_EQ(CountSplitWords(""), 1);
}

TEST(UnicodeText, ChangesCaseBeyondAscii) {
  EXPECT_EQ(ToLower("ÀÉΣ Я"), "àéσ я");
  EXPECT_EQ(ToUpper("straße é"), "STRAßE É");  // One character to one.
  EXPECT_EQ(Capitalize("éCOLE Alpha"), "École alpha");
}

TEST(UnicodeText, CollapsesWhiteSpace) { EXPECT_EQ(CollapseSpace("  a \t b\n"), "a b"); }

TEST(UnicodeText, FindsTheFirstInvalidByte) {
  EXPECT_EQ(FindInvalidUtf8("héllo"), std::string_view::npos);
  EXPECT_EQ(FindInvalidUtf8("ab\xC0\x80"), 2u);          // Overlong.
  EXPECT_EQ(FindInvalidUtf8("a\xED\xA0\x80"), 1u);       // Surrogate.
  EXPECT_EQ(FindInvalidUtf8("\xF4\x90\x80\x80"), 0u);    // Above U+10FFFF.
  EXPECT_EQ(FindInvalidUtf8("ab\xE2\x82"), 2u);          // Cut off.
}

TEST(UnicodeText, ReplacesWithoutLookingAtWhatItWrote) {
  EXPECT_EQ(ReplaceAll("aaa", "a", "aa"), "aaaaaa");
  EXPECT_EQ(ReplaceAll("aaa", "aa", "b"), "ba");
  EXPECT_EQ(ReplaceAll("abc", "", "x"), "abc");
}

TEST(UnicodeText, KnowsWordCharacters) {
  EXPECT_TRUE(ClassifyCharacter("é", 0).is_word);
  EXPECT_EQ(ClassifyCharacter("é", 0).size_bytes, 2u);
  EXPECT_FALSE(ClassifyCharacter("\xE2\x80\x9C", 0).is_word);  // A quotation mark.
  EXPECT_TRUE(ClassifyCharacter("\xC2\xA0", 0).is_space);
}

}  // namespace
}  // namespace bitlaw
