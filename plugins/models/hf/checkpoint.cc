#include "checkpoint.h"

#include <ATen/ATen.h>

#include <optional>
#include <set>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/mapped_tensor.h"
#include "config.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16 << 20;
constexpr uint64_t kMaxIndexBytes = 256 << 20;

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
                                               ". Weights must be F64, F32, F16 or BF16.");
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
