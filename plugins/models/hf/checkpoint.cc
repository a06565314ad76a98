#include "checkpoint.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "config.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

// A JSON text becomes up to fifty times as much memory. The index of a hundred thousand tensors takes 10 MB.
constexpr uint64_t kMaxConfigBytes = 4 << 20;
constexpr uint64_t kMaxIndexBytes = 32 << 20;
constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kHead[] = "lm_head.weight";

// The dtypes that weights may have; others (integers, 8-bit floats) belong to quantized checkpoints.
std::optional<at::ScalarType> WeightDtype(const std::string& dtype) {
  if (dtype == "F32") return at::kFloat;
  if (dtype == "BF16") return at::kBFloat16;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "F64") return at::kDouble;
  return std::nullopt;
}

const char* LongName(const std::string& dtype) {
  if (dtype == "F32") return "float32";
  if (dtype == "BF16") return "bfloat16";
  if (dtype == "F16") return "float16";
  return "float64";
}

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

HfCheckpoint::HfCheckpoint(const fs::path& folder) : folder_(folder) {
  const fs::path config_file = folder / "config.json";
  config_ = ReadHfConfig(ReadJsonMap(config_file, kMaxConfigBytes), config_file);
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
      if (places_.find(tensor) == places_.end()) absent.push_back(tensor + " (" + shard + ")");
    }
    if (!absent.empty()) {
      throw Error(ErrorKind::kIo, index.string() + ": names tensors that are not in their shards: " +
                                      JoinNames(absent) + ".");
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
  CheckTiedHead();
}

void HfCheckpoint::Rename(const std::string& from, const std::string& to) {
  if (from == to) return;
  auto node = places_.extract(from);
  node.key() = to;
  if (!places_.insert(std::move(node)).inserted) {
    throw Error(ErrorKind::kIo, folder_.string() + ": holds '" + from + "' and '" + to +
                                    "', which are two names of one tensor.");
  }
}

// Checkpoints of a model without its head (AutoModel), or of one wrapped in another, name the same tensors otherwise.
void HfCheckpoint::UseStandardNames() {
  static constexpr std::string_view kFirstNorm = "layers.0.input_layernorm.weight", kModel = "model.";
  std::set<std::string> prefixes;
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) {
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
  if (config_.tied_head && places_.count(kEmbedding) == 0 && places_.count(kHead) > 0) Rename(kHead, kEmbedding);
}

// transformers 5 keeps the experts of a block in two tensors: gate_up_proj [E, 2 F, D], gate's rows first, and
// down_proj [E, D, F]. Each expert's matrices are whole pieces of them.
void HfCheckpoint::SplitFusedExperts() {
  const int64_t experts = config_.num_experts, ffn = config_.ffn_size, hidden = config_.hidden_size;
  if (experts == 0) return;
  static constexpr std::string_view kGateUp = ".mlp.experts.gate_up_proj", kDown = ".mlp.experts.down_proj";
  std::vector<std::string> fused;
  for (const auto& [name, place] : places_) {
    if (name.ends_with(kGateUp) || name.ends_with(kDown)) fused.push_back(name);
  }
  for (const std::string& name : fused) {
    const Place place = places_.at(name);
    const bool is_down = name.ends_with(kDown);
    const std::vector<int64_t> shape =
        is_down ? std::vector<int64_t>{experts, hidden, ffn} : std::vector<int64_t>{experts, 2 * ffn, hidden};
    if (place.entry.shape != shape) {
      throw Error(ErrorKind::kIo,
                  fmt::format("{}: fused experts '{}' are [{}] where the configuration says [{}] {}.", folder_.string(), name,
                              fmt::join(place.entry.shape, ", "), fmt::join(shape, ", "),
                              is_down ? "[E, D, F]" : "[E, 2 F, D]"));
    }
    places_.erase(name);
    const std::string stem = name.substr(0, name.rfind('.') + 1);
    const uint64_t matrix_bytes = place.entry.size_bytes / static_cast<uint64_t>(is_down ? experts : 2 * experts);
    uint64_t offset = place.entry.offset_bytes;
    for (int64_t e = 0; e < experts; ++e) {
      for (const char* matrix : {is_down ? "down_proj" : "gate_proj", is_down ? "" : "up_proj"}) {
        if (*matrix == '\0') continue;
        Place piece = place;
        piece.entry.name = stem + std::to_string(e) + "." + matrix + ".weight";
        piece.entry.shape = {shape[1] / (is_down ? 1 : 2), shape[2]};
        piece.entry.offset_bytes = offset;
        piece.entry.size_bytes = matrix_bytes;
        offset += matrix_bytes;
        const std::string piece_name = piece.entry.name;
        if (!places_.emplace(piece_name, std::move(piece)).second) {
          throw Error(ErrorKind::kIo, folder_.string() + ": holds '" + piece_name + "' and '" + name +
                                          "', which are the same experts twice.");
        }
      }
    }
  }
}

// A head that is stored beside the embedding that it is said to be must be the same matrix: one of both is wrong
// otherwise, and transformers takes the one or the other from version to version.
void HfCheckpoint::CheckTiedHead() const {
  const auto embedding = places_.find(kEmbedding), head = places_.find(kHead);
  if (!config_.tied_head || embedding == places_.end() || head == places_.end()) return;
  const SafetensorsEntry &e = embedding->second.entry, &h = head->second.entry;
  if (e.shape != h.shape || e.shape.size() != 2) return;  // Reported with the other tensors.
  if (e.dtype == h.dtype && std::memcmp(embedding->second.file->bytes() + e.offset_bytes,
                                        head->second.file->bytes() + h.offset_bytes, e.size_bytes) == 0) {
    return;
  }
  const auto stored = [](const Place& place) {
    return MappedTensor(place.file, place.entry.offset_bytes, place.entry.shape, *WeightDtype(place.entry.dtype),
                        *WeightDtype(place.entry.dtype));
  };
  const at::Tensor embedding_rows = stored(embedding->second), head_rows = stored(head->second);
  constexpr int64_t kRowsAtOnce = 4096;
  int64_t different = 0;
  for (int64_t row = 0; row < e.shape[0]; row += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, e.shape[0] - row);
    different += (embedding_rows.narrow(0, row, rows).to(at::kDouble) != head_rows.narrow(0, row, rows).to(at::kDouble))
                     .any(1)
                     .sum()
                     .item<int64_t>();
  }
  if (different == 0) return;
  throw Error(ErrorKind::kUnsupported,
              folder_.string() + ": tie_word_embeddings is true, but the stored " + kHead + " differs from " +
                  kEmbedding + " in " + std::to_string(different) + " of " + std::to_string(e.shape[0]) +
                  " rows. Set tie_word_embeddings to false in config.json to use the stored head, or save the model "
                  "without it to use the embedding.");
}

void HfCheckpoint::AddShard(const fs::path& file, const std::map<std::string, std::string>* weight_map) {
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
    if (!WeightDtype(entry.dtype)) {
      throw Error(ErrorKind::kUnsupported, file.string() + ": tensor '" + entry.name + "' has dtype " + entry.dtype +
                                               ". Weights must be F64, F32, F16 or BF16; integers and smaller floats "
                                               "belong to quantized checkpoints. Use the original one.");
    }
    std::string name = entry.name;
    places_.emplace(std::move(name), Place{mapped, std::move(entry)});
  }
}

std::vector<StoredTensor> HfCheckpoint::tensors() const {
  std::vector<StoredTensor> stored;
  for (const auto& [name, place] : places_) stored.push_back({name, place.entry.shape, LongName(place.entry.dtype)});
  return stored;
}

at::Tensor HfCheckpoint::Load(const std::string& name, at::ScalarType dtype) const {
  const Place& place = places_.at(name);
  return MappedTensor(place.file, place.entry.offset_bytes, place.entry.shape, *WeightDtype(place.entry.dtype), dtype);
}

std::unique_ptr<ByteLevelBpe> OpenHfTokenizer(const fs::path& folder) {
  const fs::path file = folder / "tokenizer.json";
  if (!fs::exists(file)) {
    throw Error(ErrorKind::kUnsupported,
                folder.string() + ": holds no tokenizer.json. Slow tokenizers are not supported; save the fast one "
                                  "(save_pretrained of transformers does).");
  }
  SpecialTokenIds special;
  // generation_config.json is the later word on what ends a generation; both may give one id or a list.
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (!fs::exists(folder / name)) continue;
    const Value config = ReadJsonMap(folder / name, kMaxConfigBytes);
    special.where += (special.where.empty() ? "" : ", ") + (folder / name).string();
    const auto add_ids = [&](const char* key, auto&& add) {
      const Value* value = config.Find(key);
      if (value == nullptr || value->is_null()) return;
      const std::vector<Value> ids = value->is_list() ? value->AsList() : std::vector<Value>{*value};
      for (const Value& id : ids) {
        if (!id.is_int() || id.AsInt() < 0 || id.AsInt() > INT32_MAX) {
          throw Error(ErrorKind::kIo, (folder / name).string() + ": '" + key + "' is " + value->Text() +
                                          ". It must be a token id or a list of them.");
        }
        add(static_cast<int32_t>(id.AsInt()));
      }
    };
    add_ids("bos_token_id", [&](int32_t id) { special.bos = special.bos.value_or(id); });
    add_ids("eos_token_id", [&](int32_t id) {
      special.eos = special.eos.value_or(id);
      special.stop.push_back(id);
    });
  }
  return ByteLevelBpe::FromTokenizerJson(file, special);
}

}  // namespace bitlaw
