#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"

/// A folder with the bytes of each layer's codes, scales and zero points, a table of their shapes, and the weights that
/// transforms changed. The rest of the model stays where it is.
///
///   layers.csv        layer,rows,columns,bits,group_size
///   <layer>.codes     [C_out, C_in] uint8
///   <layer>.scales    [C_out, groups] float32;  <layer>.zeros likewise, uint8
///   <weight>.values   as the model has them
class MyExporter final : public bitlaw::Exporter {
 public:
  static bitlaw::OptionSchema Schema() { return {}; }
  explicit MyExporter(const bitlaw::Options&) {}

  /// What the format cannot say it must refuse: otherwise the folder would be of another model.
  std::string ExplainUnsupported(const bitlaw::ExportModel& model) const override {
    for (const auto& [shape, linear] : model.layers) {
      if (linear.activation) return shape.name + ": its inputs are rounded, which this format cannot say.";
      if (linear.input_scale.defined() || linear.row_index.defined() || linear.levels.defined() ||
          linear.has_real_zeros() || !linear.GroupsAreRuns()) {
        return shape.name + ": this format has integers with a scale and a zero point for each run of weights only.";
      }
    }
    return model.kv_cache != nullptr ? "its keys and values are rounded, which this format cannot say." : "";
  }

  void Export(const std::filesystem::path&, const bitlaw::ExportModel& model,
              const std::filesystem::path& folder) const override {
    if (const std::string why = ExplainUnsupported(model); !why.empty()) {
      throw bitlaw::Error(bitlaw::ErrorKind::kUnsupported, "exporter 'my_exporter': " + why);
    }
    std::ofstream table(folder / "layers.csv");
    table << "layer,rows,columns,bits,group_size\n";
    for (const auto& [shape, linear] : model.layers) {
      Write(folder / (shape.name + ".codes"), linear.codes);
      Write(folder / (shape.name + ".scales"), linear.scales);
      Write(folder / (shape.name + ".zeros"), linear.zeros);
      table << shape.name << ',' << linear.codes.size(0) << ',' << linear.codes.size(1) << ',' << linear.bits << ','
            << linear.group_size << '\n';
    }
    // Norms, biases and embeddings that transforms changed: the codes are of the model with these.
    for (const auto& [name, value] : model.other_weights) Write(folder / (name + ".values"), value);
    if (!table.flush()) throw bitlaw::Error(bitlaw::ErrorKind::kIo, folder.string() + ": cannot be written.");
  }

 private:
  static void Write(const std::filesystem::path& path, const at::Tensor& tensor) {
    const at::Tensor whole = tensor.cpu().contiguous();
    std::ofstream file(path, std::ios::binary);
    file.write(static_cast<const char*>(whole.data_ptr()), static_cast<std::streamsize>(whole.nbytes()));
    if (!file.flush()) throw bitlaw::Error(bitlaw::ErrorKind::kIo, path.string() + ": cannot be written.");
  }
};
