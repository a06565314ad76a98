#include <ATen/ATen.h>

#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"
#include "math/matrix_product.h"

namespace bitlaw {

Linear::Linear(LinearShape shape, at::Tensor weight, at::Tensor bias)
    : shape_(std::move(shape)), weight_(std::move(weight)), bias_(std::move(bias)) {
  if (!weight_.defined() || weight_.dim() != 2 || weight_.size(0) != shape_.out_features ||
      weight_.size(1) != shape_.in_features) {
    throw InternalError(shape_.name + ": the weight is not [" + std::to_string(shape_.out_features) + ", " +
                        std::to_string(shape_.in_features) + "].");
  }
  if (bias_.defined() && (bias_.dim() != 1 || bias_.size(0) != shape_.out_features)) {
    throw InternalError(shape_.name + ": the bias is not [" + std::to_string(shape_.out_features) + "].");
  }
}

at::Tensor Linear::Apply(const at::Tensor& input) const {
  std::vector<int64_t> sizes = input.sizes().vec();
  if (sizes.empty() || sizes.back() != shape_.in_features) {
    throw InternalError(shape_.name + ": the input's last dimension is not C_in = " +
                        std::to_string(shape_.in_features) + ".");
  }
  at::Tensor rows = input.reshape({-1, shape_.in_features});  // [rows, C_in]
  if (input_scale_.defined() || activation_) {
    at::Tensor exact = rows.to(at::kFloat);
    if (input_scale_.defined()) exact = exact.div(input_scale_);
    if (activation_) exact = activation_->Round(exact);
    rows = exact;
  }
  sizes.back() = shape_.out_features;
  return TimesTransposed(rows.to(weight_.scalar_type()), weight_, bias_).view(sizes);  // [..., C_out]
}

void Linear::Replace(at::Tensor weight, at::Tensor bias) {
  if (is_quantized_) throw InternalError(shape_.name + ": its weight was to be replaced after it was quantized.");
  if (weight.sizes() != weight_.sizes() || weight.scalar_type() != weight_.scalar_type() ||
      bias.defined() != bias_.defined() || (bias.defined() && bias.sizes() != bias_.sizes())) {
    throw InternalError(shape_.name + ": its weight or bias was to be replaced by one of another shape or type.");
  }
  weight_ = std::move(weight);
  bias_ = std::move(bias);
}

void Linear::Install(const QuantizedLinear& given) {
  QuantizedLinear quantized = given;
  for (at::Tensor* tensor : {&quantized.codes, &quantized.scales, &quantized.zeros, &quantized.group_index,
                             &quantized.row_index, &quantized.levels, &quantized.input_scale}) {
    if (tensor->defined()) *tensor = tensor->to(weight_.device());
  }
  quantized.Validate(shape_);
  weight_ = quantized.Dequantize().to(weight_.options());  // [C_out, C_in]
  input_scale_ = quantized.input_scale.defined()
                     ? quantized.input_scale.to(weight_.options().dtype(at::kFloat))
                     : at::Tensor();  // [C_in]
  if (quantized.activation) activation_ = quantized.activation;
  is_quantized_ = true;
}

}  // namespace bitlaw
