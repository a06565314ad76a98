#include "bitlaw/sdk/grids/device_grid.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "bitlaw/sdk/machine/device_code.h"
#include "uniform_grid_kernel_source.h"

namespace bitlaw {

void FindGroupsOf(const WeightGrid& grid, const at::Tensor& weights, at::Tensor scales, at::Tensor zeros) {
  if (!weights.is_cpu() && grid.FindGroupsOnDevice(weights, scales, zeros)) return;
  const at::Tensor host = weights.cpu();
  const int64_t rows = host.size(0);
  at::Tensor found_scales = at::empty({rows}, at::kFloat), found_zeros = at::empty({rows}, at::kFloat);
  grid.FindGroups(host.data_ptr<float>(), rows, host.size(1), host.stride(0), found_scales.data_ptr<float>(),
                  found_zeros.data_ptr<float>());
  scales.copy_(found_scales);
  zeros.copy_(found_zeros);
}

void FindAllGroupsOf(const WeightGrid& grid, const at::Tensor& weights, int64_t group_size, const at::Tensor& scales,
                     const at::Tensor& zeros) {
  const int64_t rows = weights.size(0), columns = weights.size(1);
  const int64_t group = EffectiveGroupSize(group_size, columns), groups = GroupCount(group_size, columns);
  if (columns == group * groups) {
    FindGroupsOf(grid, weights.view({rows * groups, group}), scales.view({-1}), zeros.view({-1}));
    return;
  }
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = g * group, size = std::min(group, columns - first);
    FindGroupsOf(grid, weights.narrow(1, first, size), scales.select(1, g), zeros.select(1, g));
  }
}

at::Tensor NearestCodesOf(const WeightGrid& grid, const at::Tensor& weights, const at::Tensor& scales,
                          const at::Tensor& zeros, const at::Tensor& group) {
  at::Tensor code = weights.div(scales.index_select(1, group));  // [C_out, C_in]
  if (const std::vector<float> bounds = BoundsOf(grid); !bounds.empty()) {
    return at::bucketize(code, at::tensor(bounds, at::kFloat).to(code.device())).to(at::kByte);
  }
  const double max_code = (1 << grid.bits()) - 1;
  return code.round_().add_(zeros.index_select(1, group)).clamp_(0.0, max_code).to(at::kByte);
}

bool UniformGrid::FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const {
  static DeviceCode code("grid/uniform", kUniformGridKernel);
  if (!code.RunsOn(weights.device())) return false;
  constexpr int64_t kThreads = 128, kGroupsPerBlock = kThreads / 16;
  const int64_t rows = weights.size(0);
  code.Launch(weights.device(), "FindUniformGroups", (rows + kGroupsPerBlock - 1) / kGroupsPerBlock, kThreads, 0,
              static_cast<const float*>(weights.data_ptr<float>()), static_cast<long long>(weights.stride(0)),
              static_cast<long long>(rows), static_cast<long long>(weights.size(1)), scales.data_ptr<float>(),
              static_cast<long long>(scales.stride(0)), zeros.data_ptr<float>(), static_cast<long long>(zeros.stride(0)),
              static_cast<float>(rule_.max_code()),
              rule_.symmetric ? static_cast<float>(1 << (rule_.bits - 1)) : -1.0F,
              static_cast<int>(rule_.scale_dtype == ScaleDtype::kFloat16), rule_.scale_digits, StoredScale(0.0F, rule_.scale_dtype),
              rule_.mse ? static_cast<int>(rule_.mse_max_shrink * rule_.mse_steps) : 0, rule_.mse_steps,
              static_cast<float>(rule_.mse_norm));
  return true;
}

}  // namespace bitlaw
