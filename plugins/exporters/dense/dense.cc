#include "dense.h"

#include <ATen/ATen.h>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
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
  if (model.layers.empty()) return "no weight is quantized, so that the checkpoint itself is what would be written.";
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
