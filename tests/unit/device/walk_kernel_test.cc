// GPTQ's walk as a device does it, against the host's: walk_kernel.cu run by an emulation, launched by the plugin's own
// device_walk.cc on tensors of the host.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <type_traits>

#include "bitlaw/sdk/grids/mx_grid.h"
#include "bitlaw/sdk/grids/nvfp4_grid.h"
#include "column_walk.h"
#include "fp8.h"
#include "nf4.h"
#include "support/device_emulation.h"

namespace bitlaw::testing::device {
#define __shared__
#define u shared_memory
#include "walk_kernel.cu"
#undef u
#undef __shared__
}  // namespace bitlaw::testing::device

#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/machine/device_code.h"

namespace bitlaw {

// In place of DeviceCode. Takes the kernel's arguments in exactly its types, as a real launch needs them.
class EmulatedCode {
 public:
  EmulatedCode(const char*, const char*) {}
  bool RunsOn(const at::Device&) { return true; }

  template <typename... Arguments>
  void Launch(const at::Device&, std::string_view kernel, int64_t blocks, int64_t threads, int64_t shared_bytes,
              Arguments... arguments) {
    EXPECT_LE(shared_bytes, static_cast<int64_t>(sizeof testing::device::shared_memory));
    bool has_run = false;
    const auto attempt = [&](std::string_view name, auto* function) {
      if (kernel != name) return;
      if constexpr (std::is_same_v<decltype(function), void (*)(Arguments...)>) {
        testing::device::RunBlocks(blocks, threads, [&] { function(arguments...); });
        has_run = true;
      }
    };
    attempt("WalkTile", &testing::device::WalkTile);
    attempt("SpreadErrors", &testing::device::SpreadErrors);
    EXPECT_TRUE(has_run) << kernel << " does not take these arguments";
  }
};

}  // namespace bitlaw

#define DeviceCode EmulatedCode
#include "device_walk.cc"
#undef DeviceCode
#include "device_sites.cc"

namespace bitlaw {
namespace {

struct Walked {
  at::Tensor weight, codes, scales, zeros;
};

struct Case {
  const char* name;
  int64_t rows, columns;
  ColumnWalkPlan plan;  // Without the group of each column.
  bool scattered = false;
};

Walked Walk(const Case& given, bool on_device) {
  at::manual_seed(7);
  const int64_t rows = given.rows, columns = given.columns;
  Walked walked;
  walked.weight = at::randn({rows, columns}).mul_(0.1);
  const at::Tensor noise = at::randn({2 * columns, columns});
  const at::Tensor hessian = at::mm(noise.t(), noise).add_(at::eye(columns), columns);
  const at::Tensor factor = at::linalg_cholesky(at::linalg_inv(hessian), /*upper=*/true).contiguous();
  ColumnWalkPlan plan = given.plan;
  const int64_t groups = (columns + plan.group_size - 1) / plan.group_size;
  for (int64_t k = 0; k < columns; ++k) {
    plan.group_of_position.push_back(static_cast<int32_t>((given.scattered ? (k * 7) % columns : k) / plan.group_size));
  }
  walked.codes = at::full({rows, columns}, 255, at::kByte);
  walked.scales = at::full({rows, groups}, NAN);
  walked.zeros = at::full({rows, groups}, NAN);
  if (plan.grids_are_given) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = g * plan.group_size, size = std::min(plan.group_size, columns - first);
      FindGroupsOf(*plan.grid, walked.weight.narrow(1, first, size), walked.scales.select(1, g), walked.zeros.select(1, g));
    }
  }
  if (on_device) {
    const at::Tensor group_of = at::tensor(at::ArrayRef<int32_t>(plan.group_of_position), at::kInt).unsqueeze(0);
    WalkColumnsOnDevice(plan, group_of, walked.weight, factor.unsqueeze(0), walked.codes, walked.scales, walked.zeros);
  } else {
    WalkColumns(plan, walked.weight, factor, walked.codes, walked.scales, walked.zeros);
  }
  return walked;
}

TEST(DeviceWalk, GivesTheHostsCodesAndScalesBitForBit) {
  const UniformGrid four({.bits = 4}), three({.bits = 3, .symmetric = true}), searched({.bits = 2, .mse = true});
  const Nf4Grid levels(ScaleDtype::kFloat32);
  const MxGrid fifteen("mxfp4", FloatFormat::kE2M1, MxScale::kFloor);
  const Fp8Grid many({.format = FloatFormat::kE4M3});
  const auto plan = [](const WeightGrid& grid, GroupParams params, int64_t group, int64_t block, bool given) {
    ColumnWalkPlan made;
    made.grid = &grid;
    made.group_params = params;
    made.group_size = group;
    made.block_size = block;
    made.grids_are_given = given;
    return made;
  };
  // In one block no matrix product is taken, and every bit is the host's. Over several the products' rounding is the host's
  // too here, where both call the same library with other shapes: codes may differ where it does not.
  const Case cases[] = {
      {"a group a block", 37, 64, plan(four, GroupParams::kRef, 64, 64, false)},
      {"groups within a block", 20, 96, plan(three, GroupParams::kRef, 32, 96, false)},
      {"groups of what the block compensated", 20, 96, plan(four, GroupParams::kInBlock, 32, 96, false)},
      {"partial groups", 5, 50, plan(four, GroupParams::kRef, 16, 50, false)},
      {"static groups in another order", 20, 90, plan(four, GroupParams::kStatic, 30, 90, true), true},
      {"a range search", 9, 48, plan(searched, GroupParams::kRef, 24, 48, false)},
      {"levels", 20, 64, plan(levels, GroupParams::kRef, 32, 64, false)},
      {"fifteen levels", 20, 64, plan(fifteen, GroupParams::kRef, 32, 64, false)},
      {"253 levels", 20, 64, plan(many, GroupParams::kRef, 32, 64, false)},
      {"a block wider than a tile", 6, 300, plan(four, GroupParams::kRef, 300, 300, false)},
      {"one grid a row", 17, 130, plan(four, GroupParams::kRef, 130, 130, true)},
  };
  for (const Case& given : cases) {
    SCOPED_TRACE(given.name);
    const Walked host = Walk(given, false), device = Walk(given, true);
    EXPECT_TRUE(device.codes.equal(host.codes));
    EXPECT_TRUE(device.scales.equal(host.scales));
    EXPECT_TRUE(device.zeros.equal(host.zeros));
  }
}

TEST(DeviceWalk, FollowsTheHostOverSeveralBlocks) {
  const UniformGrid four({.bits = 4});
  for (const int64_t group : {16, 32, 64}) {  // Below, at and above the block.
    SCOPED_TRACE(group);
    Case given{"blocks", 40, 192, {}};
    given.plan.grid = &four;
    given.plan.group_size = group;
    given.plan.block_size = 32;
    const Walked host = Walk(given, false), device = Walk(given, true);
    const double differing = device.codes.ne(host.codes).to(at::kFloat).mean().item<double>();
    EXPECT_LT(differing, 0.002);
    EXPECT_TRUE(at::allclose(device.scales, host.scales, 1e-3, 1e-6));
  }
}

// Sites of a mixture's experts: two readers of 9 and 6 rows over 40 columns, inputs of their own.
class Experts {
 public:
  static constexpr int64_t kColumns = 40;

  explicit Experts(size_t count, bool one_is_singular = false) {
    at::manual_seed(11);
    for (size_t e = 0; e < count; ++e) {
      SiteShape& shape = shapes_.emplace_back();
      shape.name = "experts." + std::to_string(e) + ".in";
      shape.readers = {{shape.name + ".gate", 0, kColumns, 9, true}, {shape.name + ".up", 0, kColumns, 6, true}};
      weights_.push_back({at::randn({9, kColumns}).mul_(0.1), at::randn({6, kColumns}).mul_(0.1)});
      LayerCalibration& calibration = calibrations_.emplace_back();
      calibration.tokens = 300 + static_cast<int64_t>(e);
      calibration.sequences = 4;
      at::Tensor x = at::randn({calibration.tokens, kColumns}).mul_(at::rand({kColumns}).add_(0.1));
      x.select(1, 5 + static_cast<int64_t>(e)).zero_();  // A dead column.
      calibration.second_moment = at::mm(x.t(), x).mul_(0.5);
    }
    if (one_is_singular) calibrations_[1].second_moment.sub_(at::eye(kColumns), 3.0);
  }

  std::vector<SiteInput> inputs() const {
    std::vector<SiteInput> inputs;
    for (size_t e = 0; e < shapes_.size(); ++e) inputs.push_back({&shapes_[e], weights_[e], &calibrations_[e]});
    return inputs;
  }

 private:
  std::vector<SiteShape> shapes_;
  std::vector<std::vector<at::Tensor>> weights_;
  std::vector<LayerCalibration> calibrations_;
};

bool AreTheSame(const QuantizedLinear& a, const QuantizedLinear& b) {
  return a.codes.equal(b.codes) && a.scales.equal(b.scales) && a.zeros.equal(b.zeros) &&
         a.group_index.equal(b.group_index) && a.diagnostics == b.diagnostics && a.fallback == b.fallback &&
         a.group_size == b.group_size && a.scale_divisor == b.scale_divisor;
}

struct SettingsCase {
  const char* name;
  GptqSettings settings;
};

std::vector<SettingsCase> AllSettings() {
  const auto uniform = [](GridRule rule) { return std::make_shared<UniformGrid>(rule); };
  std::vector<SettingsCase> cases = {
      {"plain", {.grid = uniform({.bits = 4}), .group_size = 20}},
      {"act_order", {.grid = uniform({.bits = 3}), .group_size = 20, .act_order = true}},
      {"static", {.grid = uniform({.bits = 4}), .group_size = 8, .act_order = true}},
      {"row", {.grid = uniform({.bits = 4, .symmetric = true}), .group_size = -1}},
      {"in_block", {.grid = uniform({.bits = 4, .mse = true}), .group_size = 20}},
      {"levels", {.grid = std::make_shared<Nf4Grid>(ScaleDtype::kFloat32), .group_size = 20}},
      {"float64", {.grid = uniform({.bits = 4}), .group_size = 12, .allow_partial_group = true}},
      {"a scale of each tensor", {.grid = std::make_shared<Nvfp4Grid>(), .group_size = 16, .allow_partial_group = true}},
      {"253 levels", {.grid = std::make_shared<Fp8Grid>(Fp8Grid::Rule()), .group_size = 20}},
      {"one scale a tensor", {.grid = std::make_shared<Fp8Grid>(Fp8Grid::Rule{.one_scale = true}), .group_size = -1}}};
  for (SettingsCase& one : cases) one.settings.block_size = 24;  // Two blocks.
  cases[2].settings.group_params = GroupParams::kStatic;
  cases[4].settings.group_params = GroupParams::kInBlock;
  cases[6].settings.factor_float64 = true;
  return cases;
}

TEST(SitesOnDevice, GiveTogetherWhatTheyGiveOneAfterAnother) {
  const Experts experts(2);
  const std::vector<SiteInput> inputs = experts.inputs();
  for (const SettingsCase& given : AllSettings()) {
    SCOPED_TRACE(given.name);
    const auto together = QuantizeOnDevice(given.settings, inputs);
    ASSERT_EQ(together.size(), 2U);
    for (size_t e = 0; e < 2; ++e) {
      const auto alone = QuantizeOnDevice(given.settings, {&inputs[e], 1});
      ASSERT_EQ(together[e].size(), 2U);
      EXPECT_TRUE(AreTheSame(together[e][0], alone[0][0])) << e;
      EXPECT_TRUE(AreTheSame(together[e][1], alone[0][1])) << e;
    }
    EXPECT_FALSE(together[0][0].scales.equal(together[1][0].scales));
  }
}

// The factor is found in another way than on the host, so that codes may differ where a weight lies between two levels.
TEST(SitesOnDevice, FollowTheHost) {
  const Experts experts(2);
  const std::vector<SiteInput> inputs = experts.inputs();
  for (const SettingsCase& given : AllSettings()) {
    SCOPED_TRACE(given.name);
    const GptqQuantizer host(given.settings);
    const auto device = QuantizeOnDevice(given.settings, inputs);
    for (size_t e = 0; e < 2; ++e) {
      std::vector<QuantizedLinear> on_host(2);
      ASSERT_TRUE(host.QuantizeSite(*inputs[e].shape, inputs[e].weights, *inputs[e].calibration, on_host));
      for (size_t i = 0; i < 2; ++i) {
        const LinearShape& layer = inputs[e].shape->readers[i];
        const QuantizedLinear& expected = on_host[i];
        EXPECT_EQ(device[e][i].scale_divisor, expected.scale_divisor);
        device[e][i].Validate(layer);
        EXPECT_LT(device[e][i].codes.ne(expected.codes).to(at::kFloat).mean().item<double>(), 0.01);
        EXPECT_TRUE(device[e][i].group_index.equal(expected.group_index));
        ASSERT_EQ(device[e][i].diagnostics.size(), expected.diagnostics.size());
        for (size_t d = 0; d < expected.diagnostics.size(); ++d) {
          EXPECT_EQ(device[e][i].diagnostics[d].first, expected.diagnostics[d].first);
          EXPECT_NEAR(device[e][i].diagnostics[d].second, expected.diagnostics[d].second,
                      0.002 * expected.diagnostics[d].second);
        }
        EXPECT_EQ(expected.diagnostics[1], (std::pair<std::string, double>("dead_columns", 1)));
      }
    }
  }
}

TEST(SitesTogether, TakeAGibibyte) {
  SiteShape inner, outer, huge;  // Of Qwen3-30B-A3B's experts; and one site of which not even one fits.
  inner.readers = {{"gate", 0, 2048, 768, true}, {"up", 0, 2048, 768, true}};
  outer.readers = {{"down", 0, 768, 2048, true}};
  huge.readers = {{"huge", 0, 65536, 1, true}};
  EXPECT_EQ(SitesTogether(inner, false), 8U);   // (7 * 2048^2 + 1536 * 2048) * 4 = 130,023,424 bytes
  EXPECT_EQ(SitesTogether(inner, true), 4U);    // 7 * 2048^2 * 8 + 1536 * 2048 * 4 = 247,463,936
  EXPECT_EQ(SitesTogether(outer, false), 25U);  // (2 * 768^2 + 6 * 2048 * 768) * 4 = 42,467,328
  EXPECT_EQ(SitesTogether(huge, false), 1U);
}

TEST(SitesOnDevice, RaiseTheDampingOfTheOneThatNeedsIt) {
  const Experts experts(2, /*one_is_singular=*/true);
  const std::vector<SiteInput> inputs = experts.inputs();
  GptqSettings settings{.grid = std::make_shared<UniformGrid>(GridRule{.bits = 4}), .group_size = 20};
  try {
    QuantizeOnDevice(settings, inputs);
    FAIL() << "an indefinite Hessian was taken";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "quantizer 'gptq', experts.1.in.gate: the Hessian [40, 40] of 301 calibration tokens is not positive "
              "definite with damp = 0.01. Use more calibration tokens, a larger damp, factor_dtype: float64, or "
              "on_singular: raise_damping, which the record will name.");
  }
  settings.raise_damping = true;
  const auto together = QuantizeOnDevice(settings, inputs);
  EXPECT_EQ(together[0][0].fallback, QuantizeFallback::kNone);
  EXPECT_EQ(together[1][1].fallback, QuantizeFallback::kDampingRaised);
  const auto alone = QuantizeOnDevice(settings, {&inputs[1], 1});
  EXPECT_TRUE(AreTheSame(together[1][0], alone[0][0]));
  const QuantizedLinear host =
      GptqQuantizer(settings).Quantize(inputs[1].shape->readers[0], inputs[1].weights[0], *inputs[1].calibration);
  EXPECT_EQ(together[1][0].diagnostics[0], host.diagnostics[0]);  // damp
  EXPECT_LT(together[1][0].codes.ne(host.codes).to(at::kFloat).mean().item<double>(), 0.01);
}

TEST(SitesOnDevice, NameTheFirstLayerThatIsNotFinite) {
  const Experts experts(2);
  const std::vector<SiteInput> inputs = experts.inputs();
  inputs[1].weights[1][3][7] = NAN;
  const GptqSettings settings{.grid = std::make_shared<UniformGrid>(GridRule{.bits = 4}), .group_size = 20};
  const auto text = [&] {
    try {
      QuantizeOnDevice(settings, inputs);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_THAT(text(), ::testing::StartsWith("experts.1.in.up: 1 of 240 weights are not finite."));
  inputs[0].calibration->second_moment[0][0] = INFINITY;
  EXPECT_THAT(text(), ::testing::StartsWith("quantizer 'gptq', experts.0.in.gate: the Hessian of 300 cal"));
}

}  // namespace
}  // namespace bitlaw
