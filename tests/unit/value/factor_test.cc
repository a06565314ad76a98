#include "bitlaw/api/factor.h"

#include <gtest/gtest.h>

#include <limits>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

TEST(FactorRole, IsWrittenAndReadByTheSameWord) {
  for (const char* word : {"scale", "precision", "granularity", "calibration", "other"}) {
    EXPECT_EQ(Name(ParseFactorRole(word)), word);
  }
  try {
    ParseFactorRole("size");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "'size' is not the role of a factor. Use scale, precision, granularity, calibration or other.");
  }
}

TEST(Factor, IsAColumnWithAValueThatACellHolds) {
  EXPECT_EQ(ExplainFactor({.column = "B_a", .role = FactorRole::kPrecision, .value = 8, .anchor = 16}), "");
  EXPECT_EQ(ExplainFactor({.column = "D", .value = 36e12}), "");
  EXPECT_EQ(ExplainFactor({.column = "rotation", .value = "hadamard"}), "");
  EXPECT_EQ(ExplainFactor({.column = "folded", .value = true}), "");
  EXPECT_EQ(ExplainFactor({.column = "steps"}), "");
}

TEST(Factor, OfAnotherNameOrValueIsNamed) {
  EXPECT_EQ(ExplainFactor({.column = "", .value = 1}),
            "'' is not the name of a column: a letter, then letters, digits and _");
  EXPECT_EQ(ExplainFactor({.column = "2nd", .value = 1}),
            "'2nd' is not the name of a column: a letter, then letters, digits and _");
  EXPECT_EQ(ExplainFactor({.column = "group-size", .value = 1}),
            "'group-size' is not the name of a column: a letter, then letters, digits and _");
  EXPECT_EQ(ExplainFactor({.column = "G", .value = Value::List{1}}),
            "the value of 'G' is a list. It must be a number, a text, true, false or null");
  EXPECT_EQ(ExplainFactor({.column = "G", .value = 1, .anchor = std::numeric_limits<double>::infinity()}),
            "the anchor of 'G' is not a finite number. It must be a number, a text, true, false or null");
}

}  // namespace
}  // namespace bitlaw
