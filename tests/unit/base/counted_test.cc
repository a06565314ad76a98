#include "base/text/counted.h"

#include <gtest/gtest.h>

namespace bitlaw {
namespace {

TEST(Counted, HasNoPluralOfOne) {
  EXPECT_EQ(Counted(0, "trial") + ", " + Counted(1, "trial") + ", " + Counted(2, "trial"), "0 trials, 1 trial, 2 trials");
  EXPECT_EQ(Counted(1, "row is", "rows are") + ", " + Counted(3, "row is", "rows are"), "1 row is, 3 rows are");
}

}  // namespace
}  // namespace bitlaw
