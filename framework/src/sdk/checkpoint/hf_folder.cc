#include "bitlaw/sdk/checkpoint/hf_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
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
constexpr int64_t kMaxSize = int64_t{1} << 24;
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
  RenameMixtral();
  SplitFusedExperts();
  SplitFusedProjections();
}

const HfFolder::Tensor* HfFolder::Find(const std::string& name) const {
  for (const auto* held : {&tensors_, &fused_projections_}) {
    if (const auto found = held->find(name); found != held->end()) return &found->second;
  }
  return nullptr;
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
  static constexpr std::string_view kModel = "model.";
  static constexpr std::array<std::string_view, 2> kFirstNorms = {"layers.0.input_layernorm.weight",
                                                                  "layers.0.post_attention_layernorm.weight"};
  std::set<std::string> prefixes;
  std::vector<std::string> names;
  for (const auto& [name, place] : tensors_) {
    names.push_back(name);
    for (const std::string_view norm : kFirstNorms) {
      if (name.ends_with(norm)) prefixes.insert(name.substr(0, name.size() - norm.size()));
    }
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

// Mixtral's files name the layers of an expert by their place in its first implementation.
void HfFolder::RenameMixtral() {
  static constexpr std::string_view kExperts = ".block_sparse_moe.experts.", kRouter = ".block_sparse_moe.gate.";
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kMatrices = {
      {{".w1.", ".gate_proj."}, {".w2.", ".down_proj."}, {".w3.", ".up_proj."}}};
  std::vector<std::pair<std::string, std::string>> renamed;
  for (const auto& [name, tensor] : tensors_) {
    std::string to = name;
    if (const size_t at = to.find(kRouter); at != std::string::npos) to.replace(at, kRouter.size(), ".mlp.gate.");
    if (const size_t at = to.find(kExperts); at != std::string::npos) {
      to.replace(at, kExperts.size(), ".mlp.experts.");
      for (const auto& [matrix, standard] : kMatrices) {
        if (const size_t place = to.find(matrix); place != std::string::npos) {
          to.replace(place, matrix.size(), standard);
          break;
        }
      }
    }
    if (to != name) renamed.emplace_back(name, to);
  }
  for (const auto& [from, to] : renamed) Rename(from, to);
}

void HfFolder::Split(const std::string& name, std::string_view part,
                     const std::vector<std::pair<std::string, int64_t>>& matrices) {
  const auto stem = [&](const std::string& full) { return full.substr(0, full.size() - part.size()); };
  const Tensor tensor = tensors_.at(name);
  const auto whole = std::make_shared<const SafetensorsEntry>(tensor.entry);
  const std::string key_stem = stem(name), stored_stem = stem(whole->name);
  const std::string projections = whole->shape.size() == 2 ? name : "";
  if (!projections.empty()) fused_projections_.emplace(name, tensor);
  tensors_.erase(name);
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < whole->shape.size(); ++i) rows *= whole->shape[i];
  const uint64_t row_bytes = whole->size_bytes / static_cast<uint64_t>(rows);
  uint64_t offset = whole->offset_bytes;
  for (const auto& [piece_name, piece_rows] : matrices) {
    Tensor piece = tensor;
    piece.whole = whole;
    piece.projections = projections;
    piece.entry.name = stored_stem + piece_name;
    piece.entry.shape = {piece_rows, whole->shape.back()};
    piece.entry.offset_bytes = offset;
    piece.entry.size_bytes = row_bytes * static_cast<uint64_t>(piece_rows);
    offset += piece.entry.size_bytes;
    if (!tensors_.emplace(key_stem + piece_name, std::move(piece)).second) {
      throw Error(ErrorKind::kIo, path_.string() + ": holds '" + key_stem + piece_name + "' and '" + name +
                                      "', which are the same weights twice.");
    }
  }
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
    const std::vector<int64_t> shape = tensors_.at(name).entry.shape;
    fused_experts_.emplace_back(name, shape);
    const bool is_down = name.ends_with(kDown);
    // Of no use; whoever asks for the matrices says so.
    if (shape.size() != 3 || shape[0] < 1 || shape[0] > kMaxExperts || shape[1] < 1 || shape[2] < 1) continue;
    if (!is_down && shape[1] % 2 != 0) continue;
    std::vector<std::pair<std::string, int64_t>> matrices;
    for (int64_t e = 0; e < shape[0]; ++e) {
      if (is_down) {
        matrices.emplace_back(fmt::format("{}.down_proj.weight", e), shape[1]);
      } else {
        matrices.emplace_back(fmt::format("{}.gate_proj.weight", e), shape[1] / 2);
        matrices.emplace_back(fmt::format("{}.up_proj.weight", e), shape[1] / 2);
      }
    }
    Split(name, is_down ? "down_proj" : "gate_up_proj", matrices);
  }
}

// Phi-3 keeps queries, keys and values in one matrix, [(H + 2 H_kv) Dh, D], and gate and up in another, [2 F, D].
void HfFolder::SplitFusedProjections() {
  static constexpr std::string_view kQkv = ".self_attn.qkv_proj.weight", kGateUp = ".mlp.gate_up_proj.weight";
  const auto number = [&](const char* key) -> int64_t {
    const Value* value = config_.Find(key);
    return value != nullptr && value->is_int() && value->AsInt() > 0 && value->AsInt() < kMaxSize ? value->AsInt() : 0;
  };
  const int64_t heads = number("num_attention_heads");
  const int64_t kv_heads = number("num_key_value_heads") > 0 ? number("num_key_value_heads") : heads;
  const int64_t head_dim =
      number("head_dim") > 0 ? number("head_dim") : number("hidden_size") / std::max<int64_t>(1, heads);
  std::vector<std::string> fused;
  for (const auto& [name, tensor] : tensors_) {
    if (name.ends_with(kQkv) || name.ends_with(kGateUp)) fused.push_back(name);
  }
  for (const std::string& name : fused) {
    const std::vector<int64_t> shape = tensors_.at(name).entry.shape;
    // Of another shape than the configuration says it stays whole, and is reported as unused beside what is missing.
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1) continue;
    if (name.ends_with(kGateUp)) {
      if (shape[0] % 2 == 0) {
        Split(name, "gate_up_proj.weight", {{"gate_proj.weight", shape[0] / 2}, {"up_proj.weight", shape[0] / 2}});
      }
    } else if (head_dim > 0 && shape[0] == (heads + 2 * kv_heads) * head_dim) {
      Split(name, "qkv_proj.weight",
            {{"q_proj.weight", heads * head_dim},
             {"k_proj.weight", kv_heads * head_dim},
             {"v_proj.weight", kv_heads * head_dim}});
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
    tensors_.emplace(std::move(name), Tensor{mapped, std::move(entry), nullptr, ""});
  }
}

}  // namespace bitlaw
