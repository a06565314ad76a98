#pragma once

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/option_schema.h"

namespace bitlaw {

/// Folders in the layout of Hugging Face: config.json, model.safetensors or an index with its shards, tokenizer.json.
///
/// Opening reads headers only; weights are mapped and read block by block. Pickle checkpoints are refused.
class HfBackend : public ModelBackend {
 public:
  static OptionSchema Schema();
  explicit HfBackend(const Options& options) : weights_only_(options.Bool("weights_only")) {}

  bool Claims(const std::filesystem::path& path) const override;
  std::string ExplainUnsupported(const std::filesystem::path& path) const override;
  ModelSummary Inspect(const std::filesystem::path& path) const override;
  std::vector<std::filesystem::path> Files(const std::filesystem::path& path) const override;
  std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& path) const override;
  std::unique_ptr<Model> Open(const std::filesystem::path& path, const ComputeSetting& compute) const override;

 private:
  bool weights_only_;
};

}  // namespace bitlaw
