#include "anchored_studies.h"

#include <gtest/gtest.h>

#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

// 150 studies of 8 models and 400 items: of a true coverage of 0.9 the standard deviation is 0.024.
TEST(AnchoredIntervals, HoldThePlantedValueThoughTheUnquantizedAccuracyIsMeasured) {
  const auto law = ShippedLaw("anchored_logistic");
  const AnchoredCoverage coverage = CoverageOfAnchored(*law, 8, 400, 0.15, 150, 0);
  EXPECT_EQ(coverage.failed, 0);
  for (size_t j = 0; j < kAnchoredTheta.size(); ++j) {
    EXPECT_GE(coverage.over_models[j], 0.82) << law->parameters()[j].name;
    EXPECT_LE(coverage.over_models[j], 0.98) << law->parameters()[j].name;
  }
}

// Items alone: models are exactly on the law. Were the unquantized accuracies held as they were measured, every draw would
// take the items that both lost for damage, and intervals would be far too wide.
TEST(AnchoredIntervals, OverItemsAreRightOnlyIfUnquantizedModelsAreDrawnToo) {
  const auto law = ShippedLaw("anchored_logistic");
  const AnchoredCoverage coverage = CoverageOfAnchored(*law, 8, 400, 0, 50, 60);
  EXPECT_EQ(coverage.failed, 0);
  double joint = 0, held = 0;
  for (size_t j = 0; j < kAnchoredTheta.size(); ++j) {
    EXPECT_GE(coverage.over_items[j], 0.76) << law->parameters()[j].name;
    joint += coverage.over_items[j] / 5;
    held += coverage.held[j] / 5;
  }
  EXPECT_GE(joint, 0.83);
  EXPECT_LE(joint, 0.96);
  EXPECT_GE(held, 0.97);
}

}  // namespace
}  // namespace bitlaw
