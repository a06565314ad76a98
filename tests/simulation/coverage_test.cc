#include <gtest/gtest.h>

#include "clustered_studies.h"
#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

// 200 studies of 8 models each: of a true coverage of 0.9 the standard deviation is 0.021, so a share below 0.83 or
// above 0.97 is one of three. `fit_simulation units` has the figures of 1,000 studies (docs/reference/fits.md).
class HeadlineIntervals : public ::testing::TestWithParam<StudyDesign> {};

TEST_P(HeadlineIntervals, HoldThePlantedValueInNineOfTenStudies) {
  const auto law = ShippedLaw("stratified_power");
  const Coverage coverage = CoverageOf(*law, GetParam(), 8, 200, 0);
  EXPECT_EQ(coverage.failed, 0);
  for (size_t j = 0; j < kClusteredTheta.size(); ++j) {
    EXPECT_GE(coverage.headline[j], 0.83) << Name(GetParam()) << ": " << law->parameters()[j].name;
    EXPECT_LE(coverage.headline[j], 0.97) << Name(GetParam()) << ": " << law->parameters()[j].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Designs, HeadlineIntervals, ::testing::ValuesIn(kDesigns));

// What rows that count as independent make of the same studies: alpha too certain, beta and delta too uncertain.
TEST(IntervalsOfIndependentRows, AreWrongBothWaysWhereModelsDiffer) {
  const auto law = ShippedLaw("stratified_power");
  const Coverage coverage = CoverageOf(*law, StudyDesign::kModelEffects, 8, 200, 0);
  EXPECT_LT(coverage.independent[1], 0.6);
  EXPECT_GT(coverage.independent[2], 0.98);
  EXPECT_GT(coverage.independent[4], 0.98);
}

}  // namespace
}  // namespace bitlaw
