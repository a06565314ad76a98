#pragma once

#include <span>
#include <string_view>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "bitlaw/sdk/grids/range_search.h"

namespace bitlaw {

/// NormalFloat4: sixteen levels at quantiles of a normal distribution, zero among them, scaled by the largest weight of
/// the group.
///
///   w ~ scale * level(code),   scale = max |w|,   levels from -1 to 1
///
/// With a range search max |w| is times the p that errs least (range_search.h).
///
/// Errors   none; a group of zeros has the scale 1.
/// Source   Dettmers et al. 2023, arXiv:2305.14314 (QLoRA), Appendix E; the levels are those of bitsandbytes, digit by
///          digit.
class Nf4Grid final : public WeightGrid {
 public:
  explicit Nf4Grid(ScaleDtype scale_dtype, RangeSearch search = {}) : scale_dtype_(scale_dtype), search_(search) {}

  static OptionSchema Schema();

  int bits() const override { return 4; }
  std::span<const float> levels() const override;
  bool stores_zeros() const override { return false; }
  std::string_view scale_dtype() const override { return Name(scale_dtype_); }
  int scale_bits() const override { return ScaleBits(scale_dtype_); }
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                  float* zeros) const override;
  bool FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const override;

 private:
  ScaleDtype scale_dtype_;
  RangeSearch search_;
};

}  // namespace bitlaw
