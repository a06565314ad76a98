#include "bitlaw/sdk/checkpoint/hf_folder.h"

#include <fmt/format.h>

#include <set>
#include <string_view>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// A JSON text becomes up to fifty times as much memory. The index of a hundred thousand tensors takes 10 MB.
constexpr uint64_t kMaxConfigBytes = 4 << 20;
constexpr uint64_t kMaxIndexBytes = 32 << 20;
constexpr int64_t kMaxExperts = int64_t{1} << 17;
constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kHead[] = "lm_head.weight";

// weight_map of an index: tensor name -> shard file name. A shard is a plain name in the same folder.
std::map<std::string, std::string> ReadIndex(const fs::path& file) {
  const Value index = ReadJsonMap(file, kMaxIndexBytes);
  const Value* map = index.Find("weight_map");
  if (map == nullptr || !map->is_map() || map->AsMap().empty()) {
    throw Error(ErrorKind::kIo, file.string() + ": 'weight_map' is missing or empty.");
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, shard] : map->AsMap()) {
    if (!shard.is_string() || shard.AsString().empty() || shard.AsString().find('/') != std::string::npos ||
        shard.AsString().front() == '.') {
      throw Error(ErrorKind::kIo, file.string() + ": '" + tensor + "' lies in " + shard.Text() +
                                      ". A shard must be a file name in the same folder.");
    }
    shards[tensor] = shard.AsString();
  }
  return shards;
}

std::string FirstPickle(const fs::path& folder) {
  std::set<std::string> pickles;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder, error)) {
    const std::string extension = item.path().extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".pkl") {
      pickles.insert(item.path().filename().string());
    }
  }
  return pickles.empty() ? "" : *pickles.begin();
}

}  // namespace

Value ReadJsonMap(const std::filesystem::path& file, uint64_t max_bytes) {
  Value value = ParseJson(ReadRegularFile(file, max_bytes), file.string());
  if (!value.is_map()) throw Error(ErrorKind::kIo, file.string() + ": the top level is not a map.");
  return value;
}

HfFolder::HfFolder(const fs::path& folder) : path_(folder) {
  const fs::path config_file = folder / "config.json";
  config_ = ReadJsonMap(config_file, kMaxConfigBytes);
  files_.push_back(config_file);

  const fs::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (fs::exists(single)) {
    AddShard(single, nullptr);
  } else if (fs::exists(index)) {
    files_.push_back(index);
    const std::map<std::string, std::string> weight_map = ReadIndex(index);
    std::set<std::string> shards;
    for (const auto& [tensor, shard] : weight_map) shards.insert(shard);
    std::vector<std::string> missing;
    for (const std::string& shard : shards) {
      if (!fs::exists(folder / shard)) missing.push_back(shard);
    }
    if (!missing.empty()) {
      throw Error(ErrorKind::kIo, index.string() + ": names shards that are not there: " + JoinNames(missing) +
                                      ". The checkpoint is incomplete.");
    }
    for (const std::string& shard : shards) AddShard(folder / shard, &weight_map);
    std::vector<std::string> absent;
    for (const auto& [tensor, shard] : weight_map) {
      if (tensors_.find(tensor) == tensors_.end()) absent.push_back(tensor + " (" + shard + ")");
    }
    if (!absent.empty()) {
      throw Error(ErrorKind::kIo,
                  index.string() + ": names tensors that are not in their shards: " + JoinNames(absent) + ".");
    }
  } else if (const std::string pickle = FirstPickle(folder); !pickle.empty()) {
    throw Error(ErrorKind::kUnsupported,
                (folder / pickle).string() +
                    ": is a pickle, and opening a pickle runs whatever code its author put in. Save the model as "
                    "safetensors (save_pretrained of transformers does).");
  } else {
    throw Error(ErrorKind::kIo, folder.string() +
                                    ": holds neither model.safetensors nor model.safetensors.index.json. The "
                                    "checkpoint is incomplete.");
  }
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    if (fs::exists(folder / name)) files_.push_back(folder / name);
  }
  UseStandardNames();
  SplitFusedExperts();
}

void HfFolder::Rename(const std::string& from, const std::string& to) {
  if (from == to) return;
  auto node = tensors_.extract(from);
  node.key() = to;
  if (!tensors_.insert(std::move(node)).inserted) {
    throw Error(ErrorKind::kIo,
                path_.string() + ": holds '" + from + "' and '" + to + "', which are two names of one tensor.");
  }
}

// Checkpoints of a model without its head (AutoModel), or of one wrapped in another, name the same tensors otherwise.
void HfFolder::UseStandardNames() {
  static constexpr std::string_view kFirstNorm = "layers.0.input_layernorm.weight", kModel = "model.";
  std::set<std::string> prefixes;
  std::vector<std::string> names;
  for (const auto& [name, place] : tensors_) {
    names.push_back(name);
    if (name.ends_with(kFirstNorm)) prefixes.insert(name.substr(0, name.size() - kFirstNorm.size()));
  }
  if (prefixes.size() == 1 && *prefixes.begin() != kModel) {
    const std::string& prefix = *prefixes.begin();
    const std::string outer = prefix.ends_with(kModel) ? prefix.substr(0, prefix.size() - kModel.size()) : prefix;
    for (const std::string& name : names) {
      if (name == outer + kHead) {
        Rename(name, kHead);
      } else if (name.starts_with(prefix)) {
        const std::string rest = name.substr(prefix.size());
        if (rest.starts_with("layers.") || rest.starts_with("embed_tokens.") || rest.starts_with("norm.")) {
          Rename(name, std::string(kModel) + rest);
        }
      }
    }
  }
  // Of two names of one matrix, only one is stored, and not always the first.
  const Value* tied = config_.Find("tie_word_embeddings");
  const bool is_tied = tied != nullptr && tied->is_bool() && tied->AsBool();
  if (is_tied && tensors_.count(kEmbedding) == 0 && tensors_.count(kHead) > 0) Rename(kHead, kEmbedding);
}

// transformers 5 keeps the experts of a block in two tensors: gate_up_proj [E, 2 F, D], gate's rows first, and
// down_proj [E, D, F]. Each expert's matrices are whole pieces of them.
void HfFolder::SplitFusedExperts() {
  static constexpr std::string_view kGateUp = ".mlp.experts.gate_up_proj", kDown = ".mlp.experts.down_proj";
  std::vector<std::string> fused;
  for (const auto& [name, tensor] : tensors_) {
    if (name.ends_with(kGateUp) || name.ends_with(kDown)) fused.push_back(name);
  }
  for (const std::string& name : fused) {
    const Tensor tensor = tensors_.at(name);
    const auto whole = std::make_shared<const SafetensorsEntry>(tensor.entry);
    const std::vector<int64_t>& shape = whole->shape;
    fused_experts_.emplace_back(name, shape);
    const bool is_down = name.ends_with(kDown);
    const int64_t matrices = is_down ? 1 : 2;
    // Of no use; whoever asks for the matrices says so.
    if (shape.size() != 3 || shape[0] < 1 || shape[0] > kMaxExperts || shape[1] % matrices != 0) continue;
    tensors_.erase(name);
    const auto stem = [](const std::string& full) { return full.substr(0, full.rfind('.') + 1); };
    const uint64_t matrix_bytes = whole->size_bytes / static_cast<uint64_t>(matrices * shape[0]);
    uint64_t offset = whole->offset_bytes;
    for (int64_t e = 0; e < shape[0]; ++e) {
      for (int64_t m = 0; m < matrices; ++m, offset += matrix_bytes) {
        const std::string part = fmt::format("{}.{}.weight", e,
                                             is_down  ? "down_proj"
                                             : m == 0 ? "gate_proj"
                                                      : "up_proj");
        Tensor piece = tensor;
        piece.whole = whole;
        piece.entry.name = stem(whole->name) + part;
        piece.entry.shape = {shape[1] / matrices, shape[2]};
        piece.entry.offset_bytes = offset;
        piece.entry.size_bytes = matrix_bytes;
        if (!tensors_.emplace(stem(name) + part, std::move(piece)).second) {
          throw Error(ErrorKind::kIo, path_.string() + ": holds '" + stem(name) + part + "' and '" + name +
                                          "', which are the same experts twice.");
        }
      }
    }
  }
}

void HfFolder::AddShard(const fs::path& file, const std::map<std::string, std::string>* weight_map) {
  const auto mapped = MappedFile::Open(file);
  files_.push_back(file);
  for (SafetensorsEntry& entry : ReadSafetensorsHeader(*mapped)) {
    if (weight_map != nullptr) {
      const auto listed = weight_map->find(entry.name);
      if (listed == weight_map->end() || listed->second != file.filename()) {
        throw Error(ErrorKind::kIo, file.string() + ": holds tensor '" + entry.name +
                                        "', which the index does not place there. The files belong to different "
                                        "checkpoints.");
      }
    }
    std::string name = entry.name;
    tensors_.emplace(std::move(name), Tensor{mapped, std::move(entry), nullptr});
  }
}

}  // namespace bitlaw
