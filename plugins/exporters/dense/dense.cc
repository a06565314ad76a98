#include "dense.h"

#include <ATen/ATen.h>

#include <optional>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "bitlaw/sdk/checkpoint/stored_layers.h"
#include "bitlaw/sdk/checkpoint/tensor_to_write.h"

namespace bitlaw {
namespace {

at::ScalarType WeightDtype(const std::string& name) {
  if (name == "float32" || name == "F32" || name == "F64") return at::kFloat;
  if (name == "float16" || name == "F16") return at::kHalf;
  return at::kBFloat16;
}

// What the layer multiplies its inputs by, those divided by input_scale among it.
at::Tensor PlainWeight(const QuantizedLinear& linear) {
  const at::Tensor weight = linear.Dequantize();  // [C_out, C_in]
  return linear.input_scale.defined() ? weight / linear.input_scale : weight;
}

std::optional<at::ScalarType> StoredDtype(const std::string& name) {
  if (name == "F64") return at::kDouble;
  if (name == "F32") return at::kFloat;
  if (name == "F16") return at::kHalf;
  if (name == "BF16") return at::kBFloat16;
  return std::nullopt;
}

// Of a model of which nothing is quantized.
void ConvertMatrices(at::ScalarType dtype, HfExport& out) {
  if (out.config().Find("quantization_config") != nullptr) {
    throw Error(ErrorKind::kUnsupported, "exporter 'dense': " + out.from().path().string() +
                                             ": its weights are quantized by another program, which stores them under "
                                             "other names. Load it with transformers and dequantize: true, then save it again.");
  }
  const auto convert = [&](const std::string& name, const HfFolder::Tensor& tensor) {
    const SafetensorsEntry& entry = tensor.entry;
    const std::optional<at::ScalarType> stored = StoredDtype(entry.dtype);
    if (entry.shape.size() != 2 || !stored) return;
    out.Replace(name, {WriteLater(name.substr(name.rfind('.') + 1), dtype, entry.shape,
                                  [file = tensor.file, &entry, type = *stored] {
                                    return MappedTensor(file, entry.offset_bytes, entry.shape, type, type);
                                  })});
  };
  for (const auto& [name, tensor] : out.from().tensors()) {
    if (tensor.projections.empty()) convert(name, tensor);
  }
  for (const auto& [name, tensor] : out.from().fused_projections()) convert(name, tensor);
}

}  // namespace

OptionSchema DenseExporter::Schema() {
  OptionSchema schema;
  schema.Choice("dtype", {"stored", "float32", "bfloat16", "float16"})
      .Default("stored")
      .Doc("Dtype of dequantized weights: that of the checkpoint's, or another. float32 alone rounds nothing.");
  schema.Bool("weights_only")
      .Default(false)
      .Doc(
          "Write the weights of a model whose inputs, keys or values are rounded as well, which plain weights cannot "
          "say.");
  return schema;
}

DenseExporter::DenseExporter(const Options& options)
    : dtype_(options.String("dtype")), weights_only_(options.Bool("weights_only")) {}

std::string DenseExporter::ExplainUnsupported(const ExportModel& model) const {
  if (model.layers.empty() && dtype_ == "stored") {
    return "no weight is quantized, so that the checkpoint itself is what would be written. Set dtype for its matrices "
           "in another.";
  }
  if (weights_only_) return "";
  for (const ExportLayer& layer : model.layers) {
    if (layer.linear.activation) {
      return layer.shape.name +
             ": its inputs are rounded, which plain weights cannot say. Set weights_only: true to leave "
             "that out.";
    }
  }
  return model.kv_cache == nullptr
             ? ""
             : "keys and values are rounded, which plain weights cannot say. Set weights_only: true to "
               "leave that out.";
}

void DenseExporter::Export(const std::filesystem::path& checkpoint, const ExportModel& model,
                           const std::filesystem::path& folder) const {
  HfExport out = BeginHfExport(*this, "dense", checkpoint, model);
  if (model.layers.empty()) ConvertMatrices(WeightDtype(dtype_), out);
  const StoredLayers stored_layers(out.from(), model);
  for (const auto& [shape, linear] : stored_layers.layers()) {
    const std::string name = shape.name + ".weight";
    const HfFolder::Tensor* stored = out.from().Find(name);
    const bool as_stored = dtype_ == "stored" && stored != nullptr;
    out.Replace(name, {WriteLater("weight", WeightDtype(as_stored ? stored->entry.dtype : dtype_),
                                  linear.codes.sizes(), [&linear = linear] { return PlainWeight(linear); })});
  }
  out.SetConfig("quantization_config", {});
  if (dtype_ != "stored") {
    // transformers 5 writes "dtype", earlier ones "torch_dtype".
    out.SetConfig(out.config().Find("dtype") != nullptr ? "dtype" : "torch_dtype", dtype_);
  }
  out.Write(folder);
}

}  // namespace bitlaw
