#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/option_schema.h"

namespace bitlaw {

/// Dequantized weights in a Hugging Face folder, which any program opens: README.md.
class DenseExporter : public Exporter {
 public:
  static OptionSchema Schema();
  explicit DenseExporter(const Options& options);

  std::string ExplainUnsupported(const ExportModel& model) const override;
  void Export(const std::filesystem::path& checkpoint, const ExportModel& model,
              const std::filesystem::path& folder) const override;

 private:
  std::string dtype_;  ///< "stored", or that of quantized weights.
  bool weights_only_;
};

}  // namespace bitlaw
