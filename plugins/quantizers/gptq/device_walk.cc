#include "device_walk.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/machine/device_code.h"
#include "walk_kernel_source.h"

namespace bitlaw {
namespace {

// Those of walk_kernel.cu.
constexpr int64_t kThreadsPerRow = 4, kMostColumns = 128;
constexpr int64_t kThreads = 64;

DeviceCode& Kernels() {
  static DeviceCode code("quantizer/gptq", kWalkKernels);
  return code;
}

class DeviceWalk {
 public:
  DeviceWalk(const ColumnWalkPlan& plan, const at::Tensor& group_of, at::Tensor& weight, const at::Tensor& factor,
             at::Tensor& codes, at::Tensor& scales, at::Tensor& zeros)
      : plan_(plan),
        items_(factor.size(0)),
        rows_(weight.size(0)),
        columns_(weight.size(1)),
        weight_(weight),
        factor_(factor),
        codes_(codes),
        scales_(scales),
        zeros_(zeros),
        group_of_(group_of),
        errors_(at::empty({rows_, plan.block_size}, weight.options())) {
    if (const std::span<const float> levels = plan.grid->levels(); !levels.empty()) {
      const std::vector<float> bounds = BoundsOf(*plan.grid);
      levels_ = at::tensor(at::ArrayRef<float>(levels.data(), levels.size()), at::kFloat).to(weight.device());
      bounds_ = at::tensor(at::ArrayRef<float>(bounds), at::kFloat).to(weight.device());
    }
  }

  void Run() {
    for (int64_t begin = 0; begin < columns_; begin += plan_.block_size) {
      const int64_t count = std::min(plan_.block_size, columns_ - begin), end = begin + count;
      tile_ = weight_.narrow(1, begin, count).clone(at::MemoryFormat::Contiguous);  // [rows, count]
      for (int64_t from = begin; from < end;) {
        int64_t to = std::min(end, from + kMostColumns);
        if (!plan_.grids_are_given) {
          if (from % plan_.group_size == 0) FindGroupGrid(begin, count, from);
          to = std::min(to, (from / plan_.group_size + 1) * plan_.group_size);
        }
        WalkPart(begin, count, from, to - from);
        from = to;
      }
      if (end == columns_) break;
      weight_.view({items_, -1, columns_})
          .narrow(2, end, columns_ - end)
          .baddbmm_(errors_.view({items_, -1, plan_.block_size}).narrow(2, 0, count),
                    factor_.narrow(1, begin, count).narrow(2, end, columns_ - end),
                    /*beta=*/1, /*alpha=*/-1);  // [items, C_out, C_in - end]
    }
  }

 private:
  void FindGroupGrid(int64_t begin, int64_t count, int64_t position) {
    const int64_t size = std::min(plan_.group_size, columns_ - position), group = position / plan_.group_size;
    if (plan_.group_params == GroupParams::kInBlock) {
      const int64_t held = std::min(size, begin + count - position);
      weight_.narrow(1, position, held).copy_(tile_.narrow(1, position - begin, held));
    }
    ForEachGrid(plan_, rows_, [&](const WeightGrid& grid, int64_t first, int64_t rows) {
      FindGroupsOf(grid, weight_.narrow(0, first, rows).narrow(1, position, size),
                   scales_.narrow(0, first, rows).select(1, group), zeros_.narrow(0, first, rows).select(1, group));
    });
  }

  // Columns [from, from + part) of the block that begins at `begin`.
  void WalkPart(int64_t begin, int64_t count, int64_t from, int64_t part) {
    const at::Device device = weight_.device();
    float* const tile = tile_.data_ptr<float>() + (from - begin);
    float* const errors = errors_.data_ptr<float>() + (from - begin);
    const float* const factor = factor_.data_ptr<float>() + from * columns_ + from;
    const long long all_rows = rows_, rows = rows_ / items_, columns = columns_, tile_stride = count,
                    error_stride = plan_.block_size, groups = scales_.size(1), factor_step = columns * columns;
    constexpr int64_t kRows = kThreads / kThreadsPerRow;
    Kernels().Launch(device, "WalkTile", items_ * ((rows + kRows - 1) / kRows), kThreads,
                     part * kMostColumns * static_cast<int64_t>(sizeof(float)), static_cast<const float*>(tile), tile_stride,
                     factor, columns, codes_.data_ptr<uint8_t>() + from, columns, errors, error_stride,
                     static_cast<const float*>(scales_.data_ptr<float>()),
                     static_cast<const float*>(zeros_.data_ptr<float>()), groups,
                     static_cast<const int*>(group_of_.data_ptr<int32_t>() + from),
                     levels_.defined() ? static_cast<const float*>(levels_.data_ptr<float>()) : nullptr,
                     levels_.defined() ? static_cast<const float*>(bounds_.data_ptr<float>()) : nullptr,
                     levels_.defined() ? static_cast<int>(bounds_.numel()) : 0,
                     static_cast<float>((1 << plan_.grid->bits()) - 1), rows, factor_step, columns,
                     static_cast<int>(part));
    const int64_t right = begin + count - from - part;
    if (right == 0) return;
    constexpr int64_t kSpreadThreads = 256;
    Kernels().Launch(device, "SpreadErrors", (rows_ * right + kSpreadThreads - 1) / kSpreadThreads, kSpreadThreads, 0,
                     tile + part, tile_stride, factor + part, columns, static_cast<const float*>(errors), error_stride,
                     all_rows, rows, factor_step, static_cast<int>(part), static_cast<int>(right));
  }

  const ColumnWalkPlan& plan_;
  const int64_t items_, rows_, columns_;  // Rows of all items.
  at::Tensor& weight_;
  const at::Tensor& factor_;
  at::Tensor &codes_, &scales_, &zeros_;
  const at::Tensor& group_of_;     // [items, C_in] int32
  at::Tensor errors_;              // [rows, block_size]
  at::Tensor tile_;                // [rows, count] The block's weights with all compensation.
  at::Tensor levels_, bounds_;     // Of a grid of levels; BoundsOf().
};

}  // namespace

bool WalksOn(const at::Device& device) { return device.is_cuda() && Kernels().RunsOn(device); }

void WalkColumnsOnDevice(const ColumnWalkPlan& plan, const at::Tensor& group_of, at::Tensor& weight,
                         const at::Tensor& factor, at::Tensor& codes, at::Tensor& scales, at::Tensor& zeros) {
  DeviceWalk(plan, group_of, weight, factor, codes, scales, zeros).Run();
}

}  // namespace bitlaw
