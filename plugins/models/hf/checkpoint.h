#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/sdk/checkpoint/hf_folder.h"
#include "bitlaw/sdk/decoder/decoder.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"
#include "quantized/quantized_weights.h"

namespace bitlaw {

/// The weights of a Hugging Face folder, which stay on disk until Load().
class HfCheckpoint : public WeightSource {
 public:
  /// The errors of HfFolder, ReadHfConfig() and, of weights that are quantized, QuantizedWeights. Of a tied head that is stored beside the embedding both are read and
  /// compared: Error(kUnsupported) if they differ.
  HfCheckpoint(const std::filesystem::path& path, bool weights_only);

  const DecoderConfig& config() const { return config_; }
  std::vector<StoredTensor> tensors() const;
  /// Configuration, weights and tokenizer, as far as they are there.
  const std::vector<std::filesystem::path>& files() const { return folder_.files(); }

  at::Tensor Load(const std::string& name, at::ScalarType dtype) const override;
  std::optional<ActivationGrid> InputGrid(const std::string& layer) const override;

  /// Of weights that other programs quantized; null otherwise.
  const QuantizedWeights* quantized() const { return quantized_ ? &*quantized_ : nullptr; }

 private:
  void CheckDtypes() const;
  void CheckFusedExperts() const;
  void CheckTiedHead() const;

  DecoderConfig config_;
  HfFolder folder_;
  bool reads_images_;
  std::optional<QuantizedWeights> quantized_;
};

/// The tokenizer of the folder, with the roles that config.json and generation_config.json give.
std::unique_ptr<ByteLevelBpe> OpenHfTokenizer(const std::filesystem::path& folder);

}  // namespace bitlaw
