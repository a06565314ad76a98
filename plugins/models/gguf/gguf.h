#pragma once

#include "bitlaw/api/model_backend.h"

namespace bitlaw {

/// GGUF files, as llama.cpp writes them. Weights are dequantized block by block as they are first used; layers keep
/// the names and the row order of the Hugging Face checkpoint, so that a layer is the same layer in both formats.
class GgufBackend : public ModelBackend {
 public:
  bool Claims(const std::filesystem::path& path) const override;
  std::string ExplainUnsupported(const std::filesystem::path& path) const override;
  ModelSummary Inspect(const std::filesystem::path& path) const override;
  std::vector<std::filesystem::path> Files(const std::filesystem::path& path) const override;
  std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& path) const override;
  std::unique_ptr<Model> Open(const std::filesystem::path& path, const ComputeSetting& compute) const override;
};

}  // namespace bitlaw
