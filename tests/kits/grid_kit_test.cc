#include "bitlaw/testing/grid_conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/quantizers.h"

namespace bitlaw {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::GridFaults;

// Every grid in the tree, with options at the ends of their ranges.
TEST(GridKit, EveryGridInTheTreeKeepsItsPromises) {
  const std::vector<std::string> names = QuantizerHost().Names(ComponentKind::kGrid);
  ASSERT_THAT(names, ElementsAre("nf4", "uniform"));
  for (const char* dtype : {"float16", "float32"}) {
    EXPECT_THAT(GridFaults(*MakeGrid("nf4", {{"scale_dtype", dtype}}), "nf4"), ElementsAre());
    for (const int bits : {2, 3, 4, 8}) {
      for (const bool symmetric : {false, true}) {
        EXPECT_THAT(GridFaults(*MakeGrid("uniform", {{"bits", bits}, {"symmetric", symmetric}, {"scale_dtype", dtype}}),
                               "uniform"),
                    ElementsAre())
            << bits << " bits, symmetric " << symmetric << ", scales " << dtype;
      }
    }
  }
  EXPECT_THAT(GridFaults(*MakeGrid("uniform", {{"bits", 3}, {"mse", true}}), "uniform"), ElementsAre());
}

// Three levels scaled by the largest weight, with room for one mistake.
class ThreeLevels : public WeightGrid {
 public:
  explicit ThreeLevels(std::vector<float> levels = {-1, 0, 1}) : levels_(std::move(levels)) {}
  int bits() const override { return 2; }
  std::span<const float> levels() const override { return levels_; }
  bool stores_zeros() const override { return false; }
  std::string_view scale_dtype() const override { return "float32"; }
  int scale_bits() const override { return 32; }
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                  float* zeros) const override {
    for (int64_t r = 0; r < rows; ++r) {
      float largest = 0;
      for (int64_t j = 0; j < columns; ++j) largest = std::max(largest, std::fabs(weights[r * row_stride + j]));
      scales[r] = Scale(largest);
      zeros[r] = 0;
    }
  }

 protected:
  virtual float Scale(float largest) const { return largest == 0 ? 1 : largest; }

 private:
  std::vector<float> levels_;
};

class NoScaleForZeros : public ThreeLevels {
  float Scale(float largest) const override { return largest; }
};
class ShiftedScale : public ThreeLevels {
  float Scale(float largest) const override { return largest + 0.5F; }
};
class ForgetfulGrid : public ThreeLevels {
  float Scale(float largest) const override {
    return largest == 0 ? 1 : largest * static_cast<float>(1 + calls_++ % 2);
  }
  mutable int calls_ = 0;
};
class HalfInName : public ThreeLevels {
  std::string_view scale_dtype() const override { return "float16"; }
};
class StrayZero : public ThreeLevels {
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t stride, float* scales,
                  float* zeros) const override {
    ThreeLevels::FindGroups(weights, rows, columns, stride, scales, zeros);
    for (int64_t r = 0; r < rows; ++r) zeros[r] = weights[r * stride] > 0 ? 1.5F : 0;
  }
};

TEST(GridKit, NamesWhatAGridGetsWrong) {
  EXPECT_THAT(GridFaults(ThreeLevels(), "three"), ElementsAre());
  EXPECT_THAT(GridFaults(ThreeLevels({-1, 1, 0}), "three"),
              Contains("grid 'three': its levels are not finite and ascending at level 2."));
  EXPECT_THAT(GridFaults(ThreeLevels({-1, 1, 0}), "three"),
              Contains(HasSubstr("the code of a weight is not that of the nearest point")));
  EXPECT_THAT(GridFaults(ThreeLevels({-1, 0, 1, 2, 3}), "three"),
              ElementsAre("grid 'three': it has 5 levels and codes of 2 bits."));
  EXPECT_THAT(GridFaults(NoScaleForZeros(), "three"),
              Contains("grid 'three': its scale is not positive and finite for a group of 7 weights."));
  EXPECT_THAT(GridFaults(ShiftedScale(), "three"),
              Contains(HasSubstr("a group times a power of two does not have its scale times that")));
  EXPECT_THAT(GridFaults(ForgetfulGrid(), "three"),
              Contains("grid 'three': it gives other parameters the second time for a group of 7 weights."));
  EXPECT_THAT(GridFaults(HalfInName(), "three"),
              Contains("grid 'three': its scale is not exact in float16 for a group of 128 weights."));
  EXPECT_THAT(GridFaults(StrayZero(), "three"),
              Contains("grid 'three': it has levels and a zero point other than 0 for a group of 2 weights."));
}

TEST(Nf4, HasTheEffectiveBitsOfItsScales) {
  LinearShape layer;
  layer.in_features = 256;
  layer.out_features = 64;
  EXPECT_EQ(StoredBitsPerWeight(layer, StorageOf(*MakeGrid("nf4", {}), 64)), 4.5);  // 4 + 32 / 64
  EXPECT_EQ(StoredBitsPerWeight(layer, StorageOf(*MakeGrid("nf4", {{"scale_dtype", "float16"}}), 64)), 4.25);
  EXPECT_EQ(StoredBitsPerWeight(layer, StorageOf(*MakeGrid("uniform", {}), 128)), 4.15625);  // 4 + (16 + 4) / 128
}

TEST(Nf4, PutsAGroupOfZerosOnItsZero) {
  const auto grid = MakeGrid("nf4", {});
  const float zeros[3] = {0, 0, 0};
  float scale = 0, zero = 0;
  grid->FindGroups(zeros, 1, 3, 3, &scale, &zero);
  uint8_t codes[3];
  NearestCodes(*grid, zeros, 3, scale, zero, codes);
  EXPECT_EQ(scale, 1);
  EXPECT_THAT(codes, ElementsAre(7, 7, 7));  // The eighth level is 0.
}

}  // namespace
}  // namespace bitlaw
