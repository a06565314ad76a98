#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/checkpoint/hf_folder.h"
#include "bitlaw/sdk/checkpoint/safetensors_writer.h"

namespace bitlaw {

/// A Hugging Face checkpoint on its way into another folder, with some weights in another form: what the exporters of
/// such formats share. Stored names are kept; the experts of a tensor of all experts become matrices of their own where
/// one of them is replaced. Projections in one matrix are replaced as one (StoredLayers).
///
///     HfExport out(checkpoint);
///     out.Replace("model.layers.0.mlp.up_proj.weight", {{"weight_packed", "I32", {rows, words}, bytes}, ...});
///     out.SetConfig("quantization_config", ...);
///     out.Write(folder);
class BITLAW_EXPORT HfExport {
 public:
  /// Why no export begins from this path. Empty exactly when one does: it must be a folder with config.json.
  static std::string ExplainUnsupported(const std::filesystem::path& checkpoint);

  /// The errors of HfFolder.
  explicit HfExport(const std::filesystem::path& checkpoint) : from_(checkpoint), config_(from_.config()) {}

  const HfFolder& from() const { return from_; }

  /// What is stored as `name` is written as `tensors`, whose names take the place of the part of the stored name after
  /// the last dot: "weight" of "model.layers.0.mlp.up_proj.weight". Names as HfFolder::Find() has them. Error(kIo)
  /// where the checkpoint has no such tensor.
  void Replace(const std::string& name, std::vector<TensorToWrite> tensors);

  /// A tensor under its full name that the checkpoint has not: a head that was its embedding.
  void Add(TensorToWrite tensor) { added_.push_back(std::move(tensor)); }

  /// Adds or replaces a key of config.json; a null value takes it away.
  void SetConfig(std::string_view key, Value value);
  const Value& config() const { return config_; }

  /// The stored name of the module of a tensor, "model.layers.0.mlp.up_proj": what configurations name it by.
  std::string ModuleOf(const std::string& name) const;

  /// Writes config.json, weights, and what else the checkpoint's folder has of tokenizer, generation settings, chat
  /// template and license, into `folder`, which exists. Error(kIo) with the system's reason.
  void Write(const std::filesystem::path& folder) const;

 private:
  std::vector<TensorToWrite> TensorsToWrite() const;  // In the order in which they are stored.
  const HfFolder::Tensor& Find(const std::string& name) const;

  HfFolder from_;
  Value config_;
  std::map<std::string, std::vector<TensorToWrite>> replaced_;
  std::vector<TensorToWrite> added_;
};

}  // namespace bitlaw
