#include "bitlaw/sdk/grids/effective_bits.h"

#include <gtest/gtest.h>

namespace bitlaw {
namespace {

const LinearShape kLayer = {.name = "layer", .in_features = 4096, .out_features = 1024};

TEST(EffectiveBits, CountsScalesAndZeroPointsPerGroup) {
  EXPECT_DOUBLE_EQ(StoredBitsPerWeight(kLayer, {.bits = 4, .group_size = 128}), 4.15625);  // 4 + (16 + 4) / 128
}

TEST(EffectiveBits, LeavesOutTheZeroPointOfSymmetricGrids) {
  EXPECT_DOUBLE_EQ(StoredBitsPerWeight(kLayer, {.bits = 4, .symmetric = true, .group_size = 128}), 4.125);
}

TEST(EffectiveBits, CountsFloat32Scales) {
  EXPECT_DOUBLE_EQ(StoredBitsPerWeight(kLayer, {.bits = 3, .symmetric = true, .group_size = 64, .scale_bits = 32}), 3.5);
}

TEST(EffectiveBits, TakesTheWholeRowForMinusOneAndForGroupsPastTheRow) {
  const double row = 4 + (16 + 4) / 4096.0;
  EXPECT_DOUBLE_EQ(StoredBitsPerWeight(kLayer, {.bits = 4, .group_size = -1}), row);
  EXPECT_DOUBLE_EQ(StoredBitsPerWeight(kLayer, {.bits = 4, .group_size = 8192}), row);
  EXPECT_EQ(EffectiveGroupSize(8192, 4096), 4096);
}

TEST(EffectiveBits, CountsGroupIndexAsThirtyTwoBitsAColumn) {
  const StorageRule rule = {.bits = 4, .symmetric = true, .group_size = 128, .stores_group_index = true};
  EXPECT_DOUBLE_EQ(StoredBitsPerWeight(kLayer, rule), 4.125 + 32.0 / 1024);
}

TEST(EffectiveBits, CountsAPartialLastGroupAsAGroup) {
  const LinearShape layer = {.name = "layer", .in_features = 320, .out_features = 8};
  EXPECT_EQ(GroupCount(128, 320), 3);
  EXPECT_DOUBLE_EQ(StoredBitsPerWeight(layer, {.bits = 4, .symmetric = true, .group_size = 128}), 4 + 3 * 16 / 320.0);
}

TEST(GroupSize, ExplainsASizeThatDoesNotDivideTheRow) {
  const LinearShape layer = {.name = "model.layers.0.mlp.down_proj", .in_features = 320, .out_features = 8};
  EXPECT_EQ(ExplainGroupSize(layer, 128, false),
            "group_size = 128 does not divide C_in = 320 of 'model.layers.0.mlp.down_proj'. Use 16, 32, 64, row, or "
            "allow_partial_group: true for a short last group.");
  EXPECT_EQ(ExplainGroupSize(layer, 128, true), "");
  EXPECT_EQ(ExplainGroupSize(layer, 64, false), "");
  EXPECT_EQ(ExplainGroupSize(layer, 1024, false), "");
  EXPECT_EQ(ExplainGroupSize(layer, -1, false), "");
}

}  // namespace
}  // namespace bitlaw
