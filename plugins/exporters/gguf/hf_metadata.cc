#include "hf_metadata.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numbers>
#include <optional>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxJsonBytes = 16 << 20;

enum class Window { kNone, kUnlessNull, kWhereGiven, kWhereUsed };  // Of attention; kUnlessNull: without the key too.

struct Class {
  const char* name;
  const char* architecture;
  Window window = Window::kNone;
  bool needs_head_dim = false;  // Without the key it is not hidden_size over the heads.
  const char* experts = "";     // The key of their count.
};
constexpr std::array<Class, 8> kClasses = {
    {{.name = "LlamaForCausalLM", .architecture = "llama"},
     {.name = "MistralForCausalLM", .architecture = "llama", .window = Window::kUnlessNull},
     {.name = "MixtralForCausalLM", .architecture = "llama", .window = Window::kWhereGiven, .experts = "num_local_experts"},
     {.name = "Qwen2ForCausalLM", .architecture = "qwen2", .window = Window::kWhereUsed},
     {.name = "Qwen3ForCausalLM", .architecture = "qwen3", .window = Window::kWhereUsed, .needs_head_dim = true},
     {.name = "Qwen3MoeForCausalLM", .architecture = "qwen3moe", .window = Window::kWhereUsed, .experts = "num_experts"},
     {.name = "SmolLM3ForCausalLM", .architecture = "smollm3", .window = Window::kWhereUsed},
     {.name = "Olmo2ForCausalLM", .architecture = "olmo2"}}};

// A map of config.json whose faults name their place.
class Keys {
 public:
  Keys(const Value& map, std::string where) : map_(map), where_(std::move(where)) {}

  const Value* Find(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && !found->is_null() ? found : nullptr;
  }
  double Real(const char* key) const {
    const Value& value = Get(key);
    if (!value.is_number()) Wrong(key, value, "a number");
    return value.AsReal();
  }
  // As GGUF stores it.
  float Float(const char* key) const { return static_cast<float>(Real(key)); }
  int64_t Int(const char* key) const {
    const Value& value = Get(key);
    if (!value.is_int() || value.AsInt() < 1 || value.AsInt() > UINT32_MAX) Wrong(key, value, "a positive integer");
    return value.AsInt();
  }
  bool IsNull(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && found->is_null();
  }
  int64_t Int(const char* key, int64_t otherwise) const { return Find(key) == nullptr ? otherwise : Int(key); }
  bool IsTrue(const char* key) const {
    const Value* value = Find(key);
    return value != nullptr && *value == Value(true);
  }
  [[noreturn]] void Unsupported(const std::string& what) const {
    throw Error(ErrorKind::kUnsupported, "exporter 'gguf': " + where_ + ": " + what);
  }
  [[noreturn]] void Wrong(const char* key, const Value& value, const std::string& must_be) const {
    throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is " + value.Text() + ". It must be " + must_be + ".");
  }

 private:
  const Value& Get(const char* key) const {
    const Value* found = Find(key);
    if (found == nullptr) {
      Unsupported(std::string("'") + key + "' is missing, and what is left out is not guessed. Save the model again "
                  "with transformers, which writes every key.");
    }
    return *found;
  }
  const Value& map_;
  std::string where_;
};

const Class& ClassOf(const Keys& config) {
  std::string names, found;
  if (const Value* list = config.Find("architectures"); list != nullptr && list->is_list() && !list->AsList().empty()) {
    found = list->AsList().front().is_string() ? list->AsList().front().AsString() : "";
  }
  for (const Class& one : kClasses) {
    if (found == one.name) return one;
    names += (names.empty() ? "" : ", ") + std::string(one.name);
  }
  config.Unsupported("architecture '" + found + "' is not written. Supported: " + names +
                     ". Use exporter dense and convert_hf_to_gguf.py of llama.cpp.");
}

bool HasWindow(const Keys& config, Window window) {
  switch (window) {
    case Window::kNone: return false;
    case Window::kUnlessNull: return !config.IsNull("sliding_window");
    case Window::kWhereGiven: return config.Find("sliding_window") != nullptr;
    case Window::kWhereUsed: return config.IsTrue("use_sliding_window");
  }
  return false;
}

// llama.cpp computes no window and no other activation for these architectures, divides what the experts of a token
// get by their sum, has experts in every block or in none, and fixes which blocks of SmolLM3 rotate.
void RefuseOtherMath(const Keys& config, const Class& of, int64_t blocks) {
  if (HasWindow(config, of.window)) {
    config.Unsupported("it has a sliding window, which llama.cpp does not compute for '" +
                       std::string(of.architecture) + "'" +
                       (config.Find("sliding_window") == nullptr && of.window == Window::kUnlessNull
                            ? ": without the key 'sliding_window' it is 4096, and null says that there is none."
                            : "."));
  }
  if (of.architecture == std::string("qwen3moe")) {
    if (!config.IsTrue("norm_topk_prob")) {
      config.Unsupported("norm_topk_prob is not true. llama.cpp divides the weights of a token's experts by their sum.");
    }
    const Value* dense = config.Find("mlp_only_layers");
    if (config.Int("decoder_sparse_step", 1) != 1 || (dense != nullptr && !(*dense == Value(Value::List{})))) {
      config.Unsupported("some blocks have no experts (decoder_sparse_step, mlp_only_layers), which llama.cpp requires of all.");
    }
  }
  const Value* activation = config.Find("hidden_act");
  if (activation != nullptr && !(*activation == Value("silu"))) {
    config.Unsupported("hidden_act is " + activation->Text() + ". Supported: silu.");
  }
  const Value* rotates = config.Find("no_rope_layers");
  if (rotates == nullptr || of.architecture != std::string("smollm3")) return;
  for (int64_t i = 0; i < blocks; ++i) {
    const bool is_listed = rotates->is_list() && static_cast<int64_t>(rotates->AsList().size()) == blocks;
    if (is_listed && rotates->AsList()[static_cast<size_t>(i)] == Value((i + 1) % 4 == 0 ? 0 : 1)) continue;
    config.Unsupported("no_rope_layers leaves out other blocks than every fourth, which llama.cpp fixes for smollm3.");
  }
}

// Llama 3's scaling as divisors of the frequencies.
std::vector<float> Llama3Divisors(const Keys& rope, double theta, int64_t head_dim) {
  const double factor = rope.Real("factor"), low = rope.Real("low_freq_factor"), high = rope.Real("high_freq_factor"),
               original = rope.Real("original_max_position_embeddings");
  std::vector<float> divisors;
  for (int64_t j = 0; j < head_dim / 2; ++j) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim));
    const double wavelength = 2 * std::numbers::pi / frequency;
    const double share = (original / wavelength - low) / (high - low);  // 0 at the longest that is slowed in part.
    const double divisor = wavelength < original / high   ? 1
                           : wavelength > original / low ? factor
                                                          : 1 / ((1 - share) / factor + share);
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

void DescribeRotation(const Keys& config, const std::string& where, HfShape& shape, GgufWriter& out) {
  const std::string prefix = shape.architecture + ".rope.";
  const Value* map = config.Find("rope_parameters");
  if (map == nullptr || !map->is_map() || map->AsMap().empty()) map = config.Find("rope_scaling");
  static const Value kNothing{Value::Map()};
  const Keys rope(map == nullptr || !map->is_map() ? kNothing : *map, where + ": rope_parameters");
  const double theta = rope.Find("rope_theta") != nullptr ? rope.Real("rope_theta") : config.Real("rope_theta");
  out.Set(prefix + "dimension_count", static_cast<uint32_t>(shape.head_dim));
  out.Set(prefix + "freq_base", static_cast<float>(theta));
  const Value* type = rope.Find("rope_type");
  if (type == nullptr) type = rope.Find("type");
  const std::string name = type == nullptr ? "default" : type->is_string() ? type->AsString() : type->Text();
  if (name == "linear") {
    out.Set(prefix + "scaling.type", "linear");
    out.Set(prefix + "scaling.factor", rope.Float("factor"));
  } else if (name == "llama3" && shape.architecture == "llama") {
    shape.rotary_divisors = Llama3Divisors(rope, theta, shape.head_dim);
  } else if (name != "default") {
    config.Unsupported("rotary scaling '" + name + "' of '" + shape.architecture +
                       "' is not written. Supported: default, linear, and llama3 of llama.");
  }
}

std::string TextOf(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// chat_template.jinja, or the text in tokenizer_config.json.
std::string ChatTemplate(const fs::path& folder) {
  if (fs::is_regular_file(folder / "chat_template.jinja")) return TextOf(folder / "chat_template.jinja");
  if (!fs::is_regular_file(folder / "tokenizer_config.json")) return "";
  const Value config = ReadJsonMap(folder / "tokenizer_config.json", kMaxJsonBytes);
  const Value* found = config.Find("chat_template");
  return found != nullptr && found->is_string() ? found->AsString() : "";
}

// Roles of tokens: generation_config.json has the later word.
SpecialTokenIds SpecialIds(const fs::path& folder) {
  SpecialTokenIds special;
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (!fs::is_regular_file(folder / name)) continue;
    const Value config = ReadJsonMap(folder / name, kMaxJsonBytes);
    const auto ids = [&](const char* key) {
      const Value* value = config.Find(key);
      std::vector<int32_t> found;
      if (value == nullptr) return found;
      for (const Value& one : value->is_list() ? value->AsList() : Value::List{*value}) {
        const bool is_id = one.is_int() && one.AsInt() >= 0 && one.AsInt() <= INT32_MAX;
        if (is_id) found.push_back(static_cast<int32_t>(one.AsInt()));
      }
      return found;
    };
    for (const int32_t id : ids("bos_token_id")) special.bos = special.bos.value_or(id);
    for (const int32_t id : ids("eos_token_id")) {
      special.eos = special.eos.value_or(id);
      special.stop.push_back(id);
    }
  }
  return special;
}

}  // namespace

HfShape DescribeModel(const HfFolder& folder, const std::string& name, GgufWriter& out) {
  const std::string where = (folder.path() / "config.json").string();
  const Keys config(folder.config(), where);
  const Class& of = ClassOf(config);
  if (config.Find("quantization_config") != nullptr) {
    config.Unsupported("its weights are quantized already. Export the model that was quantized.");
  }
  HfShape shape;
  shape.architecture = of.architecture;
  const std::string prefix = shape.architecture + ".";
  const int64_t hidden = config.Int("hidden_size"), blocks = config.Int("num_hidden_layers");
  shape.heads = config.Int("num_attention_heads");
  shape.kv_heads = config.Int("num_key_value_heads", shape.heads);
  shape.head_dim = of.needs_head_dim ? config.Int("head_dim") : config.Int("head_dim", hidden / shape.heads);
  shape.vocab_size = config.Int("vocab_size");
  shape.is_tied = config.IsTrue("tie_word_embeddings");
  RefuseOtherMath(config, of, blocks);
  const auto set = [&](const char* key, int64_t value) { out.Set(prefix + key, static_cast<uint32_t>(value)); };
  out.Set("general.architecture", shape.architecture);
  out.Set("general.type", "model");
  out.Set("general.name", name);
  set("block_count", blocks);
  set("context_length", config.Int("max_position_embeddings"));
  set("embedding_length", hidden);
  set("feed_forward_length", config.Int("intermediate_size"));
  if (of.experts[0] != '\0') {
    // transformers 5 writes one name for all classes.
    shape.experts = config.Int(config.Find("num_local_experts") != nullptr ? "num_local_experts" : of.experts);
    set("expert_count", shape.experts);
    set("expert_used_count", config.Int("num_experts_per_tok"));
    if (shape.architecture == "qwen3moe") set("expert_feed_forward_length", config.Int("moe_intermediate_size"));
  }
  set("attention.head_count", shape.heads);
  set("attention.head_count_kv", shape.kv_heads);
  set("attention.key_length", shape.head_dim);
  set("attention.value_length", shape.head_dim);
  out.Set(prefix + "attention.layer_norm_rms_epsilon", config.Float("rms_norm_eps"));
  set("vocab_size", shape.vocab_size);
  DescribeRotation(config, where, shape, out);
  return shape;
}

void DescribeTokenizer(const HfFolder& folder, int64_t vocab_size, GgufWriter& out) {
  const fs::path file = folder.path() / "tokenizer.json";
  if (!fs::is_regular_file(file)) {
    throw Error(ErrorKind::kUnsupported,
                "exporter 'gguf': " + folder.path().string() + ": holds no tokenizer.json, and the format holds the "
                "tokenizer. Save the fast one (save_pretrained of transformers does).");
  }
  const GgufTokenizer tokenizer = ByteLevelBpe::FromTokenizerJson(file, SpecialIds(folder.path()))->ForGguf(vocab_size);
  const std::string prefix = "tokenizer.ggml.";
  out.Set(prefix + "model", tokenizer.model);
  out.Set(prefix + "pre", tokenizer.pre);
  out.Set(prefix + "tokens", tokenizer.tokens);
  out.Set(prefix + "token_type", tokenizer.token_types);
  if (tokenizer.scores.empty()) {
    out.Set(prefix + "merges", tokenizer.merges);
  } else {
    out.Set(prefix + "scores", tokenizer.scores);
    out.Set(prefix + "add_space_prefix", tokenizer.add_space_prefix);
  }
  const auto set_id = [&](const char* key, const std::optional<int32_t>& id) {
    if (id) out.Set(prefix + key, static_cast<uint32_t>(*id));
  };
  set_id("bos_token_id", tokenizer.bos);
  set_id("eos_token_id", tokenizer.eos);
  set_id("unknown_token_id", tokenizer.unknown);
  if (!tokenizer.stop.empty()) set_id("eot_token_id", tokenizer.stop[0]);
  if (tokenizer.stop.size() > 1) set_id("eom_token_id", tokenizer.stop[1]);
  out.Set(prefix + "add_bos_token", tokenizer.add_bos);
  out.Set(prefix + "add_eos_token", tokenizer.add_eos);
  if (const std::string text = ChatTemplate(folder.path()); !text.empty()) out.Set("tokenizer.chat_template", text);
}

}  // namespace bitlaw
