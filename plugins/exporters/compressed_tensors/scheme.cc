#include "scheme.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "bitlaw/sdk/grids/float_format.h"

namespace bitlaw {
namespace {

bool HasLevelsOf(const QuantizedLinear& q, FloatFormat format) {
  const std::span<const float> levels = LevelsOf(format);
  return q.levels.defined() && q.levels.cpu().equal(at::tensor(at::ArrayRef<float>(levels.data(), levels.size())));
}

// The form of a layer's weights; nullopt for levels, blocks or scales of which no format is.
std::optional<WeightForm> FormOf(const QuantizedLinear& q) {
  if (!q.levels.defined()) {
    const bool takes_bytes = q.bits == 8 && q.activation && q.activation->format == InputFormat::kInteger &&
                             q.activation->bits == 8;
    return takes_bytes ? WeightForm::kInt8 : WeightForm::kPackedInt;
  }
  if (!q.symmetric) return std::nullopt;  // Levels less a zero point.
  const bool has_powers = q.scale_dtype == "float8_e8m0fnu";
  if (HasLevelsOf(q, FloatFormat::kE2M1)) {
    if (q.scale_dtype == "float8_e4m3fn" && q.group_size == 16) return WeightForm::kNvfp4;
    if (has_powers && q.group_size == 32) return WeightForm::kMxfp4;
  }
  if (HasLevelsOf(q, FloatFormat::kE4M3)) {
    if (has_powers && q.group_size == 32) return WeightForm::kMxfp8;
    if (q.scale_dtype == "float16" || q.scale_dtype == "float32") return WeightForm::kFloat8;
  }
  return std::nullopt;
}

std::string ExplainInputs(const ActivationGrid& inputs) {
  if (inputs.format == InputFormat::kInteger && inputs.bits > 8) {
    return fmt::format("its inputs are rounded to {} bits. The format has 8 at most.", inputs.bits);
  }
  if (inputs.group_size != 0) {
    return "its inputs have a scale each group of channels, and readers take one a token or one a tensor. Set "
           "activations.per: token.";
  }
  const bool has_powers = inputs.format == InputFormat::kMxfp4 || inputs.format == InputFormat::kMxfp8;
  if (has_powers && inputs.scale_rule != MxScale::kRound) {
    return fmt::format("the scales of its inputs are found by scale_rule: {}, and readers round them to the nearest power of "
                       "two. Set activations.scale_rule: round.",
                       Name(inputs.scale_rule));
  }
  return "";
}

}  // namespace

Scheme SchemeOf(const ExportLayer& layer) {
  const QuantizedLinear& q = layer.linear;
  Scheme scheme;
  scheme.form = FormOf(q).value();
  scheme.bits = q.bits;
  scheme.symmetric = q.symmetric;
  const bool has_blocks = scheme.is_float() && scheme.form != WeightForm::kFloat8;
  scheme.group_size = q.group_size == layer.shape.in_features && !has_blocks ? 0 : q.group_size;
  scheme.one_scale = scheme.form == WeightForm::kFloat8 && scheme.group_size == 0 && q.scales.numel() > 1 &&
                     q.scales.eq(q.scales.flatten()[0]).all().item<bool>();
  scheme.is_scattered = scheme.group_size != 0 && !q.GroupsAreRuns();
  if (q.activation) {
    scheme.inputs = q.activation;
    scheme.inputs->static_scale = 0;
    scheme.inputs->static_zero = 0;
    scheme.inputs->scale_divisor = 0;
  }
  return scheme;
}

std::string ExplainNoScheme(const ExportLayer& layer, bool takes_scattered) {
  const QuantizedLinear& q = layer.linear;
  if (!FormOf(q)) {
    return "its grid has levels of its own; the format holds integers, E2M1 and E4M3. Use grid uniform, nvfp4, mxfp4, "
           "mxfp8 or fp8 with format: e4m3.";
  }
  if (q.has_real_zeros()) return "its zero points are real numbers; the format holds integers. Use exporter dense.";
  if (q.row_index.defined()) return "its rows share scales, which the format cannot say. Use exporter dense.";
  if (q.input_scale.defined()) return "its inputs are divided by a scale, which the format cannot say.";
  const Scheme scheme = SchemeOf(layer);
  if (scheme.group_size != 0 && layer.shape.in_features % scheme.group_size != 0) {
    return fmt::format("its last group is shorter than {}, which readers refuse.", scheme.group_size);
  }
  if (scheme.is_scattered && scheme.is_float()) {
    return "the columns of a group do not lie together (act_order), which the format says of integers alone. Quantize "
           "with group_params: static.";
  }
  if (scheme.is_scattered && !takes_scattered) {
    return "the columns of a group do not lie together (act_order), and readers since compressed-tensors 0.20 take no "
           "weight_g_idx. Quantize with group_params: static, or set g_idx: true for earlier readers.";
  }
  return q.activation ? ExplainInputs(*q.activation) : "";
}

std::string Scheme::format() const {
  switch (form) {
    case WeightForm::kPackedInt: return "pack-quantized";
    case WeightForm::kInt8: return "int-quantized";
    case WeightForm::kFloat8: return inputs ? "float-quantized" : "naive-quantized";
    case WeightForm::kMxfp8: return "mxfp8-quantized";
    case WeightForm::kNvfp4: return "nvfp4-pack-quantized";
    case WeightForm::kMxfp4: return "mxfp4-pack-quantized";
  }
  return "";
}

namespace {

// Keys of blocks that share a scale of eight bits, of weights and inputs alike.
void SetBlocks(Value& args, const char* strategy, int64_t group_size, const char* scale_dtype) {
  args.Set("strategy", strategy);
  args.Set("group_size", group_size);
  args.Set("scale_dtype", scale_dtype);
  args.Set("zp_dtype", scale_dtype);
}

Value InputsJson(const ActivationGrid& inputs) {
  const bool is_integer = inputs.format == InputFormat::kInteger;
  Value args = Value::Map{{"num_bits", inputs.bits},
                          {"type", is_integer ? "int" : "float"},
                          {"symmetric", !is_integer || inputs.symmetric}};
  switch (inputs.format) {
    case InputFormat::kInteger:
    case InputFormat::kFp8E4m3:
      args.Set("strategy", inputs.per_token ? "token" : "tensor");
      args.Set("dynamic", inputs.per_token);
      break;
    case InputFormat::kMxfp4:
    case InputFormat::kMxfp8:
      SetBlocks(args, "group", 32, "torch.uint8");
      args.Set("dynamic", true);
      break;
    case InputFormat::kNvfp4:
      SetBlocks(args, "tensor_group", 16, "torch.float8_e4m3fn");
      args.Set("dynamic", "local");
      break;
  }
  return args;
}

}  // namespace

Value Scheme::Json(const Value& targets) const {
  Value weights = Value::Map{{"num_bits", bits},
                             {"type", is_float() ? "float" : "int"},
                             {"symmetric", symmetric},
                             {"dynamic", false}};
  if (form == WeightForm::kNvfp4) {
    SetBlocks(weights, "tensor_group", 16, "torch.float8_e4m3fn");
  } else if (form == WeightForm::kMxfp4 || form == WeightForm::kMxfp8) {
    SetBlocks(weights, "group", 32, "torch.uint8");
  } else {
    weights.Set("strategy", group_size != 0 ? "group" : one_scale ? "tensor" : "channel");
    if (group_size != 0) weights.Set("group_size", group_size);
  }
  if (is_scattered) weights.Set("actorder", "group");
  const Value input_args = inputs ? InputsJson(*inputs) : Value();
  return Value::Map{
      {"targets", targets}, {"weights", weights}, {"input_activations", input_args}, {"format", format()}};
}

}  // namespace bitlaw
