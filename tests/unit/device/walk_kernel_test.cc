// GPTQ's walk as a device does it, against the host's: walk_kernel.cu run by an emulation, launched by the plugin's own
// device_walk.cc on tensors of the host.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string_view>
#include <type_traits>

#include "column_walk.h"
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
  (on_device ? WalkColumnsOnDevice : WalkColumns)(plan, walked.weight, factor, walked.codes, walked.scales, walked.zeros);
  return walked;
}

TEST(DeviceWalk, GivesTheHostsCodesAndScalesBitForBit) {
  const UniformGrid four({.bits = 4}), three({.bits = 3, .symmetric = true}), searched({.bits = 2, .mse = true});
  const Nf4Grid levels(ScaleDtype::kFloat32);
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

}  // namespace
}  // namespace bitlaw
