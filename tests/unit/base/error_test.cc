#include "bitlaw/base/error.h"

#include <gtest/gtest.h>

namespace bitlaw {
namespace {

TEST(ClosestName, ForgivesAThirdOfTheLettersAndCase) {
  const std::vector<std::string> known = {"bits", "group_size", "damp"};
  EXPECT_EQ(ClosestName("bit", known), "bits");
  EXPECT_EQ(ClosestName("BITS", known), "bits");
  EXPECT_EQ(ClosestName("groupsize", known), "group_size");
  EXPECT_EQ(ClosestName("gruop_size", known), "group_size");  // A swap of neighbours counts as one edit.
  EXPECT_EQ(ClosestName("grpsiz", known), "");                // Four edits of six letters.
  EXPECT_EQ(ClosestName("xyz", known), "");
  EXPECT_EQ(ClosestName("bits", {}), "");
}

TEST(ClosestName, TakesTheFirstOfEquals) { EXPECT_EQ(ClosestName("cat", {"bat", "hat"}), "bat"); }

// One edit makes any letter of any other: N for B would be no help.
TEST(ClosestName, TakesALetterForItselfAlone) {
  const std::vector<std::string> known = {"N", "B", "G", "Cb"};
  EXPECT_EQ(ClosestName("D", known), "");
  EXPECT_EQ(ClosestName("n", known), "N");
  EXPECT_EQ(ClosestName("Cd", known), "Cb");
  EXPECT_EQ(ClosestName("Nn", known), "N");
  EXPECT_EQ(ClosestName("Xb", {"B"}), "");
  EXPECT_EQ(ClosestName("xy", {"Cb"}), "");
}

TEST(DidYouMean, IsASentenceToAppendOrNothing) {
  EXPECT_EQ(DidYouMean("bit", {"bits"}), " Did you mean 'bits'?");
  EXPECT_EQ(DidYouMean("xyz", {"bits"}), "");
}

TEST(JoinNames, SaysSoWhenThereAreNone) {
  EXPECT_EQ(JoinNames({"a", "b"}), "a, b");
  EXPECT_EQ(JoinNames({}), "(none)");
}

TEST(Error, KeepsKindAndText) {
  const Error error(ErrorKind::kBudget, "grid.yaml:3:1: too large.");
  EXPECT_EQ(error.kind(), ErrorKind::kBudget);
  EXPECT_STREQ(error.what(), "grid.yaml:3:1: too large.");
  EXPECT_EQ(Name(ErrorKind::kNumerical), "numerical");
}

}  // namespace
}  // namespace bitlaw
