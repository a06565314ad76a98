#include "net.h"

#include <ATen/ATen.h>

#include <cmath>

#include "bitlaw/base/rng.h"

namespace bitlaw::lab {
namespace {

float* Data(const at::Tensor& tensor) { return tensor.data_ptr<float>(); }

}  // namespace

int64_t NetConfig::parameters_non_embedding() const {
  const int64_t attention = hidden * head_dim * (2 * heads + 2 * kv_heads), mlp = 3 * hidden * ffn;
  return layers * (attention + mlp + 2 * hidden + (has_head_norm() ? 2 * head_dim : 0)) + hidden;
}

Net::Net(NetConfig config, int64_t batch, int64_t tokens, uint64_t seed)
    : config_(std::move(config)),
      heads_{batch, tokens, config_.heads, config_.kv_heads, config_.head_dim},
      rows_(batch * tokens) {
  const int64_t d = config_.hidden, f = config_.ffn, hd = config_.head_dim, out = config_.heads * hd;
  auto reserve = [&](int64_t size, bool is_matrix) {
    const int64_t at = count_;
    count_ += size;
    decays_.resize(count_, is_matrix);
    return at;
  };
  embedding_at_ = reserve(config_.vocab * d, true);
  for (int64_t l = 0; l < config_.layers; ++l) {
    LayerAt at{};
    at.attention_norm = reserve(d, false);
    at.qkv = reserve(heads_.columns() * d, true);
    at.query_norm = reserve(config_.has_head_norm() ? hd : 0, false);
    at.key_norm = reserve(config_.has_head_norm() ? hd : 0, false);
    at.output = reserve(d * out, true);
    at.mlp_norm = reserve(d, false);
    at.gate_up = reserve(2 * f * d, true);
    at.down = reserve(d * f, true);
    at_.push_back(at);
  }
  final_norm_at_ = reserve(d, false);

  parameters_ = at::ones({count_}, at::kFloat);  // Norms start at one.
  gradient_ = at::zeros({count_}, at::kFloat);
  Rng rng(seed);
  auto fill = [&](int64_t at, int64_t size, double deviation) {
    for (int64_t i = 0; i < size; ++i) Data(parameters_)[at + i] = static_cast<float>(deviation * rng.Normal());
  };
  const double depth = std::sqrt(2.0 * static_cast<double>(config_.layers));
  fill(embedding_at_, config_.vocab * d, 0.05);
  for (const LayerAt& at : at_) {
    fill(at.qkv, heads_.columns() * d, 0.7 / std::sqrt(d));
    fill(at.output, d * out, 0.7 / std::sqrt(out) / depth);
    fill(at.gate_up, 2 * f * d, 0.7 / std::sqrt(d));
    fill(at.down, d * f, 0.7 / std::sqrt(f) / depth);
  }

  auto buffer = [&](int64_t columns) { return at::empty({rows_, columns}, at::kFloat); };
  for (int64_t l = 0; l < config_.layers; ++l) {
    LayerBuffers b;
    b.input = buffer(d), b.normed = buffer(d), b.r1 = buffer(1), b.qkv = buffer(heads_.columns());
    if (config_.has_head_norm()) {
      b.raw = buffer((config_.heads + config_.kv_heads) * hd);
      b.head_r = buffer(config_.heads + config_.kv_heads);
    }
    b.p = at::empty({batch, config_.heads, tokens, tokens}, at::kFloat);
    b.attended = buffer(out), b.middle = buffer(d), b.normed2 = buffer(d), b.r2 = buffer(1);
    b.gate_up = buffer(2 * f), b.act = buffer(f);
    layers_.push_back(std::move(b));
  }
  hidden_ = buffer(d), final_normed_ = buffer(d), final_r_ = buffer(1), logits_ = buffer(config_.vocab);
  d_hidden_ = buffer(d), d_normed_ = buffer(d), d_qkv_ = buffer(heads_.columns()), d_attended_ = buffer(out), d_act_ = buffer(f);
  cosine_ = at::empty({tokens, hd / 2}, at::kFloat);
  sine_ = at::empty({tokens, hd / 2}, at::kFloat);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < hd / 2; ++j) {
      const double angle = static_cast<double>(t) * std::pow(config_.rope_theta, -2.0 * static_cast<double>(j) / static_cast<double>(hd));
      Data(cosine_)[t * (hd / 2) + j] = static_cast<float>(std::cos(angle));
      Data(sine_)[t * (hd / 2) + j] = static_cast<float>(std::sin(angle));
    }
  }
}

at::Tensor Net::Weight(at::Tensor& flat, int64_t offset, int64_t rows, int64_t columns) const {
  return flat.narrow(0, offset, rows * columns).view({rows, columns});
}

double Net::Step(const std::vector<int32_t>& tokens, const std::vector<int32_t>& targets, const std::vector<float>& weight,
                 std::vector<char>* correct) {
  const double loss = Forward(tokens, targets, weight, correct);
  Backward(tokens);
  return loss;
}

double Net::Evaluate(const std::vector<int32_t>& tokens, const std::vector<int32_t>& targets, const std::vector<float>& weight,
                     std::vector<char>* correct) {
  return Forward(tokens, targets, weight, correct);
}

double Net::Forward(const std::vector<int32_t>& tokens, const std::vector<int32_t>& targets, const std::vector<float>& weight,
                    std::vector<char>* correct) {
  const int64_t d = config_.hidden, f = config_.ffn, out = config_.heads * config_.head_dim;
  const auto eps = static_cast<float>(config_.norm_eps);
  const at::Tensor embedding = Weight(parameters_, embedding_at_, config_.vocab, d);
  const float* rows_of = Data(embedding);
  for (int64_t i = 0; i < rows_; ++i) std::copy_n(rows_of + tokens[i] * d, d, Data(hidden_) + i * d);  // [M, d]
  for (int64_t l = 0; l < config_.layers; ++l) {
    LayerBuffers& b = layers_[l];
    const LayerAt& at = at_[l];
    float* p = Data(parameters_);
    b.input.copy_(hidden_);
    RmsNormForward(Data(b.input), p + at.attention_norm, eps, rows_, d, Data(b.normed), Data(b.r1));
    at::mm_out(b.qkv, b.normed, Weight(parameters_, at.qkv, heads_.columns(), d).t());  // [M, (H + 2 K) D]
    if (config_.has_head_norm()) {
      HeadNormForward(Data(b.qkv), heads_, p + at.query_norm, p + at.key_norm, eps, Data(b.raw), Data(b.head_r));
    }
    Rotate(Data(b.qkv), heads_, Data(cosine_), Data(sine_), +1);
    AttentionForward(Data(b.qkv), heads_, Data(b.p), Data(b.attended));                  // [M, H D]
    hidden_.addmm_(b.attended, Weight(parameters_, at.output, d, out).t());              // [M, d]
    b.middle.copy_(hidden_);
    RmsNormForward(Data(b.middle), p + at.mlp_norm, eps, rows_, d, Data(b.normed2), Data(b.r2));
    at::mm_out(b.gate_up, b.normed2, Weight(parameters_, at.gate_up, 2 * f, d).t());     // [M, 2 f]
    SwigluForward(Data(b.gate_up), rows_, f, Data(b.act));                               // [M, f]
    hidden_.addmm_(b.act, Weight(parameters_, at.down, d, f).t());                       // [M, d]
  }
  RmsNormForward(Data(hidden_), Data(parameters_) + final_norm_at_, eps, rows_, d, Data(final_normed_), Data(final_r_));
  at::mm_out(logits_, final_normed_, embedding.t());                                     // [M, V]
  if (correct != nullptr) correct->assign(rows_, 0);
  return CrossEntropy(Data(logits_), targets.data(), weight.data(), rows_, config_.vocab, correct ? correct->data() : nullptr);
}

void Net::Backward(const std::vector<int32_t>& tokens) {
  const int64_t d = config_.hidden, f = config_.ffn, out = config_.heads * config_.head_dim;
  const float* p = Data(parameters_);
  float* g = Data(gradient_);
  auto gradient_of = [&](int64_t offset, int64_t rows, int64_t columns) { return Weight(gradient_, offset, rows, columns); };
  at::Tensor d_embedding = gradient_of(embedding_at_, config_.vocab, d);
  at::mm_out(d_embedding, logits_.t(), final_normed_);                                   // [V, d]
  at::mm_out(d_normed_, logits_, Weight(parameters_, embedding_at_, config_.vocab, d));  // [M, d]
  d_hidden_.zero_();
  RmsNormBackward(Data(d_normed_), Data(hidden_), p + final_norm_at_, Data(final_r_), rows_, d, Data(d_hidden_), g + final_norm_at_);
  for (int64_t l = config_.layers - 1; l >= 0; --l) {
    LayerBuffers& b = layers_[l];
    const LayerAt& at = at_[l];
    at::Tensor d_down = gradient_of(at.down, d, f), d_gate_up = gradient_of(at.gate_up, 2 * f, d);
    at::mm_out(d_down, d_hidden_.t(), b.act);
    at::mm_out(d_act_, d_hidden_, Weight(parameters_, at.down, d, f));                   // [M, f]
    SwigluBackward(Data(d_act_), rows_, f, Data(b.gate_up));
    at::mm_out(d_gate_up, b.gate_up.t(), b.normed2);
    at::mm_out(d_normed_, b.gate_up, Weight(parameters_, at.gate_up, 2 * f, d));         // [M, d]
    RmsNormBackward(Data(d_normed_), Data(b.middle), p + at.mlp_norm, Data(b.r2), rows_, d, Data(d_hidden_), g + at.mlp_norm);
    at::Tensor d_output = gradient_of(at.output, d, out), d_qkv_weight = gradient_of(at.qkv, heads_.columns(), d);
    at::mm_out(d_output, d_hidden_.t(), b.attended);
    at::mm_out(d_attended_, d_hidden_, Weight(parameters_, at.output, d, out));          // [M, H D]
    AttentionBackward(Data(d_attended_), Data(b.qkv), Data(b.p), heads_, Data(d_qkv_));
    Rotate(Data(d_qkv_), heads_, Data(cosine_), Data(sine_), -1);
    if (config_.has_head_norm()) {
      HeadNormBackward(Data(d_qkv_), heads_, p + at.query_norm, p + at.key_norm, Data(b.raw), Data(b.head_r), g + at.query_norm,
                       g + at.key_norm);
    }
    at::mm_out(d_qkv_weight, d_qkv_.t(), b.normed);
    at::mm_out(d_normed_, d_qkv_, Weight(parameters_, at.qkv, heads_.columns(), d));     // [M, d]
    RmsNormBackward(Data(d_normed_), Data(b.input), p + at.attention_norm, Data(b.r1), rows_, d, Data(d_hidden_), g + at.attention_norm);
  }
  float* rows_of = Data(d_embedding);
  for (int64_t i = 0; i < rows_; ++i) {
    float* row = rows_of + tokens[i] * d;
    const float* from = Data(d_hidden_) + i * d;
    for (int64_t j = 0; j < d; ++j) row[j] += from[j];
  }
}

std::vector<Net::View> Net::Named() const {
  const int64_t d = config_.hidden, f = config_.ffn, hd = config_.head_dim, q = config_.heads * hd, k = config_.kv_heads * hd;
  std::vector<View> views = {{"model.embed_tokens.weight", {config_.vocab, d}, embedding_at_}};
  for (size_t l = 0; l < at_.size(); ++l) {
    const LayerAt& at = at_[l];
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    views.push_back({layer + "input_layernorm.weight", {d}, at.attention_norm});
    views.push_back({layer + "self_attn.q_proj.weight", {q, d}, at.qkv});
    views.push_back({layer + "self_attn.k_proj.weight", {k, d}, at.qkv + q * d});
    views.push_back({layer + "self_attn.v_proj.weight", {k, d}, at.qkv + (q + k) * d});
    if (config_.has_head_norm()) {
      views.push_back({layer + "self_attn.q_norm.weight", {hd}, at.query_norm});
      views.push_back({layer + "self_attn.k_norm.weight", {hd}, at.key_norm});
    }
    views.push_back({layer + "self_attn.o_proj.weight", {d, q}, at.output});
    views.push_back({layer + "post_attention_layernorm.weight", {d}, at.mlp_norm});
    views.push_back({layer + "mlp.gate_proj.weight", {f, d}, at.gate_up});
    views.push_back({layer + "mlp.up_proj.weight", {f, d}, at.gate_up + f * d});
    views.push_back({layer + "mlp.down_proj.weight", {d, f}, at.down});
  }
  views.push_back({"model.norm.weight", {d}, final_norm_at_});
  return views;
}

}  // namespace bitlaw::lab
