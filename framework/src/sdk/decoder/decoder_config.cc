#include "bitlaw/sdk/decoder/decoder_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// Far above any model; below what could overflow a product of three or build a list of names without end.
constexpr int64_t kMaxSize = int64_t{1} << 24;
constexpr int64_t kMaxBlocks = 4096;
constexpr int64_t kMaxExperts = int64_t{1} << 17;  // Of all blocks together: 61 blocks of 384 experts are 23,424.
constexpr size_t kNamesShown = 12;
constexpr int64_t kTensorsListed = 1000;
constexpr char kRouter[] = "mlp.gate.weight", kSharedGate[] = "mlp.shared_expert_gate.weight";
constexpr char kShared[] = "mlp.shared_expert";

int64_t Product(const std::vector<int64_t>& sizes) {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

std::string Listed(const std::vector<std::string>& names) {
  if (names.size() <= kNamesShown) return JoinNames(names);
  return JoinNames({names.begin(), names.begin() + kNamesShown}) + " and " +
         std::to_string(names.size() - kNamesShown) + " more";
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

using Fault = std::function<void(const std::string&)>;

void CheckPositive(const std::string& name, double value, const Fault& fault) {
  if (value > 0 && std::isfinite(value)) return;
  fault(name + " = " + std::to_string(value) + ". It must be finite and positive.");
}

void CheckDivisors(const std::string& what, const std::vector<float>& divisors, int64_t dims, const Fault& fault) {
  if (static_cast<int64_t>(divisors.size()) != dims / 2) {
    fault("there are " + std::to_string(divisors.size()) + " " + what + "s. " + std::to_string(dims) +
          " rotating dimensions take " + std::to_string(dims / 2) + ".");
  }
  for (const float divisor : divisors) {
    if (divisor > 0 && std::isfinite(divisor)) continue;
    fault("a " + what + " is " + std::to_string(divisor) + ". It must be finite and positive.");
    return;
  }
}

void CheckScaling(const std::monostate&, int64_t, const Fault&) {}

void CheckScaling(const Llama3RopeScaling& scaling, int64_t, const Fault& fault) {
  CheckPositive("rope_scaling.factor", scaling.factor, fault);
  CheckPositive("rope_scaling.low_freq_factor", scaling.low_freq_factor, fault);
  CheckPositive("rope_scaling.original_max_position_embeddings", scaling.original_max_positions, fault);
  if (!(scaling.high_freq_factor > scaling.low_freq_factor)) {
    fault("rope_scaling.high_freq_factor = " + std::to_string(scaling.high_freq_factor) +
          ". It must be above low_freq_factor = " + std::to_string(scaling.low_freq_factor) + ".");
  }
}

void CheckScaling(const YarnRopeScaling& scaling, int64_t, const Fault& fault) {
  CheckPositive("rope_scaling.factor", scaling.factor, fault);
  CheckPositive("rope_scaling.original_max_position_embeddings", scaling.original_max_positions, fault);
  CheckPositive("rope_scaling.attention_factor", scaling.attention_factor, fault);
  CheckPositive("rope_scaling.beta_slow", scaling.beta_slow, fault);
  if (!(scaling.beta_fast >= scaling.beta_slow) || !std::isfinite(scaling.beta_fast)) {
    fault("rope_scaling.beta_fast = " + std::to_string(scaling.beta_fast) +
          ". It must be finite and at least beta_slow = " + std::to_string(scaling.beta_slow) + ".");
  }
}

void CheckScaling(const DynamicRopeScaling& scaling, int64_t dims, const Fault& fault) {
  if (!(scaling.factor >= 1) || !std::isfinite(scaling.factor)) {
    fault("rope_scaling.factor = " + std::to_string(scaling.factor) + ". It must be finite and at least 1.");
  }
  CheckPositive("rope_scaling.original_max_position_embeddings", scaling.original_max_positions, fault);
  if (dims < 4) fault(std::to_string(dims) + " rotating dimensions. A dynamic rotary scaling takes at least 4.");
}

void CheckScaling(const LongRopeScaling& scaling, int64_t dims, const Fault& fault) {
  CheckDivisors("short rotary factor", scaling.short_factors, dims, fault);
  CheckDivisors("long rotary factor", scaling.long_factors, dims, fault);
  CheckPositive("rope_scaling.original_max_position_embeddings", scaling.original_max_positions, fault);
  CheckPositive("rope_scaling.attention_factor", scaling.attention_factor, fault);
}

void CheckRotary(const RotarySetting& rope, int64_t head_dim, const Fault& fault) {
  CheckPositive("rope_theta", rope.theta, fault);
  if (head_dim == 0) return;
  const int64_t dims = rope.RotatedDims(head_dim);
  if (dims < 2 || dims > head_dim || dims % 2 != 0) {
    fault(std::to_string(dims) + " dimensions of a head rotate. It must be an even number in [2, " +
          std::to_string(head_dim) + "].");
    return;
  }
  std::visit([&](const auto& scaling) { CheckScaling(scaling, dims, fault); }, rope.scaling);
  if (!rope.divisors.empty()) CheckDivisors("rotary divisor", rope.divisors, dims, fault);
}

void CheckBlocks(const DecoderConfig& c, const Fault& fault) {
  if (c.blocks.empty()) return;
  if (static_cast<int64_t>(c.blocks.size()) != c.num_blocks) {
    fault("there are settings of " + std::to_string(c.blocks.size()) + " blocks. num_blocks = " +
          std::to_string(c.num_blocks) + ".");
  }
  for (const BlockSetting& block : c.blocks) {
    if (block.window >= 0) continue;
    fault("a sliding window is " + std::to_string(block.window) + ". It must be positive, or 0 for none.");
    return;
  }
}

bool HasDenseBlocks(const DecoderConfig& c) {
  return std::any_of(c.blocks.begin(), c.blocks.end(), [](const BlockSetting& block) { return block.is_dense; });
}

}  // namespace

void CheckDecoderConfig(const DecoderConfig& c, const std::string& where) {
  std::string faults;
  const auto fault = [&](const std::string& text) { faults += (faults.empty() ? "" : "\n") + where + ": " + text; };
  const auto in_range = [&](const char* name, int64_t value, int64_t max) {
    if (value < 1 || value > max) {
      fault(std::string(name) + " = " + std::to_string(value) + ". It must lie in [1, " + std::to_string(max) + "].");
      return false;
    }
    return true;
  };
  bool sizes_fit = in_range("vocab_size", c.vocab_size, kMaxSize);
  sizes_fit &= in_range("hidden_size", c.hidden_size, kMaxSize);
  sizes_fit &= in_range("ffn_size", c.ffn_size, kMaxSize);
  sizes_fit &= in_range("num_blocks", c.num_blocks, kMaxBlocks);
  sizes_fit &= in_range("num_heads", c.num_heads, kMaxSize);
  sizes_fit &= in_range("num_kv_heads", c.num_kv_heads, kMaxSize);
  sizes_fit &= in_range("head_dim", c.head_dim, kMaxSize);
  sizes_fit &= in_range("max_positions", c.max_positions, int64_t{1} << 40);
  if (c.num_experts != 0) {
    if (in_range("num_experts", c.num_experts, kMaxBlocks))
      in_range("experts_per_token", c.experts_per_token, c.num_experts);
    if (c.shared_ffn_size != 0) sizes_fit &= in_range("shared_ffn_size", c.shared_ffn_size, kMaxSize);
    if (HasDenseBlocks(c)) sizes_fit &= in_range("dense_ffn_size", c.dense_ffn_size, kMaxSize);
    if (sizes_fit && c.num_experts <= kMaxBlocks && c.num_blocks * c.num_experts > kMaxExperts) {
      fault("num_blocks * num_experts = " + std::to_string(c.num_blocks * c.num_experts) + ". At most " +
            std::to_string(kMaxExperts) + " are accepted.");
    }
  }
  if (sizes_fit) {
    if (c.num_heads % c.num_kv_heads != 0) {
      fault("num_kv_heads = " + std::to_string(c.num_kv_heads) + " does not divide num_heads = " +
            std::to_string(c.num_heads) + ".");
    }
    if (c.head_dim % 2 != 0) {
      fault("head_dim = " + std::to_string(c.head_dim) + ". Rotary positions need an even one.");
    }
    if (c.num_heads * c.head_dim > kMaxSize) {
      fault("num_heads * head_dim = " + std::to_string(c.num_heads * c.head_dim) + ". At most " +
            std::to_string(kMaxSize) + " are accepted.");
    }
    CheckBlocks(c, fault);
  }
  // Of heads whose size is at fault theta alone is looked at.
  const int64_t head_dim = sizes_fit && c.head_dim % 2 == 0 ? c.head_dim : 0;
  CheckRotary(c.rope, head_dim, fault);
  CheckRotary(c.local_rope, head_dim, fault);
  CheckPositive("rms_norm_eps", c.rms_norm_eps, fault);
  CheckPositive("embedding_scale", c.embedding_scale, fault);
  for (const auto& [name, value] : {std::pair{"query_scale", c.query_scale}, {"attention_softcap", c.attention_softcap},
                                    {"logit_softcap", c.logit_softcap}}) {
    if (value != 0) CheckPositive(name, value, fault);
  }
  if (!faults.empty()) throw Error(ErrorKind::kIo, faults);
}

std::vector<StoredTensor> ExpectedTensors(const DecoderConfig& c) {
  const int64_t q_size = c.num_heads * c.head_dim, kv_size = c.num_kv_heads * c.head_dim;
  std::vector<StoredTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors.push_back({name, std::move(shape), ""});
  };
  const auto add_linear = [&](const std::string& name, int64_t c_out, int64_t c_in, bool bias) {
    add(name + ".weight", {c_out, c_in});
    if (bias) add(name + ".bias", {c_out});
  };
  add("model.embed_tokens.weight", {c.vocab_size, c.hidden_size});
  for (int64_t i = 0; i < c.num_blocks; ++i) {
    const std::string block = "model.layers." + std::to_string(i) + ".";
    if (c.norm_place != NormPlace::kAfter) add(block + "input_layernorm.weight", {c.hidden_size});
    add_linear(block + "self_attn.q_proj", q_size, c.hidden_size, c.qkv_bias);
    add_linear(block + "self_attn.k_proj", kv_size, c.hidden_size, c.qkv_bias);
    add_linear(block + "self_attn.v_proj", kv_size, c.hidden_size, c.qkv_bias);
    if (c.qk_norm) {
      add(block + "self_attn.q_norm.weight", {c.qk_norm_whole ? q_size : c.head_dim});
      add(block + "self_attn.k_norm.weight", {c.qk_norm_whole ? kv_size : c.head_dim});
    }
    add_linear(block + "self_attn.o_proj", c.hidden_size, q_size, c.o_bias);
    add(block + "post_attention_layernorm.weight", {c.hidden_size});
    if (c.norm_place == NormPlace::kBoth) add(block + "pre_feedforward_layernorm.weight", {c.hidden_size});
    if (c.norm_place != NormPlace::kBefore) add(block + "post_feedforward_layernorm.weight", {c.hidden_size});
    if (c.has_experts(i)) {
      add(block + kRouter, {c.num_experts, c.hidden_size});
      const bool is_shared = c.shared_ffn_size > 0;
      if (is_shared) add(block + kSharedGate, {1, c.hidden_size});
      const auto expert = [&](int64_t e) { return block + "mlp.experts." + std::to_string(e); };
      for (int64_t e = 0; e < c.num_experts; ++e) {
        add_linear(expert(e) + ".gate_proj", c.ffn_size, c.hidden_size, false);
        add_linear(expert(e) + ".up_proj", c.ffn_size, c.hidden_size, false);
      }
      if (is_shared) {
        add_linear(block + kShared + ".gate_proj", c.shared_ffn_size, c.hidden_size, false);
        add_linear(block + kShared + ".up_proj", c.shared_ffn_size, c.hidden_size, false);
      }
      for (int64_t e = 0; e < c.num_experts; ++e)
        add_linear(expert(e) + ".down_proj", c.hidden_size, c.ffn_size, false);
      if (is_shared) add_linear(block + kShared + ".down_proj", c.hidden_size, c.shared_ffn_size, false);
      continue;
    }
    const int64_t ffn_size = c.num_experts > 0 ? c.dense_ffn_size : c.ffn_size;
    add_linear(block + "mlp.gate_proj", ffn_size, c.hidden_size, c.mlp_bias);
    add_linear(block + "mlp.up_proj", ffn_size, c.hidden_size, c.mlp_bias);
    add_linear(block + "mlp.down_proj", c.hidden_size, ffn_size, c.mlp_bias);
  }
  add("model.norm.weight", {c.hidden_size});
  if (!c.tied_head) add("lm_head.weight", {c.vocab_size, c.hidden_size});
  return tensors;
}

namespace {

// The sites of one block whose layers are linears[first] and the following ones, in the order of ExpectedTensors().
void AddSites(const DecoderConfig& c, const std::vector<LinearShape>& linears, size_t first,
              std::vector<SiteShape>& sites) {
  const int index = linears[first].block;
  const std::string block = "model.layers." + std::to_string(index) + ".";
  const auto add = [&](const std::string& name, std::vector<LinearShape> readers, const std::string& producer,
                       SiteRole role, bool is_expert) {
    // The router reads what experts read: a rotation of one expert's input alone has no place.
    const bool rotates_online = role != SiteRole::kFeedForwardIn || !c.has_experts(index);
    sites.push_back({block + name, index, std::move(readers), producer.empty() ? "" : block + producer, is_expert, role,
                     rotates_online});
  };
  const LinearShape* layer = &linears[first];
  // Without a norm before it a site reads the residual stream, which every other block reads as well.
  const std::string attention_norm = c.norm_place == NormPlace::kAfter ? "" : "input_layernorm";
  const std::string ffn_norm = c.norm_place == NormPlace::kAfter  ? ""
                               : c.norm_place == NormPlace::kBoth ? "pre_feedforward_layernorm"
                                                                  : "post_attention_layernorm";
  add("self_attn.in", {layer[0], layer[1], layer[2]}, attention_norm, SiteRole::kAttentionIn, false);
  // A value head's channel reaches every query head that it serves: they share a scale (Producer::channels).
  add("self_attn.out", {layer[3]}, "self_attn.v_proj", SiteRole::kAttentionOut, false);
  layer += 4;
  // activation(gate) * up: a scale of `up` passes, one of `gate` does not.
  if (!c.has_experts(index)) {
    add("mlp.in", {layer[0], layer[1]}, ffn_norm, SiteRole::kFeedForwardIn, false);
    add("mlp.out", {layer[2]}, "mlp.up_proj", SiteRole::kFeedForwardOut, false);
    return;
  }
  const auto expert = [](int64_t e) { return "mlp.experts." + std::to_string(e); };
  // The norm before experts is read by all of them and by the router, so that no scale of one expert's input folds.
  for (int64_t e = 0; e < c.num_experts; ++e) {
    add(expert(e) + ".in", {layer[2 * e], layer[2 * e + 1]}, "", SiteRole::kFeedForwardIn, true);
  }
  layer += 2 * c.num_experts;
  const std::string shared = kShared;
  if (c.shared_ffn_size > 0) {
    add(shared + ".in", {layer[0], layer[1]}, "", SiteRole::kFeedForwardIn, false);
    layer += 2;
  }
  for (int64_t e = 0; e < c.num_experts; ++e) {
    add(expert(e) + ".out", {layer[e]}, expert(e) + ".up_proj", SiteRole::kFeedForwardOut, true);
  }
  if (c.shared_ffn_size > 0) {
    add(shared + ".out", {layer[c.num_experts]}, shared + ".up_proj", SiteRole::kFeedForwardOut, false);
  }
}

// As many as ExpectedTensors() lists, or a few less where biases are.
int64_t TensorCount(const DecoderConfig& c) {
  const int64_t norms = c.norm_place == NormPlace::kBoth ? 4 : 2;
  const int64_t attention = 4 + norms + 2 * (c.qk_norm ? 1 : 0), expert_blocks = c.num_expert_blocks();
  const int64_t experts = 1 + 3 * c.num_experts + (c.shared_ffn_size > 0 ? 4 : 0);
  return 2 + (c.tied_head ? 0 : 1) + c.num_blocks * attention + expert_blocks * experts +
         (c.num_blocks - expert_blocks) * 3;
}

}  // namespace

ModelSummary SummarizeDecoder(const DecoderConfig& c, const std::vector<StoredTensor>& stored, const std::string& name,
                              const std::string& where) {
  std::map<std::string, const StoredTensor*> unseen;
  for (const StoredTensor& tensor : stored) unseen.emplace(tensor.name, &tensor);

  // A list of names that are all missing would be long: of a configuration that calls for far more than there is, the
  // number says enough.
  const int64_t expected_count = TensorCount(c);
  if (expected_count > 2 * static_cast<int64_t>(stored.size()) + kTensorsListed) {
    throw Error(ErrorKind::kIo, where + ": the configuration calls for " + std::to_string(expected_count) +
                                    " tensors, the files hold " + std::to_string(stored.size()) +
                                    ". The checkpoint is incomplete or its configuration is another model's.");
  }

  ModelSummary summary;
  std::vector<std::string> missing, misshapen, unused;
  std::map<std::string, int64_t> parameters_by_dtype;
  for (const StoredTensor& expected : ExpectedTensors(c)) {
    const auto found = unseen.find(expected.name);
    if (found == unseen.end()) {
      missing.push_back(expected.name);
      continue;
    }
    if (found->second->shape != expected.shape) {
      misshapen.push_back(fmt::format("{} is [{}] where the configuration says [{}]", expected.name,
                                      fmt::join(found->second->shape, ", "), fmt::join(expected.shape, ", ")));
    }
    const int64_t parameters = Product(expected.shape);
    parameters_by_dtype[found->second->dtype] += parameters;
    summary.parameters_total += parameters;
    unseen.erase(found);
    // A block's matrices are its linear layers: biases and norms have one dimension. Routers stay as they are.
    if (expected.shape.size() == 2 && expected.name.starts_with("model.layers.") && !EndsWith(expected.name, kRouter) &&
        !EndsWith(expected.name, kSharedGate)) {
      const std::string layer = expected.name.substr(0, expected.name.size() - std::string(".weight").size());
      const int block = std::stoi(layer.substr(std::string("model.layers.").size()));
      summary.linears.push_back({layer, block, expected.shape[1], expected.shape[0],
                                 layer.find(".experts.") != std::string::npos});
      summary.parameters_quantizable += parameters;
    }
  }
  for (const auto& [tensor_name, tensor] : unseen) {
    const bool tied_copy = c.tied_head && tensor_name == "lm_head.weight" &&
                           tensor->shape == std::vector<int64_t>{c.vocab_size, c.hidden_size};
    if (!tied_copy && !EndsWith(tensor_name, "rotary_emb.inv_freq")) unused.push_back(tensor_name);
  }
  if (!missing.empty() || !misshapen.empty() || !unused.empty()) {
    throw Error(ErrorKind::kIo, where + ": the tensors are not those of a " + c.architecture +
                                    " model with this configuration. Missing: " + Listed(missing) +
                                    ". Of another shape: " + Listed(misshapen) + ". Unused: " + Listed(unused) +
                                    ". The checkpoint is incomplete or its configuration is another model's.");
  }
  for (size_t i = 0; i < summary.linears.size(); ++i) {
    if (i > 0 && summary.linears[i].block == summary.linears[i - 1].block) continue;
    AddSites(c, summary.linears, i, summary.sites);
  }
  summary.tables.push_back({"model.embed_tokens", -1, c.hidden_size, c.vocab_size});
  if (!c.tied_head) summary.tables.push_back({"lm_head", -1, c.hidden_size, c.vocab_size});
  summary.name = name;
  summary.architecture = c.architecture;
  summary.parameters_active =
      summary.parameters_total -
      (c.num_experts - c.experts_per_token) * 3 * c.hidden_size * c.ffn_size * c.num_expert_blocks();
  summary.parameters_embedding = c.vocab_size * c.hidden_size * (c.tied_head ? 1 : 2);
  summary.num_blocks = c.num_blocks;
  summary.hidden_size = c.hidden_size;
  summary.vocab_size = c.vocab_size;
  summary.max_positions = c.max_positions;
  for (const RotarySetting* rope : {&c.rope, &c.local_rope}) {
    const double original = rope->OriginalPositions();
    if (original > 0 && original < static_cast<double>(summary.max_positions)) {
      summary.max_positions = static_cast<int64_t>(original);
    }
  }
  summary.rounds_kv_cache = true;
  summary.head_dim = c.head_dim;
  summary.bases = {.residual = "", .heads = "", .keys = ""};
  if (c.norm_place != NormPlace::kBefore) {
    summary.bases.residual =
        "norms after its attention and feed-forward layers scale channels of what is added to the stream, and no "
        "weight can take such a scale in another basis";
  }
  summary.factors = {StandardFactor("experts", std::max<int64_t>(1, c.num_experts)),
                     StandardFactor("experts_active", c.num_experts > 0 ? c.experts_per_token : 1)};
  int64_t most = 0;
  for (const auto& [dtype, parameters] : parameters_by_dtype) {
    if (parameters > most) {
      most = parameters;
      summary.stored_dtype = dtype;
    }
  }
  return summary;
}

}  // namespace bitlaw
