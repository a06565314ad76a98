#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/option_schema.h"

namespace bitlaw {

/// GGUF files: README.md.
class GgufExporter : public Exporter {
 public:
  static OptionSchema Schema();
  explicit GgufExporter(const Options& options);

  std::string ExplainUnsupported(const ExportModel& model) const override;
  /// Writes `folder`/<name of the model>.gguf. Error(kUnsupported) also for a checkpoint of an architecture or
  /// tokenizer that the format, or llama.cpp, does not have.
  void Export(const std::filesystem::path& checkpoint, const ExportModel& model,
              const std::filesystem::path& folder) const override;

 private:
  std::string dtype_;  ///< "stored", or that of weights that are not quantized.
  bool weights_only_;
};

}  // namespace bitlaw
