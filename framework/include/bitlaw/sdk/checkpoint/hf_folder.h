#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/checkpoint/safetensors.h"

namespace bitlaw {

/// Parses a JSON file whose top level is a map. Error(kIo) if it is missing, larger than `max_bytes`, or malformed.
BITLAW_EXPORT Value ReadJsonMap(const std::filesystem::path& file, uint64_t max_bytes);

/// A Hugging Face checkpoint: config.json and the headers of its safetensors files. No byte of a weight is read.
///
/// Tensors have the names of a whole model with one matrix a projection and an expert
/// ("model.layers.0.self_attn.q_proj.weight"), however they are stored: without "model." or with more in front of it, a
/// tied matrix under the head's name only, the experts of a block in two tensors or under Mixtral's names
/// (block_sparse_moe.experts.0.w1), or projections of one input in one matrix (Phi-3's qkv_proj and gate_up_proj).
class BITLAW_EXPORT HfFolder {
 public:
  struct Tensor {
    std::shared_ptr<const MappedFile> file;
    /// Its name is the stored one, or for a piece of a stored tensor the one that it would have beside it.
    SafetensorsEntry entry;
    /// Of a matrix that is part of a stored tensor, of all experts [E, R, C] or of several projections [R, C]: that
    /// tensor. Null otherwise.
    std::shared_ptr<const SafetensorsEntry> whole;
    /// The name of that tensor in fused_projections(), if it is there; "" otherwise.
    std::string projections{};
  };

  /// Error(kUnsupported) for a folder that holds pickled weights only; Error(kIo) for missing shards, tensors that the
  /// index and the shards disagree about, and everything that ReadSafetensorsHeader() finds.
  explicit HfFolder(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return path_; }
  const Value& config() const { return config_; }  ///< config.json
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }
  /// Configuration, weights and tokenizer, as far as they are there: what determines a model's numbers.
  const std::vector<std::filesystem::path>& files() const { return files_; }
  /// Stored tensors of all experts of a block, by name and shape; tensors() has their pieces.
  const std::vector<std::pair<std::string, std::vector<int64_t>>>& fused_experts() const { return fused_experts_; }
  /// Stored tensors of several projections, "model.layers.0.self_attn.qkv_proj.weight"; tensors() has their pieces.
  const std::map<std::string, Tensor>& fused_projections() const { return fused_projections_; }
  /// One of tensors() or fused_projections(), or null.
  const Tensor* Find(const std::string& name) const;

 private:
  void AddShard(const std::filesystem::path& file, const std::map<std::string, std::string>* weight_map);
  void Rename(const std::string& from, const std::string& to);
  void UseStandardNames();
  void RenameMixtral();
  // Puts pieces, each so many rows of the tensor, in its place; their names take that of the `part` its name ends in.
  void Split(const std::string& name, std::string_view part,
             const std::vector<std::pair<std::string, int64_t>>& matrices);
  void SplitFusedExperts();
  void SplitFusedProjections();

  std::filesystem::path path_;
  Value config_;
  std::map<std::string, Tensor> tensors_;
  std::vector<std::filesystem::path> files_;
  std::vector<std::pair<std::string, std::vector<int64_t>>> fused_experts_;
  std::map<std::string, Tensor> fused_projections_;
};

}  // namespace bitlaw
