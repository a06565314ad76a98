// `mse` of grids of levels.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "bitlaw/testing/grid_conformance.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

float ScaleOf(const WeightGrid& grid, const std::vector<float>& group) {
  float scale = 0, zero = 0;
  const auto columns = static_cast<int64_t>(group.size());
  grid.FindGroups(group.data(), 1, columns, columns, &scale, &zero);
  return scale;
}

// E2M1 has 0, 0.5, 1, 1.5, 2, 3, 4 and 6.
TEST(RangeSearch, ChoosesThePowerOfTwoThatErrsLeast) {
  const auto searched = MakeGrid("mxfp4", {{"mse", true}}), floor = MakeGrid("mxfp4", {}),
             ceil = MakeGrid("mxfp4", {{"scale_rule", "ceil"}});
  // At scale 1 one weight becomes 6; at 2 all the halves become 0.
  std::vector<float> halves(32, 0.5F);
  halves[7] = -6.5F;
  EXPECT_EQ(ScaleOf(*floor, halves), 1);
  EXPECT_EQ(ScaleOf(*ceil, halves), 2);
  EXPECT_EQ(ScaleOf(*searched, halves), 1);
  // At scale 1 one weight loses 1.9; at 2 it loses 0.1, and the twos are points of either.
  std::vector<float> twos(32, 2.0F);
  twos[7] = 7.9F;
  EXPECT_EQ(ScaleOf(*floor, twos), 1);
  EXPECT_EQ(ScaleOf(*searched, twos), 2);
  EXPECT_EQ(ScaleOf(*searched, std::vector<float>(32, 0.0F)), 1);
}

double ErrorOf(const WeightGrid& grid, const std::vector<float>& group, float scale) {
  std::vector<uint8_t> codes(group.size());
  NearestCodes(grid, group.data(), static_cast<int64_t>(group.size()), scale, 0, codes.data());
  double sum = 0;
  for (size_t j = 0; j < group.size(); ++j) {
    sum +=
        std::pow(std::fabs(static_cast<double>(group[j]) - static_cast<double>(scale) * grid.levels()[codes[j]]), 2.4);
  }
  return sum;
}

// The 80 cut-off groups, one by one, by the grid's own rule for their scale.
TEST(RangeSearch, FindsTheLeastErrorOfAllCutOffGroups) {
  Rng rng(3);
  const auto bell = [&] { return static_cast<float>(0.05 * (rng.Uniform() + rng.Uniform() + rng.Uniform() - 1.5)); };
  const std::vector<std::pair<const char*, Value::Map>> grids = {
      {"nf4", {}},    {"nf4", {{"scale_dtype", "float16"}}}, {"nvfp4", {}},
      {"fp8", {}},    {"fp8", {{"format", "e5m2"}}},         {"mxfp8", {{"scale_rule", "ceil"}}},
      {"mxfp4", {{"scale_rule", "ceil"}}}};
  for (const auto& [name, options] : grids) {
    Value::Map with = options;
    with.emplace_back("mse", true);
    const auto given_plain = MakeGrid(name, options), given_searched = MakeGrid(name, with);
    int shrunk = 0;
    for (int t = 0; t < 20; ++t) {
      std::vector<float> group(std::string(name) == "nvfp4" ? 16 : 32);
      for (float& w : group) w = bell();
      group[5] *= 3;
      const at::Tensor tensor = at::tensor(group, at::kFloat).unsqueeze(0);
      const auto plain = GridFor(*given_plain, tensor), searched = GridFor(*given_searched, tensor);
      float largest = 0;
      for (const float w : group) largest = std::max(largest, std::fabs(w));
      double least = std::numeric_limits<double>::infinity();
      for (int i = 0; i < 80; ++i) {
        // A group of one weight has the scale of its magnitude.
        const float scale = ScaleOf(*plain, {static_cast<float>(1 - i / 100.0) * largest});
        least = std::min(least, ErrorOf(*plain, group, scale));
      }
      const float found = ScaleOf(*searched, group);
      EXPECT_LE(ErrorOf(*plain, group, found), least * (1 + 1e-3)) << name << " " << t;
      shrunk += found < ScaleOf(*plain, group);
    }
    EXPECT_GE(shrunk, std::string(name).ends_with("8") ? 0 : 3) << name;
  }
}

TEST(RangeSearch, KeepsWhatGridsPromise) {
  for (const char* name : {"nf4", "nvfp4", "fp8", "mxfp4", "mxfp8"}) {
    EXPECT_THAT(testing::GridFaults(*MakeGrid(name, {{"mse", true}}), name), ::testing::IsEmpty());
    const auto grid = MakeGrid(name, {{"mse", true}});
    at::Tensor scales = at::empty({1}), zeros = at::empty({1});
    EXPECT_FALSE(grid->FindGroupsOnDevice(at::ones({1, 32}), scales, zeros)) << "a device has no search of its own";
  }
}

TEST(RangeSearch, NeedsGroups) {
  try {
    MakeGrid("fp8", {{"mse", true}, {"scale", "tensor"}});
    FAIL() << "there is one scale";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("mse searches the range of each group, and scale: tensor gives all of them "
                                     "one. Leave mse out, or set scale: group."));
  }
}

TEST(RangeSearch, LowersTheErrorOfRtnAndOfGptq) {
  const at::Tensor weight = at::randn({64, 128}, at::detail::createCPUGenerator(4), at::kFloat) * 0.02;
  const LinearShape shape{"layer", 0, 128, 64};
  LayerCalibration calibration;
  calibration.sequences = 2;
  calibration.tokens = 512;
  const at::Tensor x = at::randn({512, 128}, at::detail::createCPUGenerator(5), at::kFloat);
  calibration.second_moment = at::mm(x.t(), x);
  for (const char* name : {"nf4", "mxfp4", "nvfp4"}) {
    for (const char* quantizer : {"rtn", "gptq"}) {
      const auto error = [&](bool mse) {
        const int64_t group = std::string(name) == "nvfp4" ? 16 : 32;
        const auto made = MakeQuantizer(quantizer, {{"group_size", group}});
        made->TakeGrid(MakeGrid(name, {{"mse", mse}}));
        const at::Tensor d = made->Quantize(shape, weight, calibration).Dequantize() - weight;
        return at::mm(d, calibration.second_moment).mul(d).sum().item<double>();
      };
      EXPECT_LT(error(true), error(false)) << name << " " << quantizer;
    }
  }
}

}  // namespace
}  // namespace bitlaw
