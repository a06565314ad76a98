#include "bitlaw/api/quantized_linear.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bitlaw/base/error.h"

namespace bitlaw {

std::string_view Name(QuantizeFallback fallback) {
  switch (fallback) {
    case QuantizeFallback::kNone: return "none";
    case QuantizeFallback::kDampingRaised: return "damping_raised";
    case QuantizeFallback::kRoundToNearest: return "round_to_nearest";
  }
  throw InternalError("QuantizeFallback out of range");
}

at::Tensor QuantizedLinear::Dequantize() const {
  const at::Tensor group = group_index.to(at::kLong);                               // [C_in]
  const at::Tensor zero = zeros.to(at::kFloat).index_select(1, group);              // [C_out, C_in]
  at::Tensor level = levels.defined() ? levels.index_select(0, codes.flatten().to(at::kLong)).view_as(codes)
                                      : codes.to(at::kFloat);                       // [C_out, C_in]
  return level.sub_(zero).mul_(scales.index_select(1, group));                      // [C_out, C_in]
}

bool QuantizedLinear::GroupsAreRuns() const {
  const at::Tensor runs = at::arange(group_index.numel(), at::kInt).div(group_size, "floor").to(at::kInt);
  return group_index.cpu().equal(runs);
}

namespace {

std::string Sizes(at::IntArrayRef sizes) {
  std::string text = "[";
  for (const int64_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

// "" if `tensor` has this dtype and these sizes; otherwise the rule it breaks.
std::string ExplainForm(const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                        const std::vector<int64_t>& sizes) {
  if (!tensor.defined()) return std::string(name) + " is undefined.";
  if (tensor.scalar_type() != dtype) {
    return std::string(name) + " is " + at::toString(tensor.scalar_type()) + ". It must be " + at::toString(dtype) +
           ".";
  }
  if (tensor.sizes() != at::IntArrayRef(sizes)) {
    return std::string(name) + " is " + Sizes(tensor.sizes()) + ". It must be " + Sizes(sizes) + ".";
  }
  return "";
}

std::string ExplainInvalid(const QuantizedLinear& q, const LinearShape& layer) {
  const int64_t c_out = layer.out_features, c_in = layer.in_features;
  if (q.bits < 1 || q.bits > 8) return "bits is " + std::to_string(q.bits) + ". It must lie in [1, 8].";
  if (q.group_size < 1 || q.group_size > c_in) {
    return "group_size is " + std::to_string(q.group_size) + ". It must lie in [1, C_in = " + std::to_string(c_in) +
           "].";
  }
  const int64_t groups = (c_in + q.group_size - 1) / q.group_size;
  for (const std::string& broken :
       {ExplainForm("codes", q.codes, at::kByte, {c_out, c_in}),
        ExplainForm("scales", q.scales, at::kFloat, {c_out, groups}),
        ExplainForm("zeros", q.zeros, at::kByte, {c_out, groups}),
        ExplainForm("group_index", q.group_index, at::kInt, {c_in}),
        q.input_scale.defined() ? ExplainForm("input_scale", q.input_scale, at::kFloat, {c_in}) : ""}) {
    if (!broken.empty()) return broken;
  }
  const int code_max = (1 << q.bits) - 1;
  if (q.levels.defined()) {
    if (q.levels.dim() != 1 || q.levels.numel() < 2 || q.levels.numel() > code_max + 1) {
      return "levels is " + Sizes(q.levels.sizes()) + ". With bits = " + std::to_string(q.bits) +
             " it must be a list of 2 to " + std::to_string(code_max + 1) + ".";
    }
    if (const std::string broken = ExplainForm("levels", q.levels, at::kFloat, {q.levels.numel()}); !broken.empty()) {
      return broken;
    }
    if (!q.levels.isfinite().all().item<bool>() || !(q.levels.diff() > 0).all().item<bool>()) {
      return "levels are not finite and ascending.";
    }
    const int64_t last = q.levels.numel() - 1;
    if (const int highest = q.codes.max().item<int>(); highest > last) {
      return "codes reach " + std::to_string(highest) + ". There are " + std::to_string(last + 1) + " levels.";
    }
  }
  for (const auto& [name, tensor] : {std::pair<const char*, const at::Tensor&>("codes", q.codes), {"zeros", q.zeros}}) {
    const int highest = tensor.max().item<int>();
    if (highest > code_max) {
      return std::string(name) + " reach " + std::to_string(highest) + ". With bits = " + std::to_string(q.bits) +
             " they must lie in [0, " + std::to_string(code_max) + "].";
    }
  }
  const int lowest_group = q.group_index.min().item<int>(), highest_group = q.group_index.max().item<int>();
  if (lowest_group < 0 || highest_group >= groups) {
    return "group_index spans [" + std::to_string(lowest_group) + ", " + std::to_string(highest_group) +
           "]. There are " + std::to_string(groups) + " groups.";
  }
  if (!q.scales.isfinite().all().item<bool>()) return "scales hold a value that is not finite.";
  if (q.scale_dtype != "float32" && q.scale_dtype != "float16") {
    return "scale_dtype is '" + q.scale_dtype + "'. It must be float32 or float16.";
  }
  if (q.scale_dtype == "float16" && !q.scales.to(at::kHalf).to(at::kFloat).equal(q.scales)) {
    return "scale_dtype is 'float16' but a scale is not exact in float16.";
  }
  if (q.input_scale.defined() && !(q.input_scale.isfinite() & (q.input_scale > 0)).all().item<bool>()) {
    return "input_scale holds a value that is not finite and positive.";
  }
  if (q.activation) {
    if (q.activation->bits < 2 || q.activation->bits > 16) {
      return "activation.bits is " + std::to_string(q.activation->bits) + ". It must lie in [2, 16].";
    }
    if (!q.activation->per_token && !q.activation->symmetric) {
      return "activation is static and asymmetric. A static grid has a scale and no zero point, so it is symmetric.";
    }
    if (!q.activation->per_token && !(std::isfinite(q.activation->static_scale) && q.activation->static_scale > 0)) {
      return "activation.static_scale is " + std::to_string(q.activation->static_scale) +
             ". It must be finite and positive.";
    }
  }
  return "";
}

}  // namespace

void QuantizedLinear::Validate(const LinearShape& layer) const {
  const std::string broken = ExplainInvalid(*this, layer);
  if (!broken.empty()) throw InternalError(layer.name + ": quantized layer: " + broken);
}

}  // namespace bitlaw
