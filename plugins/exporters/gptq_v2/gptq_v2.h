#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/option_schema.h"

namespace bitlaw {

/// GPTQ checkpoints: README.md.
class GptqV2Exporter : public Exporter {
 public:
  static OptionSchema Schema();
  explicit GptqV2Exporter(const Options& options) : format_(options.String("checkpoint_format")) {}

  std::string ExplainUnsupported(const ExportModel& model) const override;
  void Export(const std::filesystem::path& checkpoint, const ExportModel& model,
              const std::filesystem::path& folder) const override;

 private:
  std::string format_;  ///< "gptq_v2": zero points as they are; "gptq": less one.
};

}  // namespace bitlaw
