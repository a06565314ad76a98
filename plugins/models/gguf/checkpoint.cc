#include "checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "architectures.h"
#include "dequantize.h"

namespace bitlaw {

namespace {

constexpr std::array<std::pair<const char*, const char*>, 13> kBlockNames = {
    {{"attn_norm", "input_layernorm"},
     {"post_attention_norm", "post_attention_layernorm"},
     {"post_ffw_norm", "post_feedforward_layernorm"},
     {"attn_q", "self_attn.q_proj"},
     {"attn_k", "self_attn.k_proj"},
     {"attn_v", "self_attn.v_proj"},
     {"attn_q_norm", "self_attn.q_norm"},
     {"attn_k_norm", "self_attn.k_norm"},
     {"attn_output", "self_attn.o_proj"},
     {"ffn_norm", "post_attention_layernorm"},
     {"ffn_gate", "mlp.gate_proj"},
     {"ffn_up", "mlp.up_proj"},
     {"ffn_down", "mlp.down_proj"}}};

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". A name that is not known stays as it is and is
// reported as unused. The norm before the feed-forward is the block's second, or its third of four.
std::string HuggingFaceName(const std::string& name, NormPlace norms) {
  if (name == "token_embd.weight") return "model.embed_tokens.weight";
  if (name == "output_norm.weight") return "model.norm.weight";
  if (name == "output.weight") return "lm_head.weight";
  if (!name.starts_with("blk.")) return name;
  const size_t number_end = name.find('.', 4), kind_begin = name.rfind('.');
  if (number_end == std::string::npos || kind_begin <= number_end) return name;
  const std::string stem = name.substr(number_end + 1, kind_begin - number_end - 1);
  for (auto [gguf, hugging_face] : kBlockNames) {
    if (stem == gguf) {
      if (stem == "ffn_norm" && norms == NormPlace::kBoth) hugging_face = "pre_feedforward_layernorm";
      return "model.layers." + name.substr(4, number_end - 4) + "." + hugging_face + name.substr(kind_begin);
    }
  }
  return name;
}

std::optional<at::ScalarType> PlainDtype(const GgmlType& type) {
  const std::string_view name = type.name;
  if (name == "F32") return at::kFloat;
  if (name == "F16") return at::kHalf;
  if (name == "BF16") return at::kBFloat16;
  if (name == "F64") return at::kDouble;
  return std::nullopt;
}

}  // namespace

GgufCheckpoint::GgufCheckpoint(const std::filesystem::path& path) : file_(path) {
  const auto unsupported = [&](const std::string& what) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": " + what);
  };
  if (file_.Int("split.count").value_or(1) > 1) {
    unsupported("is one of " + std::to_string(*file_.Int("split.count")) +
                " parts of a split file. Merge them first (llama-gguf-split --merge).");
  }
  for (const GgufTensor& tensor : file_.tensors()) {
    if (!tensor.type->is_readable) {
      unsupported("tensor '" + tensor.name + "' is stored as " + tensor.type->name +
                  ". Supported: " + JoinNames(ReadableGgmlTypes()) + ".");
    }
  }
  ReadArchitecture();
  for (const GgufTensor& tensor : file_.tensors()) {
    tensors_.emplace(HuggingFaceName(tensor.name, config_.norm_place), Place{&tensor, tensor.shape, 0});
  }
  ReadConfig();
  SplitProjections();
}

// Phi-3 keeps queries, keys and values in one matrix, and gate and up in another; gate's rows come first.
void GgufCheckpoint::SplitProjections() {
  const int64_t q = config_.num_heads * config_.head_dim, kv = config_.num_kv_heads * config_.head_dim;
  const auto split = [&](const std::string& from, const std::vector<std::pair<std::string, int64_t>>& pieces) {
    const auto found = tensors_.find(from);
    if (found == tensors_.end() || found->second.shape.size() != 2) return;
    int64_t rows = 0;
    for (const auto& [name, count] : pieces) rows += count;
    if (found->second.shape[0] != rows) return;  // Reported with its name.
    const Place whole = found->second;
    tensors_.erase(found);
    int64_t first = 0;
    for (const auto& [name, count] : pieces) {
      tensors_[name] = Place{whole.tensor, {count, whole.shape[1]}, first};
      first += count;
    }
  };
  if (config_.architecture != "phi3") return;
  for (int64_t i = 0; i < config_.num_blocks; ++i) {
    const std::string block = "model.layers." + std::to_string(i) + ".";
    split("blk." + std::to_string(i) + ".attn_qkv.weight", {{block + "self_attn.q_proj.weight", q},
                                                            {block + "self_attn.k_proj.weight", kv},
                                                            {block + "self_attn.v_proj.weight", kv}});
    split(block + "mlp.up_proj.weight", {{block + "mlp.gate_proj.weight", config_.ffn_size},
                                         {block + "mlp.up_proj.weight", config_.ffn_size}});
  }
}

std::vector<StoredTensor> GgufCheckpoint::tensors() const {
  std::vector<StoredTensor> stored;
  for (const auto& [name, place] : tensors_) stored.push_back({name, place.shape, place.tensor->type->name});
  return stored;
}

std::string GgufCheckpoint::baseline_note() const {
  std::map<std::string, uint64_t> bytes_by_type;
  for (const GgufTensor& tensor : file_.tensors()) {
    if (!PlainDtype(*tensor.type)) bytes_by_type[tensor.type->name] += tensor.size_bytes;
  }
  if (bytes_by_type.empty()) return "";
  std::vector<std::pair<uint64_t, std::string>> types;
  for (const auto& [type, bytes] : bytes_by_type) types.emplace_back(bytes, type);
  std::sort(types.rbegin(), types.rend());
  std::vector<std::string> names;
  for (const auto& [bytes, type] : types) names.push_back(type);
  return "weights were stored as " + JoinNames(names) + " and are dequantized";
}

at::Tensor GgufCheckpoint::Load(const std::string& name, at::ScalarType dtype) const {
  const Place& place = tensors_.at(name);
  const GgufTensor& tensor = *place.tensor;
  at::Tensor loaded;
  const int64_t row = place.shape.back();
  if (const auto plain = PlainDtype(*tensor.type)) {
    const auto skipped = static_cast<uint64_t>(place.first_row * row) * c10::elementSize(*plain);
    loaded = MappedTensor(file_.file(), tensor.offset_bytes + skipped, place.shape, *plain, dtype);
  } else {
    at::Tensor exact = at::empty(place.shape, at::kFloat);
    const std::byte* stored = file_.file()->bytes() + tensor.offset_bytes;
    float* out = exact.data_ptr<float>();
    const int64_t rows = exact.numel() / row, first = place.first_row;
    at::parallel_for(0, rows, std::max<int64_t>(1, 32768 / row), [&](int64_t begin, int64_t end) {
      Dequantize(*tensor.type, stored, (first + begin) * row, (first + end) * row, out + begin * row);
    });
    loaded = exact.to(dtype);
  }
  const bool is_q = name.find("self_attn.q_proj.") != std::string::npos;
  const bool is_k = name.find("self_attn.k_proj.") != std::string::npos;
  if (HasInterleavedHeads(config_.architecture) && (is_q || is_k)) {
    // Stored row 2 j + s of a head is its row s Dh / 2 + j.
    const int64_t heads = is_q ? config_.num_heads : config_.num_kv_heads;
    loaded = loaded.reshape({heads, config_.head_dim / 2, 2, -1}).transpose(1, 2).reshape(place.shape);
  }
  return loaded;
}

std::unique_ptr<ByteLevelBpe> OpenGgufTokenizer(const GgufFile& file) {
  const auto text = [&](const char* key) { return std::string(file.String(key).value_or("")); };
  const auto id = [&](const char* key) -> std::optional<int32_t> {
    const auto value = file.Int(key);
    if (!value) return std::nullopt;
    if (*value < 0 || *value > INT32_MAX) {
      throw Error(ErrorKind::kIo, file.where() + ": '" + key + "' is " + std::to_string(*value) +
                                      ". It must be a token id.");
    }
    return static_cast<int32_t>(*value);
  };
  GgufVocabulary vocabulary;
  vocabulary.model = text("tokenizer.ggml.model");
  vocabulary.pre = text("tokenizer.ggml.pre");
  auto tokens = file.Strings("tokenizer.ggml.tokens");
  if (!tokens) throw Error(ErrorKind::kIo, file.where() + ": metadata key 'tokenizer.ggml.tokens' is missing.");
  vocabulary.tokens = std::move(*tokens);
  vocabulary.merges = file.Strings("tokenizer.ggml.merges").value_or(std::vector<std::string_view>());
  vocabulary.token_types = file.Ints("tokenizer.ggml.token_type").value_or(std::vector<int32_t>());
  vocabulary.scores = file.Reals("tokenizer.ggml.scores").value_or(std::vector<float>());
  vocabulary.add_space_prefix = file.Bool("tokenizer.ggml.add_space_prefix");
  vocabulary.special.bos = id("tokenizer.ggml.bos_token_id");
  vocabulary.special.eos = id("tokenizer.ggml.eos_token_id");
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto stop = id(key)) vocabulary.special.stop.push_back(*stop);
  }
  vocabulary.add_bos = file.Bool("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = file.Bool("tokenizer.ggml.add_eos_token");
  return ByteLevelBpe::FromGguf(vocabulary, file.where());
}

}  // namespace bitlaw
