#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "bitlaw/sdk/grids/range_search.h"

namespace bitlaw {

/// Eight-bit floating-point numbers with a scale a group, a row or a tensor:
///
///   w ~ scale * level(code),   scale = max |w| / largest level        rounded to scale_dtype
///   levels: E4M3 (448) or E5M2 (57344); code: the nearest level, halfway to the even one, cut off at the largest
///
/// With a range search max |w| is times the p that errs least (range_search.h).
///
/// Errors   none; a group of zeros has the scale 1.
/// Source   OCP 8-bit Floating Point Specification (OFP8) v1.0; Micikevicius et al. 2022, arXiv:2209.05433.
class Fp8Grid final : public WeightGrid {
 public:
  struct Rule {
    FloatFormat format = FloatFormat::kE4M3;
    ScaleDtype scale_dtype = ScaleDtype::kFloat32;
    bool one_scale = false;  ///< The whole tensor has one.
    bool one_a_site = false;  ///< All tensors that read one input have one; only with one_scale.
    RangeSearch search{};    ///< Of the range of a group.
  };

  static OptionSchema Schema();
  /// Error(kUnsupported) for a range search with one scale a tensor.
  static Rule RuleFrom(const Options& options);

  /// `tensor_scale`: of the tensor whose grid this is; 0: of none yet, or a scale a group.
  explicit Fp8Grid(Rule rule, float tensor_scale = 0) : rule_(rule), tensor_scale_(tensor_scale) {}

  int bits() const override { return 8; }
  std::span<const float> levels() const override { return LevelsOf(rule_.format); }
  std::span<const float> bounds() const override { return BoundsOf(rule_.format); }
  bool stores_zeros() const override { return false; }
  std::string_view scale_dtype() const override { return Name(rule_.scale_dtype); }
  int scale_bits() const override { return rule_.one_scale ? 0 : ScaleBits(rule_.scale_dtype); }
  int tensor_bits() const override { return rule_.one_scale ? ScaleBits(rule_.scale_dtype) : 0; }
  std::string ExplainGroupSize(int64_t group_size) const override;
  std::shared_ptr<const WeightGrid> ForTensor(const at::Tensor& weight) const override;
  std::shared_ptr<const WeightGrid> ForSite(std::span<const at::Tensor> weights) const override;
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                  float* zeros) const override;
  bool FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const override;

 private:
  float ScaleOf(float largest) const;

  Rule rule_;
  float tensor_scale_;
};

}  // namespace bitlaw
