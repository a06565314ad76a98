#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "bitlaw/sdk/grids/mx_grid.h"

namespace bitlaw {

/// Blocks of 16 four-bit floating-point numbers; the scale of a block is an eight-bit one, and the tensor has one more:
///
///   w ~ (s / d) * level(code)          levels: E2M1; code: the nearest level, halfway to the even one
///   d = 448 * 6 / max |W|              of the whole tensor, or of all tensors that read one input (ForSite()), float32
///   s = E4M3(d * (max |w| / 6))        of the block; 2^-9, the smallest, where that gives 0
///
/// The largest block's scale is 448 / d, so that the blocks' scales use the range that E4M3 has.
///
/// With a range search s is that of max |w| times the p that errs least (range_search.h); d stays.
///
/// Errors   none; d = 1 for a tensor of zeros or of weights so small that d leaves float32.
/// Source   NVIDIA's NVFP4 as compressed-tensors computes it; the README of grid/nvfp4 names what differs.
class BITLAW_EXPORT Nvfp4Grid final : public WeightGrid {
 public:
  static constexpr int64_t kBlock = 16;

  /// Of a tensor whose d is `divisor`; 0: of none yet. `one_a_site`: what reads one input has one d.
  explicit Nvfp4Grid(float divisor = 0, RangeSearch search = {}, bool one_a_site = true)
      : divisor_(divisor), search_(search), one_a_site_(one_a_site) {}

  /// d of a tensor whose largest magnitude is `largest`: (448 * 6) * (1 / largest) in float32, as compressed-tensors has it.
  static float DivisorFor(float largest);

  int bits() const override { return 4; }
  std::span<const float> levels() const override { return LevelsOf(FloatFormat::kE2M1); }
  std::span<const float> bounds() const override { return BoundsOf(FloatFormat::kE2M1); }
  bool stores_zeros() const override { return false; }
  std::string_view scale_dtype() const override { return "float8_e4m3fn"; }
  int scale_bits() const override { return 8; }
  int tensor_bits() const override { return 32; }
  std::string ExplainGroupSize(int64_t group_size) const override {
    return ExplainBlockSize("nvfp4", kBlock, group_size);
  }
  std::shared_ptr<const WeightGrid> ForTensor(const at::Tensor& weight) const override;
  std::shared_ptr<const WeightGrid> ForSite(std::span<const at::Tensor> weights) const override;
  float scale_divisor() const override { return divisor_ == 0 ? 1.0F : divisor_; }
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                  float* zeros) const override;
  bool FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const override;

 private:
  float ScaleOf(float largest) const;

  float divisor_;
  RangeSearch search_;
  bool one_a_site_;
};

}  // namespace bitlaw
