#include "checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "dequantize.h"

namespace bitlaw {

namespace {

constexpr std::array<std::pair<const char*, const char*>, 11> kBlockNames = {
    {{"attn_norm", "input_layernorm"},
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

constexpr char kRopeFrequencies[] = "rope_freqs.weight";

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". A name that is not known stays as it is and is
// reported as unused.
std::string HuggingFaceName(const std::string& name) {
  if (name == "token_embd.weight") return "model.embed_tokens.weight";
  if (name == "output_norm.weight") return "model.norm.weight";
  if (name == "output.weight") return "lm_head.weight";
  if (!name.starts_with("blk.")) return name;
  const size_t number_end = name.find('.', 4), kind_begin = name.rfind('.');
  if (number_end == std::string::npos || kind_begin <= number_end) return name;
  const std::string stem = name.substr(number_end + 1, kind_begin - number_end - 1);
  for (const auto& [gguf, hugging_face] : kBlockNames) {
    if (stem == gguf) {
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
    tensors_.emplace(HuggingFaceName(tensor.name), &tensor);
  }
  ReadConfig();
}

void GgufCheckpoint::ReadConfig() {
  const auto architecture = file_.String("general.architecture");
  if (!architecture) throw Error(ErrorKind::kIo, file_.where() + ": metadata key 'general.architecture' is missing.");
  if (*architecture != "llama" && *architecture != "qwen2" && *architecture != "qwen3") {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": architecture '" + std::string(*architecture) +
                                             "' is not supported. Supported: llama, qwen2, qwen3.");
  }
  config_.architecture = *architecture;
  const std::string prefix = config_.architecture + ".";
  const auto required = [&](const char* key) {
    const auto value = file_.Int(prefix + key);
    if (!value) throw Error(ErrorKind::kIo, file_.where() + ": metadata key '" + prefix + key + "' is missing.");
    return *value;
  };
  if (file_.Int(prefix + "expert_count").value_or(0) > 0) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": has " + std::to_string(required("expert_count")) +
                                             " experts a block. Only dense models are supported.");
  }
  config_.hidden_size = required("embedding_length");
  config_.ffn_size = required("feed_forward_length");
  config_.num_blocks = required("block_count");
  config_.num_heads = required("attention.head_count");
  config_.num_kv_heads = file_.Int(prefix + "attention.head_count_kv").value_or(config_.num_heads);
  config_.max_positions = required("context_length");
  config_.head_dim = file_.Int(prefix + "attention.key_length")
                         .value_or(config_.num_heads > 0 ? config_.hidden_size / config_.num_heads : 0);
  const std::string epsilon = prefix + "attention.layer_norm_rms_epsilon";
  if (!file_.Has(epsilon)) {
    throw Error(ErrorKind::kIo, file_.where() + ": metadata key '" + epsilon + "' is missing.");
  }
  config_.rms_norm_eps = *file_.Real(epsilon);
  config_.rope.theta = file_.Real(prefix + "rope.freq_base").value_or(10000.0);
  const int64_t rotated = file_.Int(prefix + "rope.dimension_count").value_or(config_.head_dim);
  if (rotated != config_.head_dim) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": rotates " + std::to_string(rotated) + " of " +
                                             std::to_string(config_.head_dim) +
                                             " dimensions of a head. All of them must rotate.");
  }
  ReadRope();
  RefuseUnknownMath();
  const auto embedding = tensors_.find("model.embed_tokens.weight");
  if (embedding != tensors_.end() && embedding->second->shape.size() == 2) {
    config_.vocab_size = embedding->second->shape[0];
  } else {
    throw Error(ErrorKind::kIo, file_.where() + ": tensor 'token_embd.weight' is missing or no matrix.");
  }
  const auto has = [&](const char* name) { return tensors_.count(std::string("model.layers.0.") + name) > 0; };
  config_.tied_head = tensors_.count("lm_head.weight") == 0;
  config_.qkv_bias = has("self_attn.q_proj.bias");
  config_.o_bias = has("self_attn.o_proj.bias");
  config_.mlp_bias = has("mlp.gate_proj.bias");
  config_.qk_norm = has("self_attn.q_norm.weight");
  CheckDecoderConfig(config_, file_.where());
}

// Settings that change what the model computes; llama.cpp reads them for other architectures.
void GgufCheckpoint::RefuseUnknownMath() const {
  const std::string prefix = config_.architecture + ".";
  const auto unsupported = [&](const std::string& what) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": " + what);
  };
  const int64_t window = file_.Int(prefix + "attention.sliding_window").value_or(0);
  if (window > 0 && window < config_.max_positions) {
    unsupported("'" + prefix + "attention.sliding_window' is " + std::to_string(window) +
                ". Every token must see all " + std::to_string(config_.max_positions) + " positions.");
  }
  if (!file_.Bool(prefix + "attention.causal").value_or(true)) {
    unsupported("'" + prefix + "attention.causal' is false. Only causal models are supported.");
  }
  for (const char* key : {"attention.scale", "attention.clamp_kqv", "attention.temperature_scale",
                          "attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "embedding_scale",
                          "residual_scale"}) {
    if (const double value = file_.Real(prefix + key).value_or(0.0); value != 0.0) {
      unsupported("'" + prefix + key + "' is " + Value(value).Text() + ", which bitlaw does not compute.");
    }
  }
}

// llama.cpp's rules: a factor alone is linear, and so is the key from before there were types. It also reads the type
// linear without a factor as no scaling: there the factor may have been lost, so it is refused.
void GgufCheckpoint::ReadRope() {
  const std::string prefix = config_.architecture + ".rope.";
  const auto unsupported = [&](const std::string& what) {
    throw Error(ErrorKind::kUnsupported, file_.where() + ": " + what);
  };
  static constexpr std::array<std::string_view, 8> kKnown = {
      "dimension_count", "freq_base",           "scale_linear",       "scaling.type",
      "scaling.factor",  "scaling.attn_factor", "scaling.finetuned", "scaling.original_context_length"};
  for (const std::string& key : file_.Keys(prefix)) {
    if (std::find(kKnown.begin(), kKnown.end(), std::string_view(key).substr(prefix.size())) == kKnown.end()) {
      unsupported("metadata key '" + key + "' is a rotary setting that bitlaw does not compute.");
    }
  }
  if (const double scale = file_.Real(prefix + "scaling.attn_factor").value_or(1.0); scale != 1.0) {
    unsupported("'" + prefix + "scaling.attn_factor' is " + Value(scale).Text() + ". Only 1 is supported.");
  }
  const std::string type(file_.String(prefix + "scaling.type").value_or("linear"));
  if (type != "none" && type != "linear") {
    unsupported("rope scaling '" + type + "' is not supported. Supported: none, linear, and rope_freqs.weight.");
  }
  // A factor of 0 means none.
  std::optional<double> factor = file_.Real(prefix + "scaling.factor");
  if (!factor) factor = file_.Real(prefix + "scale_linear");
  if (!factor && file_.String(prefix + "scaling.type") == "linear") {
    throw Error(ErrorKind::kIo, file_.where() + ": '" + prefix + "scaling.type' is linear, and '" + prefix +
                                    "scaling.factor' is missing. Convert the model again.");
  }
  const auto pairs = static_cast<size_t>(std::clamp<int64_t>(config_.head_dim / 2, 0, 1 << 23));
  if (type == "linear" && factor.value_or(0.0) != 0.0 && *factor != 1.0) {
    config_.rope.divisors.assign(pairs, static_cast<float>(*factor));
  }
  const auto frequencies = tensors_.find(kRopeFrequencies);
  if (frequencies == tensors_.end()) return;
  if (config_.architecture != "llama") {
    unsupported("has '" + frequencies->first + "', which llama.cpp does not apply to " + config_.architecture + ".");
  }
  // The one tensor that is configuration: Dh / 2 divisors (Llama 3's scaling), on top of a factor.
  const GgufTensor& tensor = *frequencies->second;
  int64_t elements = 1;
  for (const int64_t size : tensor.shape) elements = elements > (1 << 24) ? elements : elements * size;
  if (elements != config_.head_dim / 2) {
    throw Error(ErrorKind::kIo, file_.where() + ": tensor '" + frequencies->first + "' has " +
                                    std::to_string(elements) + " elements. head_dim = " +
                                    std::to_string(config_.head_dim) + " takes " +
                                    std::to_string(config_.head_dim / 2) + ".");
  }
  const at::Tensor divisors = Load(frequencies->first, at::kFloat).contiguous();
  const float* divisor = divisors.data_ptr<float>();
  if (config_.rope.divisors.empty()) config_.rope.divisors.assign(pairs, 1.0f);
  for (size_t j = 0; j < pairs; ++j) config_.rope.divisors[j] *= divisor[j];
  tensors_.erase(frequencies);
}

std::vector<StoredTensor> GgufCheckpoint::tensors() const {
  std::vector<StoredTensor> stored;
  for (const auto& [name, tensor] : tensors_) stored.push_back({name, tensor->shape, tensor->type->name});
  return stored;
}

std::string GgufCheckpoint::baseline_note() const {
  std::map<std::string, uint64_t> bytes_by_type;
  for (const auto& [name, tensor] : tensors_) {
    if (!PlainDtype(*tensor->type)) bytes_by_type[tensor->type->name] += tensor->size_bytes;
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
  const GgufTensor& tensor = *tensors_.at(name);
  at::Tensor loaded;
  if (const auto plain = PlainDtype(*tensor.type)) {
    loaded = MappedTensor(file_.file(), tensor.offset_bytes, tensor.shape, *plain, dtype);
  } else {
    at::Tensor exact = at::empty(tensor.shape, at::kFloat);
    const std::byte* stored = file_.file()->bytes() + tensor.offset_bytes;
    float* out = exact.data_ptr<float>();
    const int64_t row = tensor.shape.back(), rows = exact.numel() / row;
    at::parallel_for(0, rows, std::max<int64_t>(1, 32768 / row), [&](int64_t begin, int64_t end) {
      Dequantize(*tensor.type, stored, begin * row, end * row, out + begin * row);
    });
    loaded = exact.to(dtype);
  }
  const bool is_q = name.find("self_attn.q_proj.") != std::string::npos;
  const bool is_k = name.find("self_attn.k_proj.") != std::string::npos;
  if (config_.architecture == "llama" && (is_q || is_k)) {
    // Stored row 2 j + s of a head is its row s Dh / 2 + j.
    const int64_t heads = is_q ? config_.num_heads : config_.num_kv_heads;
    loaded = loaded.reshape({heads, config_.head_dim / 2, 2, -1}).transpose(1, 2).reshape(tensor.shape);
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
