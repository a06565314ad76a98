#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "bitlaw/sdk/grids/range_search.h"

namespace bitlaw {

/// Blocks of 32 small floating-point numbers with a scale that is a power of two, stored in 8 bits (E8M0):
///
///   w ~ scale * level(code),   levels: LevelsOf(format), code: the nearest level, halfway to the even one
///
/// With a range search the power of two is the one that errs least, of kCeil's and those below it that cut a block off
/// at a fifth of its range or more (range_search.h), whatever the rule says.
/// A block of zeros has the scale 1. Scales lie in [2^-126, 2^127]: E8M0's smallest, 2^-127, is not used, for it is no
/// normal number of float32.
///
/// Errors   none.
/// Source   OCP Microscaling Formats (MX) Specification v1.0, sections 5 and 6.3.
class BITLAW_EXPORT MxGrid final : public WeightGrid {
 public:
  static constexpr int64_t kBlock = 32;

  /// `name` is for messages: "mxfp4".
  MxGrid(std::string name, FloatFormat format, MxScale scale, RangeSearch search = {})
      : name_(std::move(name)), format_(format), scale_(search.is_on ? MxScale::kCeil : scale), search_(search) {}

  /// Adds scale_rule, mse and mse_norm.
  static void AddOptions(OptionSchema& schema);
  static MxScale ScaleFrom(const Options& options);

  int bits() const override { return format_ == FloatFormat::kE2M1 ? 4 : 8; }
  std::span<const float> levels() const override { return LevelsOf(format_); }
  std::span<const float> bounds() const override { return BoundsOf(format_); }
  bool stores_zeros() const override { return false; }
  std::string_view scale_dtype() const override { return "float8_e8m0fnu"; }
  int scale_bits() const override { return 8; }
  std::string ExplainGroupSize(int64_t group_size) const override;
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                  float* zeros) const override;
  bool FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const override;

 private:
  float ScaleOf(float largest) const;

  std::string name_;
  FloatFormat format_;
  MxScale scale_;
  RangeSearch search_;
};

/// Why groups are of `block` columns and no other: ExplainGroupSize() of a grid with one block size.
BITLAW_EXPORT std::string ExplainBlockSize(std::string_view grid, int64_t block, int64_t group_size);

/// max |w| of one group of a row.
BITLAW_EXPORT float LargestMagnitude(const float* weights, int64_t columns);

}  // namespace bitlaw
