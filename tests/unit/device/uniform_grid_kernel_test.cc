// Grids of groups as a device finds them, against the host's.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "bitlaw/sdk/grids/mx_grid.h"
#include "bitlaw/sdk/grids/nvfp4_grid.h"
#include "fp8.h"
#include "nf4.h"
#include "support/device_emulation.h"

namespace bitlaw::testing::device {
#include "sdk/grids/tensor/uniform_grid_kernel.cu"
}  // namespace bitlaw::testing::device

namespace bitlaw {
namespace {

// Rows of several kinds: random, of one sign, with an outlier, of zeros, tiny, huge.
at::Tensor Groups(int64_t columns) {
  at::manual_seed(3);
  at::Tensor groups = at::randn({9, columns}).mul_(0.05);
  groups[1].abs_();
  groups[2].abs_().neg_();
  groups[3][columns / 2] = 4.0F;
  groups[4].zero_();
  groups[5].mul_(1e-7F);
  groups[6].mul_(1e-30F);
  groups[7].mul_(3e6F);
  return groups;
}

TEST(UniformGridKernel, FindsTheHostsScalesAndZerosBitForBit) {
  for (const int64_t columns : {1, 5, 16, 33, 128}) {
    const at::Tensor groups = Groups(columns);
    for (int kind = 0; kind < 32; ++kind) {
      GridRule rule;
      rule.bits = kind % 2 == 0 ? 4 : 3;
      rule.symmetric = (kind & 2) != 0;
      rule.scale_dtype = (kind & 4) != 0 ? ScaleDtype::kFloat16 : ScaleDtype::kFloat32;
      rule.mse = (kind & 8) != 0;
      rule.scale_digits = (kind & 16) != 0 ? 11 - rule.bits : 0;
      if ((rule.mse || rule.scale_digits > 0) && columns != 5 && columns != 33) continue;
      rule.mse_steps = 20;
      SCOPED_TRACE(::testing::Message() << columns << " columns, kind " << kind);
      std::vector<float> host_scales(9), host_zeros(9), scales(9, NAN), zeros(9, NAN);
      FindGrid(rule, groups.data_ptr<float>(), 9, columns, columns, host_scales.data(), host_zeros.data());
      testing::device::RunBlocks(2, 128, [&] {
        testing::device::FindUniformGroups(
            groups.data_ptr<float>(), columns, 9, columns, scales.data(), 1, zeros.data(), 1,
            static_cast<float>(rule.max_code()), rule.symmetric ? static_cast<float>(1 << (rule.bits - 1)) : -1.0F,
            static_cast<int>(rule.scale_dtype == ScaleDtype::kFloat16), rule.scale_digits, StoredScale(0.0F, rule.scale_dtype),
            rule.mse ? static_cast<int>(rule.mse_max_shrink * rule.mse_steps) : 0, rule.mse_steps,
            static_cast<float>(rule.mse_norm));
      });
      EXPECT_EQ(scales, host_scales);
      EXPECT_EQ(zeros, host_zeros);
    }
  }
}

TEST(DeviceGrid, FindsNf4sScalesAsTheHostDoes) {
  for (const ScaleDtype dtype : {ScaleDtype::kFloat32, ScaleDtype::kFloat16}) {
    const Nf4Grid grid(dtype);
    const at::Tensor groups = Groups(33);
    at::Tensor scales = at::empty({9}), zeros = at::full({9}, NAN);
    EXPECT_TRUE(grid.FindGroupsOnDevice(groups, scales, zeros));
    std::vector<float> host_scales(9), host_zeros(9);
    grid.FindGroups(groups.data_ptr<float>(), 9, 33, 33, host_scales.data(), host_zeros.data());
    EXPECT_TRUE(scales.equal(at::tensor(host_scales)));
    EXPECT_TRUE(zeros.equal(at::tensor(host_zeros)));
  }
}

TEST(DeviceGrid, FindsTheScalesOfFloatsAsTheHostDoes) {
  const at::Tensor groups = Groups(32);
  std::vector<std::shared_ptr<const WeightGrid>> grids;
  for (const MxScale scale : {MxScale::kFloor, MxScale::kRound, MxScale::kCeil}) {
    for (const FloatFormat format : {FloatFormat::kE2M1, FloatFormat::kE4M3, FloatFormat::kE5M2}) {
      grids.push_back(std::make_shared<MxGrid>("mx", format, scale));
    }
  }
  grids.push_back(GridFor(Nvfp4Grid(), groups));
  grids.push_back(GridFor(Fp8Grid({.one_scale = true}), groups));
  for (const FloatFormat format : {FloatFormat::kE4M3, FloatFormat::kE5M2}) {
    for (const ScaleDtype dtype : {ScaleDtype::kFloat32, ScaleDtype::kFloat16}) {
      grids.push_back(std::make_shared<Fp8Grid>(Fp8Grid::Rule{.format = format, .scale_dtype = dtype}));
    }
  }
  for (size_t i = 0; i < grids.size(); ++i) {
    SCOPED_TRACE(i);
    at::Tensor scales = at::empty({9}), zeros = at::full({9}, NAN);
    EXPECT_TRUE(grids[i]->FindGroupsOnDevice(groups, scales, zeros));
    std::vector<float> host_scales(9), host_zeros(9);
    grids[i]->FindGroups(groups.data_ptr<float>(), 9, 32, 32, host_scales.data(), host_zeros.data());
    EXPECT_TRUE(scales.equal(at::tensor(host_scales))) << scales << at::tensor(host_scales);
    EXPECT_TRUE(zeros.equal(at::tensor(host_zeros)));
    // Rounded on the device, as a weight there is: by libtorch's operations.
    const QuantizedLinear host = RoundToNearest(*grids[i], groups, 32, "layer");
    EXPECT_TRUE(NearestCodesOf(*grids[i], groups, host.scales, host.zeros.to(at::kFloat), at::zeros({32}, at::kLong))
                    .equal(host.codes));
  }
}

TEST(DeviceGrid, FindsTheHostsNearestCodes) {
  at::manual_seed(5);
  const at::Tensor weight = at::randn({6, 40}).mul_(0.1);
  const at::Tensor group = at::arange(40, at::kLong).floor_divide(16);  // The last one is partial.
  const UniformGrid uniform({.bits = 3});
  const Nf4Grid levels(ScaleDtype::kFloat32);
  for (const WeightGrid* grid : {static_cast<const WeightGrid*>(&uniform), static_cast<const WeightGrid*>(&levels)}) {
    const QuantizedLinear host = RoundToNearest(*grid, weight, 16, "layer");
    EXPECT_TRUE(NearestCodesOf(*grid, weight, host.scales, host.zeros.to(at::kFloat), group).equal(host.codes));
  }
}

}  // namespace
}  // namespace bitlaw
