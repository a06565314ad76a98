#include "scheme.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

namespace bitlaw {
Scheme SchemeOf(const ExportLayer& layer) {
  const QuantizedLinear& q = layer.linear;
  Scheme scheme;
  scheme.bits = q.bits;
  scheme.symmetric = q.symmetric;
  scheme.group_size = q.group_size == layer.shape.in_features ? 0 : q.group_size;
  scheme.is_scattered = scheme.group_size != 0 && !q.GroupsAreRuns();
  if (q.activation) {
    scheme.input_bits = q.activation->bits;
    scheme.input_symmetric = q.activation->symmetric;
    scheme.input_per_token = q.activation->per_token;
  }
  return scheme;
}

std::string ExplainNoScheme(const ExportLayer& layer, bool takes_scattered) {
  const QuantizedLinear& q = layer.linear;
  if (q.levels.defined()) return "its grid has levels of its own; the format holds integers. Use grid uniform.";
  if (q.has_real_zeros()) return "its zero points are real numbers; the format holds integers. Use exporter dense.";
  if (q.row_index.defined()) return "its rows share scales, which the format cannot say. Use exporter dense.";
  if (q.input_scale.defined()) return "its inputs are divided by a scale, which the format cannot say.";
  const Scheme scheme = SchemeOf(layer);
  if (scheme.group_size != 0 && layer.shape.in_features % scheme.group_size != 0) {
    return fmt::format("its last group is shorter than {}, which readers refuse.", scheme.group_size);
  }
  if (scheme.is_scattered && !takes_scattered) {
    return "the columns of a group do not lie together (act_order), and readers since compressed-tensors 0.20 take no "
           "weight_g_idx. Quantize with group_params: static, or set g_idx: true for earlier readers.";
  }
  if (q.activation && q.activation->format != InputFormat::kInteger) {
    return fmt::format("its inputs are rounded to {}, and this exporter writes inputs of integers alone. Leave "
                       "activations.format out.",
                       Name(q.activation->format));
  }
  if (q.activation && q.activation->group_size != 0) {
    return "its inputs have a scale each group of channels, and readers take one a token or one a tensor. Set "
           "activations.per: token.";
  }
  if (scheme.input_bits > 8) {
    return fmt::format("its inputs are rounded to {} bits. The format has 8 at most.", scheme.input_bits);
  }
  return "";
}

Value Scheme::Json(const Value& targets) const {
  Value weights = Value::Map{{"num_bits", bits},
                             {"type", "int"},
                             {"symmetric", symmetric},
                             {"strategy", group_size == 0 ? "channel" : "group"},
                             {"dynamic", false}};
  if (group_size != 0) weights.Set("group_size", group_size);
  if (is_scattered) weights.Set("actorder", "group");
  Value inputs;
  if (input_bits != 0) {
    inputs = Value::Map{{"num_bits", input_bits},
                        {"type", "int"},
                        {"symmetric", input_symmetric},
                        {"strategy", input_per_token ? "token" : "tensor"},
                        {"dynamic", input_per_token}};
  }
  return Value::Map{{"targets", targets}, {"weights", weights}, {"input_activations", inputs}, {"format", format()}};
}

}  // namespace bitlaw
