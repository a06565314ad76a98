#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/sdk/byte_level_bpe.h"
#include "bitlaw/sdk/decoder.h"
#include "bitlaw/sdk/safetensors.h"

namespace bitlaw {

/// The headers of a Hugging Face folder: which tensor lies where. Weights stay on disk until Load().
class HfCheckpoint : public WeightSource {
 public:
  /// Error(kUnsupported) for a folder that holds pickled weights only; Error(kIo) for missing shards, tensors that the
  /// index and the shards disagree about, and everything that ReadSafetensorsHeader() finds.
  explicit HfCheckpoint(const std::filesystem::path& folder);

  const DecoderConfig& config() const { return config_; }
  std::vector<StoredTensor> tensors() const;
  /// Configuration, weights and tokenizer, as far as they are there.
  const std::vector<std::filesystem::path>& files() const { return files_; }

  at::Tensor Load(const std::string& name, at::ScalarType dtype) const override;

 private:
  void AddShard(const std::filesystem::path& file, const std::map<std::string, std::string>* weight_map);

  struct Place {
    std::shared_ptr<const MappedFile> file;
    SafetensorsEntry entry;
  };
  std::filesystem::path folder_;
  DecoderConfig config_;
  std::map<std::string, Place> places_;
  std::vector<std::filesystem::path> files_;
};

/// The tokenizer of the folder, with the roles that config.json and generation_config.json give.
std::unique_ptr<ByteLevelBpe> OpenHfTokenizer(const std::filesystem::path& folder);

}  // namespace bitlaw
