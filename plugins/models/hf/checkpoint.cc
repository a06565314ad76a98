#include "checkpoint.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "config.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

// A JSON text becomes up to fifty times as much memory.
constexpr uint64_t kMaxConfigBytes = 4 << 20;
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

}  // namespace

HfCheckpoint::HfCheckpoint(const fs::path& path, bool weights_only)
    : config_(ReadHfConfig(TextConfigOf(ReadJsonMap(path / "config.json", kMaxConfigBytes), (path / "config.json").string()),
                           path / "config.json")),
      folder_(path),
      reads_images_(ReadsImages(folder_.config())) {
  const Value* quantization = folder_.config().Find("quantization_config");
  if (quantization != nullptr && !quantization->is_null()) quantized_.emplace(folder_, config_, weights_only);
  CheckDtypes();
  CheckFusedExperts();
  CheckTiedHead();
}

void HfCheckpoint::CheckDtypes() const {
  for (const auto& [name, tensor] : folder_.tensors()) {
    if (reads_images_ && IsOfImages(name)) continue;
    if (WeightDtype(tensor.entry.dtype) || (quantized_ && quantized_->IsPart(name))) continue;
    throw Error(ErrorKind::kUnsupported, tensor.file->path().string() + ": tensor '" + tensor.entry.name + "' has dtype " +
                                             tensor.entry.dtype +
                                             ". Weights must be F64, F32, F16 or BF16; integers and smaller floats "
                                             "belong to quantized checkpoints, whose config.json says so in "
                                             "quantization_config. Use the original one.");
  }
}

void HfCheckpoint::CheckFusedExperts() const {
  const int64_t experts = config_.num_experts, ffn = config_.ffn_size, hidden = config_.hidden_size;
  for (const auto& [name, stored] : folder_.fused_experts()) {
    const bool is_down = name.ends_with("down_proj");
    const std::vector<int64_t> shape =
        is_down ? std::vector<int64_t>{experts, hidden, ffn} : std::vector<int64_t>{experts, 2 * ffn, hidden};
    if (experts == 0 || stored == shape) continue;
    throw Error(ErrorKind::kIo,
                fmt::format("{}: fused experts '{}' are [{}] where the configuration says [{}] {}.", folder_.path().string(),
                            name, fmt::join(stored, ", "), fmt::join(shape, ", "), is_down ? "[E, D, F]" : "[E, 2 F, D]"));
  }
}

// A head that is stored beside the embedding that it is said to be must be the same matrix: one of both is wrong
// otherwise, and transformers takes the one or the other from version to version.
void HfCheckpoint::CheckTiedHead() const {
  const auto& tensors = folder_.tensors();
  const auto embedding = tensors.find(kEmbedding), head = tensors.find(kHead);
  if (!config_.tied_head || embedding == tensors.end() || head == tensors.end()) return;
  if (quantized_ && (quantized_->IsPart(kEmbedding) || quantized_->IsPart(kHead))) return;
  const SafetensorsEntry &e = embedding->second.entry, &h = head->second.entry;
  if (e.shape != h.shape || e.shape.size() != 2) return;  // Reported with the other tensors.
  if (e.dtype == h.dtype && std::memcmp(embedding->second.file->bytes() + e.offset_bytes,
                                        head->second.file->bytes() + h.offset_bytes, e.size_bytes) == 0) {
    return;
  }
  const auto stored = [](const HfFolder::Tensor& place) {
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
              folder_.path().string() + ": tie_word_embeddings is true, but the stored " + kHead + " differs from " +
                  kEmbedding + " in " + std::to_string(different) + " of " + std::to_string(e.shape[0]) +
                  " rows. Set tie_word_embeddings to false in config.json to use the stored head, or save the model "
                  "without it to use the embedding.");
}

std::vector<StoredTensor> HfCheckpoint::tensors() const {
  std::vector<StoredTensor> stored;
  if (quantized_) stored = quantized_->tensors();
  for (const auto& [name, place] : folder_.tensors()) {
    if ((reads_images_ && IsOfImages(name)) || (quantized_ && quantized_->IsPart(name))) continue;
    stored.push_back({name, place.entry.shape, LongName(place.entry.dtype)});
  }
  return stored;
}

std::optional<ActivationGrid> HfCheckpoint::InputGrid(const std::string& layer) const {
  return quantized_ ? quantized_->InputGrid(layer) : std::nullopt;
}

at::Tensor HfCheckpoint::Load(const std::string& name, at::ScalarType dtype) const {
  if (quantized_ && quantized_->Has(name)) return quantized_->Load(name).to(dtype);
  const HfFolder::Tensor& place = folder_.tensors().at(name);
  return MappedTensor(place.file, place.entry.offset_bytes, place.entry.shape, *WeightDtype(place.entry.dtype), dtype);
}

std::unique_ptr<ByteLevelBpe> OpenHfTokenizer(const fs::path& folder) {
  const fs::path file = folder / "tokenizer.json";
  if (!fs::exists(file) && fs::exists(folder / "tokenizer.model")) {
    throw Error(ErrorKind::kUnsupported,
                folder.string() + ": holds tokenizer.model and no tokenizer.json. Convert it: "
                                  "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers.");
  }
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
