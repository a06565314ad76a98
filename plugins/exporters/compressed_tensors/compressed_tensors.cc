#include "compressed_tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/stored_layers.h"
#include "bitlaw/sdk/checkpoint/tensor_to_write.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "kv_scheme.h"
#include "scheme.h"

namespace bitlaw {
namespace {

constexpr char kHead[] = "lm_head";

// Codes and zero points count from the middle code in these files: [R, C] uint8 -> int8.
at::Tensor Signed(const at::Tensor& codes, int bits) {
  return codes.to(at::kShort).sub_(1 << (bits - 1)).to(at::kChar);
}

at::ScalarType ScaleDtype(const QuantizedLinear& q) { return q.scale_dtype == "float16" ? at::kHalf : at::kFloat; }

// Values that a format of eight bits has, one a byte.
TensorToWrite WriteFloat8(std::string name, const char* dtype, FloatFormat format, at::IntArrayRef shape,
                          std::function<at::Tensor()> values) {
  TensorToWrite tensor = WriteLater(std::move(name), at::kByte, shape,
                                    [format, values = std::move(values)] { return EncodeFloats(format, values()); });
  tensor.dtype = dtype;
  return tensor;
}

// What codes stand for, [C_out, C_in] float32.
at::Tensor LevelsOfCodes(const QuantizedLinear& q) {
  return q.levels.index_select(0, q.codes.flatten().to(at::kLong)).view(q.codes.sizes());
}

// Two numbers of E2M1 a byte, the first in the low half: [C_out, C_in / 2] uint8.
at::Tensor PackedE2m1(const QuantizedLinear& q) {
  const at::Tensor bits = EncodeFloats(FloatFormat::kE2M1, LevelsOfCodes(q)).view({q.codes.size(0), -1, 2});
  return bits.select(2, 0).bitwise_or(bits.select(2, 1).bitwise_left_shift(4));
}

std::vector<TensorToWrite> FloatTensors(const ExportLayer& layer, const Scheme& scheme) {
  const QuantizedLinear& q = layer.linear;
  const int64_t rows = layer.shape.out_features, columns = layer.shape.in_features, groups = q.scales.size(1);
  std::vector<TensorToWrite> tensors;
  if (q.bits == 4) {
    tensors.push_back(WriteLater("weight_packed", at::kByte, {rows, columns / 2}, [&q] { return PackedE2m1(q); }));
  } else {
    tensors.push_back(WriteFloat8("weight", "F8_E4M3", FloatFormat::kE4M3, {rows, columns},
                                  [&q] { return LevelsOfCodes(q); }));
  }
  if (scheme.form == WeightForm::kNvfp4) {
    tensors.push_back(WriteFloat8("weight_scale", "F8_E4M3", FloatFormat::kE4M3, {rows, groups},
                                  [&q] { return q.StoredScales(); }));
    tensors.push_back(WriteTensor("weight_global_scale", at::full({1}, q.scale_divisor, at::kFloat)));
  } else if (scheme.form != WeightForm::kFloat8) {
    tensors.push_back(WriteFloat8("weight_scale", "U8", FloatFormat::kE8M0, {rows, groups}, [&q] { return q.scales; }));
  } else if (scheme.one_scale) {
    tensors.push_back(WriteTensor("weight_scale", q.scales.flatten().narrow(0, 0, 1).to(ScaleDtype(q))));
  } else {
    tensors.push_back(WriteLater("weight_scale", ScaleDtype(q), {rows, groups}, [&q] { return q.scales; }));
  }
  return tensors;
}

std::vector<TensorToWrite> IntegerTensors(const ExportLayer& layer, const Scheme& scheme) {
  const QuantizedLinear& q = layer.linear;
  const int64_t rows = layer.shape.out_features, columns = layer.shape.in_features, groups = q.scales.size(1);
  const bool is_unpacked = scheme.form == WeightForm::kInt8;
  std::vector<TensorToWrite> tensors;
  if (is_unpacked) {
    tensors.push_back(WriteLater("weight", at::kChar, {rows, columns}, [&q] { return Signed(q.codes, q.bits); }));
  } else {
    tensors.push_back(WriteLater("weight_packed", at::kInt, {rows, (columns * q.bits + 31) / 32},
                                 [&q] { return PackedRows(q.codes, q.bits); }));
    tensors.push_back(WriteTensor("weight_shape", at::tensor({rows, columns}, at::kLong)));
  }
  tensors.push_back(WriteLater("weight_scale", ScaleDtype(q), {rows, groups}, [&q] { return q.scales; }));
  if (!scheme.symmetric && is_unpacked) {
    tensors.push_back(
        WriteLater("weight_zero_point", at::kChar, {rows, groups}, [&q] { return Signed(q.zeros, q.bits); }));
  } else if (!scheme.symmetric) {
    tensors.push_back(WriteLater("weight_zero_point", at::kInt, {(rows * q.bits + 31) / 32, groups},
                                 [&q] { return PackedRows(q.zeros.t(), q.bits).t(); }));
  }
  if (scheme.is_scattered) tensors.push_back(WriteTensor("weight_g_idx", q.group_index));
  return tensors;
}

std::vector<TensorToWrite> TensorsOf(const ExportLayer& layer, const Scheme& scheme) {
  std::vector<TensorToWrite> tensors = scheme.is_float() ? FloatTensors(layer, scheme) : IntegerTensors(layer, scheme);
  const std::optional<ActivationGrid>& inputs = layer.linear.activation;
  if (!inputs) return tensors;
  if (inputs->format == InputFormat::kNvfp4) {
    tensors.push_back(WriteTensor("input_global_scale", at::full({1}, inputs->scale_divisor, at::kFloat)));
  } else if (!inputs->per_token) {
    tensors.push_back(WriteTensor("input_scale", at::tensor({inputs->static_scale}, at::kFloat)));
    if (inputs->format == InputFormat::kInteger && !inputs->symmetric) {
      const int64_t middle = int64_t{1} << (inputs->bits - 1);
      tensors.push_back(WriteTensor("input_zero_point", at::tensor({inputs->static_zero - middle}, at::kChar)));
    }
  }
  return tensors;
}

// Modules that are linear layers in transformers and stay as they are.
Value Ignored(const HfExport& out, const std::set<std::string>& quantized) {
  std::set<std::string> names;
  if (quantized.count(kHead + std::string(".weight")) == 0) names.insert(kHead);
  for (const auto& [name, tensor] : out.from().tensors()) {
    const std::string& stored = tensor.projections.empty() ? name : tensor.projections;
    if (!stored.ends_with(".weight") || tensor.entry.shape.size() != 2 || quantized.count(stored) > 0) continue;
    if (stored.find("embed_tokens") == std::string::npos) names.insert(out.ModuleOf(stored));
  }
  Value::List list;
  for (const std::string& name : names) list.push_back(name);
  return list;
}

}  // namespace

OptionSchema CompressedTensorsExporter::Schema() {
  OptionSchema schema;
  schema.Bool("g_idx").Default(false).Doc(
      "Write layers whose groups are scattered over the row (act_order without static groups), with their "
      "weight_g_idx; "
      "readers since compressed-tensors 0.20 take none.");
  return schema;
}

std::string CompressedTensorsExporter::ExplainUnsupported(const ExportModel& model) const {
  if (model.layers.empty() && model.kv_cache == nullptr) return "no weight is quantized.";
  if (model.kv_cache != nullptr) {
    if (std::string why = ExplainNoKvScheme(*model.kv_cache, model.summary); !why.empty()) return why;
  }
  for (const ExportLayer& layer : model.layers) {
    if (layer.shape.block < 0 && layer.shape.name != kHead) {
      return layer.shape.name + ": the input embedding is quantized, which this exporter does not write. Use exporter "
                                "dense, or leave embeddings out.";
    }
    const std::string why = ExplainNoScheme(layer, takes_scattered_);
    if (!why.empty()) return layer.shape.name + ": " + why;
  }
  return "";
}

void CompressedTensorsExporter::Export(const std::filesystem::path& checkpoint, const ExportModel& model,
                                       const std::filesystem::path& folder) const {
  HfExport out = BeginHfExport(*this, "compressed_tensors", checkpoint, model);
  std::vector<std::pair<Scheme, Value::List>> groups;  // Layers of each scheme.
  std::set<std::string> quantized;
  const StoredLayers stored(out.from(), model);
  for (const ExportLayer& layer : stored.layers()) {
    const Scheme scheme = SchemeOf(layer);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& one) { return one.first == scheme; });
    if (group == groups.end()) group = groups.insert(groups.end(), {scheme, {}});
    const std::string name = layer.shape.name + ".weight";
    group->second.push_back(out.ModuleOf(name));
    quantized.insert(name);
    out.Replace(name, TensorsOf(layer, scheme));
  }
  Value config_groups = Value::Map{};
  for (size_t i = 0; i < groups.size(); ++i) {
    Value::List targets = groups[i].second;
    if (groups.size() == 1) {
      targets = {"Linear"};
      // A layer of another class in vLLM.
      if (quantized.count(kHead + std::string(".weight")) > 0) targets.push_back(kHead);
    }
    config_groups.Set(fmt::format("group_{}", i), groups[i].first.Json(targets));
  }
  if (model.kv_cache != nullptr) AddKvScales(*model.kv_cache, model.summary, out);
  const Value kv_cache = model.kv_cache == nullptr ? Value() : KvSchemeJson(*model.kv_cache);
  const std::string format = groups.empty() ? "dense" : groups.front().first.format();
  const bool is_mixed =
      std::any_of(groups.begin(), groups.end(), [&](const auto& one) { return one.first.format() != format; });
  out.SetConfig("quantization_config", Value::Map{{"quant_method", "compressed-tensors"},
                                                  {"format", is_mixed ? "mixed-precision" : format},
                                                  {"quantization_status", "compressed"},
                                                  {"config_groups", config_groups},
                                                  {"ignore", Ignored(out, quantized)},
                                                  {"kv_cache_scheme", kv_cache}});
  out.Write(folder);
}

}  // namespace bitlaw
