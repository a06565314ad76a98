#include "bitlaw/testing/quantizer_conformance.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/sdk/grids/integer_grid.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::QuantizerFaults;

LinearShape Shape(int64_t in, int64_t out) {
  LinearShape shape;
  shape.name = "layer";
  shape.in_features = in;
  shape.out_features = out;
  return shape;
}

// 48 is no multiple of 32: refused unless partial groups are allowed.
const std::vector<LinearShape> kShapes = {Shape(64, 96), Shape(48, 8), Shape(32, 1), Shape(160, 70)};

TEST(QuantizerKit, EveryQuantizerInTheTreeKeepsItsPromises) {
  ASSERT_THAT(QuantizerHost().Names(ComponentKind::kQuantizer), ElementsAre("gptq", "hqq", "rtn"));
  for (const Value::Map& options : std::vector<Value::Map>{{},
                                                           {{"bits", 2}, {"group_size", -1}},
                                                           {{"bits", 3}, {"group_size", 8}, {"group_axis", "column"}},
                                                           {{"scale_dtype", "float32"}, {"iterations", 0}}}) {
    EXPECT_THAT(QuantizerFaults([&] { return MakeQuantizer("hqq", options); }, "hqq", kShapes), ElementsAre());
  }
  const std::vector<Value::Map> plain = {{{"group_size", 32}},
                                         {{"group_size", 32}, {"allow_partial_group", true}, {"bits", 3}},
                                         {{"group_size", -1}, {"bits", 2}, {"symmetric", true}},
                                         {{"group_size", 16}, {"mse", true}, {"scale_dtype", "float32"}}};
  for (const Value::Map& options : plain) {
    for (const char* name : {"rtn", "gptq"}) {
      // GPTQ factors its Hessian with BLAS, whose sums depend on the number of threads (its README).
      const bool any_threads = name == std::string("rtn");
      const auto plain_grid = [&] { return MakeQuantizer(name, options); };
      EXPECT_THAT(QuantizerFaults(plain_grid, name, kShapes, any_threads), ElementsAre());
      // The same on levels.
      const auto on_levels = [&] {
        auto quantizer = MakeQuantizer(name, options);
        quantizer->TakeGrid(MakeGrid("nf4", {}));
        return quantizer;
      };
      EXPECT_THAT(QuantizerFaults(on_levels, name, kShapes, any_threads), ElementsAre());
    }
  }
  for (const auto& [grid, group_size] : {std::pair("mxfp4", 32), {"mxfp8", 32}, {"nvfp4", 16}, {"fp8", 32}, {"fp8", -1}}) {
    for (const char* name : {"rtn", "gptq"}) {
      for (const char* params : {"ref", "static"}) {
        Value::Map options = {{"group_size", group_size}};
        if (name == std::string("gptq")) options.emplace_back("group_params", params);
        const auto on_floats = [&] {
          auto quantizer = MakeQuantizer(name, options);
          quantizer->TakeGrid(MakeGrid(grid, {}));
          return quantizer;
        };
        EXPECT_THAT(QuantizerFaults(on_floats, name, kShapes, name == std::string("rtn")), ElementsAre()) << grid;
      }
    }
  }
  for (const Value::Map& options : std::vector<Value::Map>{{{"group_size", 32}, {"act_order", true}},
                                                           {{"group_size", 16}, {"group_params", "static"}},
                                                           {{"group_size", 16}, {"group_params", "in_block"}}}) {
    EXPECT_THAT(QuantizerFaults([&] { return MakeQuantizer("gptq", options); }, "gptq", kShapes, false), ElementsAre());
  }
}

TEST(Hqq, CountsRealZeroPointsAndSaysWhichGroupsItTakes) {
  const auto bits = [](const Value::Map& options) { return MakeQuantizer("hqq", options)->BitsPerWeight(Shape(64, 96)); };
  EXPECT_EQ(bits({}), 4.5);                                              // 4 + (16 + 16) / 64
  EXPECT_EQ(bits({{"group_size", 16}, {"scale_dtype", "float32"}}), 8);  // 4 + (32 + 32) / 16
  EXPECT_EQ(bits({{"group_size", -1}, {"group_axis", "column"}}), 4 + 32.0 / 96);
  EXPECT_EQ(MakeQuantizer("hqq", {{"group_size", 40}})->ExplainUnsupported(Shape(64, 96)),
            "group_size = 40 does not divide C_in = 64 of 'layer'. Use 8, 16, 32, 64, row.");
  EXPECT_EQ(MakeQuantizer("hqq", {{"group_size", 64}, {"group_axis", "column"}})->ExplainUnsupported(Shape(64, 96)),
            "group_size = 64 does not divide C_out = 96 of 'layer'. Use 8, 16, 32, row.");
  try {
    MakeQuantizer("hqq", {})->TakeGrid(MakeGrid("nf4", {}));
    FAIL() << "it takes a grid";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "it rounds to a grid of its own and takes no other. Leave 'grid' out.");
  }
}

// What it is for: errors whose 0.7-norm is smaller than on the grid of the group's own range.
TEST(Hqq, MovesZeroPointsSoThatMostErrorsAreSmaller) {
  const LinearShape shape = Shape(64, 96);
  const at::Tensor weight = at::randn({96, 64}, at::detail::createCPUGenerator(4), at::kFloat) * 0.05;
  const auto norm = [&](int iterations) {
    const auto hqq = MakeQuantizer("hqq", {{"bits", 3}, {"iterations", iterations}, {"scale_dtype", "float32"}});
    return (hqq->Quantize(shape, weight, {}).Dequantize() - weight).abs().pow(0.7).sum().item<double>();
  };
  EXPECT_LT(norm(20), 0.995 * norm(0));
}

// Rounds to nearest at four bits, with room for one mistake.
class Nearest : public Quantizer {
 public:
  std::string ExplainUnsupported(const LinearShape&) const override { return ""; }
  double BitsRequested(const LinearShape&) const override { return 4; }
  double BitsPerWeight(const LinearShape&) const override { return 4.5; }
  bool depends_on_shape_only() const override { return true; }
  CalibrationNeeds needs() const override { return {}; }
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight, const LayerCalibration&) const override {
    return bitlaw::RoundToNearest(GridRule(), weight, 16, layer.name);
  }
};
class RefusesSilently : public Nearest {
  std::string ExplainUnsupported(const LinearShape&) const override { return "too wide"; }
};
class RefusesLate : public Nearest {
  QuantizedLinear Quantize(const LinearShape&, const at::Tensor&, const LayerCalibration&) const override {
    throw Error(ErrorKind::kUnsupported, "too late.");
  }
};
class SpoilsItsInput : public Nearest {
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& c) const override {
    QuantizedLinear result = Nearest::Quantize(layer, weight, c);
    at::Tensor(weight).zero_();
    return result;
  }
};
class CodesOutOfRange : public Nearest {
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& c) const override {
    QuantizedLinear result = Nearest::Quantize(layer, weight, c);
    result.bits = 3;
    return result;
  }
};
class DiffersByThreads : public Nearest {
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& c) const override {
    QuantizedLinear result = Nearest::Quantize(layer, weight, c);
    result.scales.mul_(1 + at::get_num_threads() / 16.0);
    result.scale_dtype = "float32";
    return result;
  }
};
class KnowsNames : public Nearest {
  double BitsRequested(const LinearShape& layer) const override { return layer.name == "layer" ? 4 : 8; }
};
class GivesOne : public Nearest {
  bool QuantizeSite(const SiteShape&, std::span<const at::Tensor>, const LayerCalibration&,
                    std::vector<QuantizedLinear>& results) const override {
    results.resize(1);
    return true;
  }
};

TEST(QuantizerKit, NamesWhatAQuantizerGetsWrong) {
  const auto faults = [](auto quantizer) {
    using Wrong = decltype(quantizer);
    return QuantizerFaults([] { return std::make_unique<Wrong>(); }, "q", {Shape(32, 4)});
  };
  const std::string where = "quantizer 'q', layer [4, 32]: ";
  EXPECT_THAT(faults(Nearest()), ElementsAre());
  EXPECT_THAT(faults(RefusesSilently()),
              ElementsAre(where + "ExplainUnsupported says 'too wide', and Quantize does it."));
  EXPECT_THAT(faults(RefusesLate()),
              ElementsAre(where + "ExplainUnsupported is empty, and Quantize says 'too late.'."));
  EXPECT_THAT(faults(SpoilsItsInput()), ::testing::Contains(where + "it changed the weights that it was given."));
  EXPECT_THAT(faults(CodesOutOfRange()), ElementsAre(HasSubstr("With bits = 3 they must lie in [0, 7].")));
  EXPECT_THAT(faults(DiffersByThreads()), ::testing::Contains(where + "another number of threads differs."));
  EXPECT_THAT(faults(KnowsNames()),
              ElementsAre(where + "depends_on_shape_only() is true, and another name changes what it says."));
  EXPECT_THAT(faults(GivesOne()), ElementsAre(where + "QuantizeSite gave 1 results for 2 readers."));
}

}  // namespace
}  // namespace bitlaw
