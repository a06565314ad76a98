#include "fp8.h"

#include <ATen/ATen.h>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/grid_options.h"
#include "bitlaw/sdk/grids/mx_grid.h"

namespace bitlaw {

OptionSchema Fp8Grid::Schema() {
  OptionSchema schema;
  schema.Choice("format", {"e4m3", "e5m2"}).Default("e4m3").Doc("Exponent and mantissa bits of a weight.");
  schema.Choice("scale", {"group", "tensor", "site"})
      .Default("group")
      .Doc("What shares a scale: group: a group of group_size (a row where that is 'row'); tensor: the whole layer; site: "
           "all layers that read one input (q, k and v; gate and up), which vLLM computes as one. The last two take "
           "group_size: row.");
  AddScaleDtypeOption(schema, "float32");
  AddRangeSearchOptions(schema);
  return schema;
}

Fp8Grid::Rule Fp8Grid::RuleFrom(const Options& options) {
  const Rule rule{.format = options.String("format") == "e5m2" ? FloatFormat::kE5M2 : FloatFormat::kE4M3,
                  .scale_dtype = ScaleDtypeFrom(options),
                  .one_scale = options.String("scale") != "group",
                  .one_a_site = options.String("scale") == "site",
                  .search = RangeSearchFrom(options)};
  if (rule.one_scale && rule.search.is_on) {
    throw Error(ErrorKind::kUnsupported,
                "mse searches the range of each group, and scale: " + options.String("scale") + " gives all of them one. "
                "Leave mse out, or set scale: group.");
  }
  return rule;
}

std::string Fp8Grid::ExplainGroupSize(int64_t group_size) const {
  if (!rule_.one_scale || group_size == -1) return "";
  return std::string("grid 'fp8' has one scale a ") +
         (rule_.one_a_site ? "site (scale: site)" : "tensor (scale: tensor)") + ", and group_size is " +
         std::to_string(group_size) + ". Set group_size: row.";
}

float Fp8Grid::ScaleOf(float largest) const {
  return largest == 0 ? 1.0F : StoredScale(largest / LargestOf(rule_.format), rule_.scale_dtype);
}

std::shared_ptr<const WeightGrid> Fp8Grid::ForTensor(const at::Tensor& weight) const {
  if (!rule_.one_scale || tensor_scale_ != 0) return nullptr;
  return std::make_shared<Fp8Grid>(rule_, ScaleOf(LargestMagnitude({&weight, 1})));
}

std::shared_ptr<const WeightGrid> Fp8Grid::ForSite(std::span<const at::Tensor> weights) const {
  if (!rule_.one_a_site || tensor_scale_ != 0) return nullptr;
  return std::make_shared<Fp8Grid>(rule_, ScaleOf(LargestMagnitude(weights)));
}

void Fp8Grid::FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                         float* zeros) const {
  const auto scale_of = [this](float largest) { return tensor_scale_ != 0 ? tensor_scale_ : ScaleOf(largest); };
  FindScales(*this, rule_.search, scale_of, weights, rows, columns, row_stride, scales, zeros);
}

bool Fp8Grid::FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const {
  if (rule_.search.is_on) return false;
  zeros.zero_();
  if (tensor_scale_ != 0) {
    scales.fill_(tensor_scale_);
    return true;
  }
  const at::Tensor largest = weights.abs().amax(1);  // [rows]
  // A tensor for the divisor: what a device does with a number may be a product with its inverse.
  at::Tensor scale = largest.div(at::full_like(largest, LargestOf(rule_.format)));
  if (rule_.scale_dtype == ScaleDtype::kFloat16) scale = scale.to(at::kHalf).to(at::kFloat);
  scale = scale.masked_fill(scale == 0, StoredScale(0.0F, rule_.scale_dtype));
  scales.copy_(scale.masked_fill(largest == 0, 1.0));
  return true;
}

}  // namespace bitlaw
