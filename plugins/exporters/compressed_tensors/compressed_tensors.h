#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/option_schema.h"

namespace bitlaw {

/// Checkpoints of compressed-tensors: README.md.
class CompressedTensorsExporter : public Exporter {
 public:
  static OptionSchema Schema();
  explicit CompressedTensorsExporter(const Options& options) : takes_scattered_(options.Bool("g_idx")) {}

  std::string ExplainUnsupported(const ExportModel& model) const override;
  void Export(const std::filesystem::path& checkpoint, const ExportModel& model,
              const std::filesystem::path& folder) const override;

 private:
  bool takes_scattered_;
};

}  // namespace bitlaw
