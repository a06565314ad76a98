#include "bitlaw/testing/grid_conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "bitlaw/sdk/grids/grid_options.h"
#include "bitlaw/sdk/grids/integer_grid.h"
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
  ASSERT_THAT(names, ElementsAre("fp8", "mxfp4", "mxfp8", "nf4", "nvfp4", "uniform"));
  for (const char* rule : {"floor", "round", "ceil"}) {
    EXPECT_THAT(GridFaults(*MakeGrid("mxfp4", {{"scale_rule", rule}}), "mxfp4"), ElementsAre()) << rule;
    for (const char* format : {"e4m3", "e5m2"}) {
      EXPECT_THAT(GridFaults(*MakeGrid("mxfp8", {{"scale_rule", rule}, {"format", format}}), "mxfp8"), ElementsAre())
          << rule << " " << format;
    }
  }
  EXPECT_THAT(GridFaults(*MakeGrid("nvfp4", {}), "nvfp4"), ElementsAre());
  EXPECT_THAT(GridFaults(*MakeGrid("nvfp4", {{"tensor_scale", "layer"}}), "nvfp4"), ElementsAre());
  for (const char* format : {"e4m3", "e5m2"}) {
    for (const char* scale : {"group", "tensor", "site"}) {
      EXPECT_THAT(GridFaults(*MakeGrid("fp8", {{"format", format}, {"scale", scale}}), "fp8"), ElementsAre())
          << format << " " << scale;
    }
  }
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
class FloatInName : public ThreeLevels {
 public:
  explicit FloatInName(std::string_view dtype) : dtype_(dtype) {}
  std::string_view scale_dtype() const override { return dtype_; }

 private:
  std::string_view dtype_;
};
class TooFewBounds : public ThreeLevels {
  std::span<const float> bounds() const override {
    static constexpr float kBound[] = {0.5F};
    return kBound;
  }
};
class BoundsElsewhere : public ThreeLevels {
  std::span<const float> bounds() const override {
    static constexpr float kBounds[] = {-0.75F, 0.5F};
    return kBounds;
  }
};
// What it says of a tensor is of another one.
class TensorOfAnother : public ThreeLevels {
  std::shared_ptr<const WeightGrid> ForTensor(const at::Tensor&) const override {
    return std::make_shared<ShiftedScale>();
  }
};
// What it says of a site is of its first tensor.
class SiteOfTheFirst : public ThreeLevels {
 public:
  explicit SiteOfTheFirst(float scale = 0) : scale_(scale) {}
  std::shared_ptr<const WeightGrid> ForTensor(const at::Tensor& weight) const override {
    return scale_ != 0 ? nullptr : std::make_shared<SiteOfTheFirst>(weight.abs().max().item<float>());
  }
  std::shared_ptr<const WeightGrid> ForSite(std::span<const at::Tensor> weights) const override {
    return ForTensor(weights.front());
  }
  void FindGroups(const float*, int64_t rows, int64_t, int64_t, float* scales, float* zeros) const override {
    std::fill(scales, scales + rows, scale_ == 0 ? 1 : scale_);
    std::fill(zeros, zeros + rows, 0.0F);
  }

 private:
  float scale_;
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
  EXPECT_THAT(GridFaults(FloatInName("float8_e8m0fnu"), "three"),
              Contains("grid 'three': its scale is not exact in float8_e8m0fnu for a group of 128 weights."));
  EXPECT_THAT(GridFaults(FloatInName("float8_e4m3fn"), "three"),
              Contains("grid 'three': its scale is not exact in float8_e4m3fn for a group of 128 weights."));
  EXPECT_THAT(GridFaults(FloatInName("float8"), "three"),
              ElementsAre("grid 'three': its scale_dtype is none of float16, float32, float8_e4m3fn and float8_e8m0fnu."));
  EXPECT_THAT(GridFaults(TooFewBounds(), "three"), ElementsAre("grid 'three': it has 1 bounds between 3 levels."));
  EXPECT_THAT(GridFaults(BoundsElsewhere(), "three"),
              Contains(HasSubstr("the code of a weight is not that of the nearest point")));
  EXPECT_THAT(GridFaults(TensorOfAnother(), "three"),
              Contains(HasSubstr("a group times a power of two does not have its scale times that")));
  EXPECT_THAT(GridFaults(SiteOfTheFirst(), "three"),
              Contains("grid 'three': what it says of a site is not what it says of its largest tensor."));
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

TEST(FloatGrids, HaveTheEffectiveBitsOfTheirScales) {
  LinearShape layer;
  layer.in_features = 256;
  layer.out_features = 64;
  const auto bits = [&](const char* grid, const Value::Map& options, int64_t group_size) {
    return StoredBitsPerWeight(layer, StorageOf(*MakeGrid(grid, options), group_size));
  };
  EXPECT_EQ(bits("mxfp4", {}, 32), 4.25);                                // 4 + 8 / 32
  EXPECT_EQ(bits("mxfp8", {}, 32), 8.25);                                // 8 + 8 / 32
  EXPECT_EQ(bits("nvfp4", {}, 16), 4.5 + 32.0 / 16384);                  // 4 + 8 / 16, 32 once for 64 * 256 weights
  EXPECT_EQ(bits("fp8", {}, -1), 8.125);                                 // 8 + 32 / 256
  EXPECT_EQ(bits("fp8", {{"scale_dtype", "float16"}}, 32), 8.5);         // 8 + 16 / 32
  EXPECT_EQ(bits("fp8", {{"scale", "tensor"}}, -1), 8 + 32.0 / 16384);
}

TEST(FloatGrids, SayWhichGroupsTheyHave) {
  EXPECT_EQ(MakeGrid("mxfp4", {})->ExplainGroupSize(32), "");
  EXPECT_EQ(MakeGrid("mxfp4", {})->ExplainGroupSize(128),
            "grid 'mxfp4' has blocks of 32 weights, and group_size is 128. Set group_size: 32.");
  EXPECT_EQ(MakeGrid("mxfp8", {})->ExplainGroupSize(-1),
            "grid 'mxfp8' has blocks of 32 weights, and group_size is 'row'. Set group_size: 32.");
  EXPECT_EQ(MakeGrid("nvfp4", {})->ExplainGroupSize(32),
            "grid 'nvfp4' has blocks of 16 weights, and group_size is 32. Set group_size: 16.");
  EXPECT_EQ(MakeGrid("fp8", {})->ExplainGroupSize(32), "");
  EXPECT_EQ(MakeGrid("fp8", {{"scale", "tensor"}})->ExplainGroupSize(32),
            "grid 'fp8' has one scale a tensor (scale: tensor), and group_size is 32. Set group_size: row.");
  LinearShape layer;
  layer.name = "layer";
  layer.in_features = 64;
  layer.out_features = 8;
  for (const char* name : {"rtn", "gptq"}) {
    auto quantizer = MakeQuantizer(name, {{"group_size", 64}});
    quantizer->TakeGrid(MakeGrid("nvfp4", {}));
    EXPECT_EQ(quantizer->ExplainUnsupported(layer),
              "grid 'nvfp4' has blocks of 16 weights, and group_size is 64. Set group_size: 16.");
  }
}

// Powers of two by hand: 7 is 1.75 * 2^2; the largest value of E2M1 is 6 = 1.5 * 2^2.
TEST(FloatGrids, ScaleOfABlockFollowsTheRule) {
  const auto scale = [](const char* rule, float largest) {
    float found = 0, zero = 0;
    MakeGrid("mxfp4", {{"scale_rule", rule}})->FindGroups(&largest, 1, 1, 1, &found, &zero);
    return found;
  };
  EXPECT_EQ(scale("floor", 4), 1);
  EXPECT_EQ(scale("floor", 7.99F), 1);  // 7.99 becomes 6.
  EXPECT_EQ(scale("floor", 8), 2);
  EXPECT_EQ(scale("round", 6.99F), 1);
  EXPECT_EQ(scale("round", 7), 2);
  EXPECT_EQ(scale("ceil", 6), 1);
  EXPECT_EQ(scale("ceil", 6.01F), 2);
  EXPECT_EQ(scale("floor", 0), 1);
}

TEST(FloatGrids, PutWhatIsHalfwayOnTheEvenValue) {
  const auto grid = MakeGrid("mxfp4", {});
  // 6 keeps the scale at 1. 0.25, 0.75, 1.25, 2.5 and 5 lie halfway; 0, 1, 1, 2 and 4 have an even last digit.
  const float weights[] = {6, 0.25F, 0.75F, 1.25F, 2.5F, 5, -0.25F, -0.75F, -5};
  const float expected[] = {6, 0, 1, 1, 2, 4, 0, -1, -4};
  float scale = 0, zero = 0;
  grid->FindGroups(weights, 1, 9, 9, &scale, &zero);
  ASSERT_EQ(scale, 1);
  uint8_t codes[9];
  NearestCodes(*grid, weights, 9, scale, zero, codes);
  for (size_t j = 0; j < 9; ++j) EXPECT_EQ(grid->levels()[codes[j]], expected[j]) << weights[j];
}

// d = 448 * 6 / 12 = 224; a block whose largest weight is 3 has 224 * 3 / 6 = 112, which E4M3 has; 112 / 224 = 1 / 2.
TEST(Nvfp4, ScalesBlocksWithinTheTensorsScale) {
  const at::Tensor weight = at::zeros({2, 16});
  weight[0][0] = 12.0F;
  weight[1][5] = -3.0F;
  const QuantizedLinear q = RoundToNearest(*MakeGrid("nvfp4", {}), weight, 16, "layer");
  EXPECT_EQ(q.scale_divisor, 224);
  EXPECT_EQ(q.scales[0][0].item<float>(), 2);
  EXPECT_EQ(q.scales[1][0].item<float>(), 0.5F);
  EXPECT_EQ(q.StoredScales()[0][0].item<float>(), 448);
  EXPECT_EQ(q.StoredScales()[1][0].item<float>(), 112);
  EXPECT_TRUE(q.Dequantize().equal(weight));
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
