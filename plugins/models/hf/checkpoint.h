#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/sdk/checkpoint/safetensors.h"
#include "bitlaw/sdk/decoder/decoder.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

namespace bitlaw {

/// The headers of a Hugging Face folder: which tensor lies where. Weights stay on disk until Load().
///
/// Tensors have the names of a whole model with one matrix an expert, however they are stored: without "model." or with
/// more in front of it, a tied matrix under the head's name only, or the experts of a block in two tensors.
class HfCheckpoint : public WeightSource {
 public:
  /// Error(kUnsupported) for a folder that holds pickled weights only; Error(kIo) for missing shards, tensors that the
  /// index and the shards disagree about, and everything that ReadSafetensorsHeader() finds. Of a tied head that is
  /// stored beside the embedding both are read and compared: Error(kUnsupported) if they differ.
  explicit HfCheckpoint(const std::filesystem::path& folder);

  const DecoderConfig& config() const { return config_; }
  std::vector<StoredTensor> tensors() const;
  /// Configuration, weights and tokenizer, as far as they are there.
  const std::vector<std::filesystem::path>& files() const { return files_; }

  at::Tensor Load(const std::string& name, at::ScalarType dtype) const override;

 private:
  struct Place {
    std::shared_ptr<const MappedFile> file;
    SafetensorsEntry entry;
  };
  void Rename(const std::string& from, const std::string& to);
  void UseStandardNames();
  void SplitFusedExperts();
  void CheckTiedHead() const;
  void AddShard(const std::filesystem::path& file, const std::map<std::string, std::string>* weight_map);

  std::filesystem::path folder_;
  DecoderConfig config_;
  std::map<std::string, Place> places_;
  std::vector<std::filesystem::path> files_;
};

/// The tokenizer of the folder, with the roles that config.json and generation_config.json give.
std::unique_ptr<ByteLevelBpe> OpenHfTokenizer(const std::filesystem::path& folder);

}  // namespace bitlaw
