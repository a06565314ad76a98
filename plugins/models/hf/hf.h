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

/// What a config.json alone says of a model: every tensor that the configuration calls for, in the dtype that it names.
/// Enough to plan with, and for nothing else: no folder is claimed, none can be opened, and ExplainUnsupported() says so
/// of all. `bitlaw plan --shapes` asks for Inspect() all the same.
class HfShapesBackend : public ModelBackend {
 public:
  bool Claims(const std::filesystem::path& path) const override;
  std::string ExplainUnsupported(const std::filesystem::path& path) const override;
  /// The errors of ReadHfConfig(); Error(kUnsupported) for a configuration of quantized weights, whose shapes are not
  /// those of the model.
  ModelSummary Inspect(const std::filesystem::path& path) const override;
  /// config.json
  std::vector<std::filesystem::path> Files(const std::filesystem::path& path) const override;
  std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& path) const override;
  std::unique_ptr<Model> Open(const std::filesystem::path& path, const ComputeSetting& compute) const override;
};

}  // namespace bitlaw
