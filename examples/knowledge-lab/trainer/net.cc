#include "net.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "experts.h"
#include "kernels.h"

namespace bitlaw::lab {
namespace {

constexpr int64_t kRowsStep = 256;  // Rows of logits come in multiples of this, so that products have few shapes.

int64_t CountOf(const NetConfig& c, int64_t experts) {
  const int64_t attention = c.hidden * c.head_dim * (2 * c.heads + 2 * c.kv_heads), router = c.experts * c.hidden;
  const int64_t mlp = 3 * c.hidden * c.ffn * std::max<int64_t>(experts, 1);
  return c.layers * (attention + mlp + router + 2 * c.hidden + (c.has_head_norm() ? 2 * c.head_dim : 0)) + c.hidden;
}

}  // namespace

int64_t NetConfig::parameters_non_embedding() const { return CountOf(*this, experts); }
int64_t NetConfig::parameters_active() const { return CountOf(*this, chosen); }

Net::Net(NetConfig config, int64_t rows, uint64_t seed) : config_(std::move(config)), rows_(rows) {
  const int64_t d = config_.hidden, f = config_.ffn, hd = config_.head_dim, out = config_.heads * hd;
  const int64_t columns = (config_.heads + 2 * config_.kv_heads) * hd, networks = std::max<int64_t>(config_.experts, 1);
  if (hd != 16 && hd != 32 && hd != 64) throw InternalError("the lab's heads have 16, 32 or 64 columns");
  auto reserve = [&](int64_t size, bool is_matrix) {
    const int64_t at = count_;
    count_ += size;
    if (is_matrix) matrices_.push_back({at, count_});
    return at;
  };
  embedding_at_ = reserve(config_.vocab * d, true);
  for (int64_t l = 0; l < config_.layers; ++l) {
    LayerAt at{};
    at.attention_norm = reserve(d, false);
    at.qkv = reserve(columns * d, true);
    at.query_norm = reserve(config_.has_head_norm() ? hd : 0, false);
    at.key_norm = reserve(config_.has_head_norm() ? hd : 0, false);
    at.output = reserve(d * out, true);
    at.mlp_norm = reserve(d, false);
    at.router = reserve(config_.experts * d, true);
    at.gate_up = reserve(networks * 2 * f * d, true);
    at.down = reserve(networks * d * f, true);
    at_.push_back(at);
  }
  final_norm_at_ = reserve(d, false);

  parameters_ = at::ones({count_}, at::kFloat);  // Norms start at one.
  gradient_ = at::zeros({count_}, at::kFloat);
  Rng rng(seed);
  auto fill = [&](int64_t at, int64_t size, double deviation) {
    for (int64_t i = 0; i < size; ++i)
      parameters_.data_ptr<float>()[at + i] = static_cast<float>(deviation * rng.Normal());
  };
  const double depth = std::sqrt(2.0 * static_cast<double>(config_.layers));
  fill(embedding_at_, config_.vocab * d, 0.05);
  for (const LayerAt& at : at_) {
    fill(at.qkv, columns * d, 0.7 / std::sqrt(d));
    fill(at.output, d * out, 0.7 / std::sqrt(out) / depth);
    fill(at.router, config_.experts * d, 0.02);
    fill(at.gate_up, networks * 2 * f * d, 0.7 / std::sqrt(d));
    fill(at.down, networks * d * f, 0.7 / std::sqrt(f) / depth);
  }
}

std::vector<Net::View> Net::Named() const {
  const int64_t d = config_.hidden, f = config_.ffn, hd = config_.head_dim, q = config_.heads * hd,
                k = config_.kv_heads * hd;
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
    if (config_.experts > 0) views.push_back({layer + "mlp.gate.weight", {config_.experts, d}, at.router});
    for (int64_t e = 0; e < std::max<int64_t>(config_.experts, 1); ++e) {
      const std::string network = layer + (config_.experts > 0 ? "mlp.experts." + std::to_string(e) + "." : "mlp.");
      views.push_back({network + "gate_proj.weight", {f, d}, at.gate_up + e * 2 * f * d});
      views.push_back({network + "up_proj.weight", {f, d}, at.gate_up + (2 * e + 1) * f * d});
      views.push_back({network + "down_proj.weight", {d, f}, at.down + e * d * f});
    }
  }
  views.push_back({"model.norm.weight", {d}, final_norm_at_});
  return views;
}

namespace {

template <typename T>
class NetOf : public Net {
 public:
  NetOf(NetConfig config, int64_t rows, uint64_t seed);
  double Step(const Batch& batch) override {
    const double loss = Forward(batch, nullptr);
    Backward(batch);
    return loss;
  }
  double Evaluate(const Batch& batch, std::vector<char>* correct) override {
    correct->assign(batch.asked.size(), 0);
    return Forward(batch, correct->data());
  }

 private:
  struct Layer {
    at::Tensor input, normed, r1, qkv, attended, middle, normed2, r2, gate_up, act;
  };
  static T* Data(const at::Tensor& tensor) { return static_cast<T*>(tensor.data_ptr()); }
  static float* Float(const at::Tensor& tensor) { return tensor.data_ptr<float>(); }
  at::Tensor Weight(int64_t offset, int64_t rows, int64_t columns) const {
    return weights_.narrow(0, offset, rows * columns).view({rows, columns});
  }
  AttentionShape Shape(const Batch& batch, const LayerAt& at) const {
    const float* p = Float(parameters_);
    const bool norm = config_.has_head_norm();
    return {config_.heads,
            config_.kv_heads,
            config_.head_dim,
            batch.starts.data(),
            static_cast<int64_t>(batch.starts.size()) - 1,
            Float(cosine_),
            Float(sine_),
            norm ? p + at.query_norm : nullptr,
            norm ? p + at.key_norm : nullptr,
            static_cast<float>(config_.norm_eps)};
  }
  // Gradient of a weight: gradient[offset...] = output^T input.
  void WeightGradient(const at::Tensor& output, const at::Tensor& input, int64_t offset) {
    const int64_t size = output.size(1) * input.size(1);
    at::Tensor part = part_.narrow(0, 0, size).view({output.size(1), input.size(1)});
    at::mm_out(part, output.t(), input);
    kernels_.widen(Data(part_), size, Float(gradient_) + offset);
  }
  double Forward(const Batch& batch, char* correct);
  void Backward(const Batch& batch);

  const Kernels<T>& kernels_ = KernelsOf<T>();
  at::Tensor weights_;  // [n] T: what the products see.
  std::vector<Layer> layers_;
  std::vector<Experts<T>> experts_;
  at::Tensor hidden_, added_, final_hidden_, final_normed_, final_r_, logits_, cosine_, sine_;
  at::Tensor d_hidden_, d_rounded_, d_normed_, d_qkv_, d_attended_, d_act_, d_final_, part_;
};

template <typename T>
NetOf<T>::NetOf(NetConfig config, int64_t rows, uint64_t seed) : Net(std::move(config), rows, seed) {
  const int64_t d = config_.hidden, f = config_.ffn, hd = config_.head_dim, out = config_.heads * hd;
  const int64_t columns = (config_.heads + 2 * config_.kv_heads) * hd, tokens = kMaxDocument;
  const auto kind = sizeof(T) == 2 ? at::kBFloat16 : at::kFloat;
  weights_ = sizeof(T) == 2 ? at::empty({count_}, kind) : parameters_;
  auto buffer = [&](int64_t width) { return at::zeros({rows_, width}, kind); };
  auto wide = [&](int64_t width) { return at::zeros({rows_, width}, at::kFloat); };
  for (int64_t l = 0; l < config_.layers; ++l) {
    Layer b;
    b.input = wide(d), b.normed = buffer(d), b.r1 = wide(1), b.qkv = buffer(columns), b.attended = buffer(out);
    b.middle = wide(d), b.normed2 = buffer(d), b.r2 = wide(1);
    if (config_.experts > 0) {
      experts_.emplace_back(config_, rows_);
    } else {
      b.gate_up = buffer(2 * f), b.act = buffer(f);
    }
    layers_.push_back(std::move(b));
  }
  rows_ = (rows_ + kRowsStep - 1) / kRowsStep * kRowsStep;  // Room for padded rows of logits.
  hidden_ = wide(d), added_ = buffer(d), final_hidden_ = wide(d), final_normed_ = buffer(d), final_r_ = wide(1);
  logits_ = buffer(config_.vocab), d_final_ = wide(d), d_normed_ = buffer(d), d_rounded_ = buffer(d);
  rows_ = rows;
  d_hidden_ = wide(d), d_qkv_ = buffer(columns), d_attended_ = buffer(out), d_act_ = buffer(f);
  int64_t largest = 0;
  for (const Range& range : matrices_) largest = std::max(largest, range.end - range.begin);
  part_ = at::empty({largest}, kind);
  cosine_ = at::empty({tokens, hd}, at::kFloat);
  sine_ = at::empty({tokens, hd}, at::kFloat);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < hd / 2; ++j) {
      const double angle = static_cast<double>(t) *
                           std::pow(config_.rope_theta, -2.0 * static_cast<double>(j) / static_cast<double>(hd));
      Float(cosine_)[t * hd + j] = Float(cosine_)[t * hd + hd / 2 + j] = static_cast<float>(std::cos(angle));
      Float(sine_)[t * hd + hd / 2 + j] = static_cast<float>(std::sin(angle));
      Float(sine_)[t * hd + j] = -Float(sine_)[t * hd + hd / 2 + j];
    }
  }
}

template <typename T>
double NetOf<T>::Forward(const Batch& batch, char* correct) {
  const int64_t d = config_.hidden, f = config_.ffn, out = config_.heads * config_.head_dim;
  const int64_t columns = (config_.heads + 2 * config_.kv_heads) * config_.head_dim;
  const auto eps = static_cast<float>(config_.norm_eps);
  const float* p = Float(parameters_);
  if constexpr (sizeof(T) == 2) kernels_.round(p, count_, Data(weights_));
  for (int64_t i = 0; i < rows_; ++i)
    std::copy_n(p + embedding_at_ + batch.tokens[i] * d, d, Float(hidden_) + i * d);  // [M, d]
  const T* added = nullptr;
  for (int64_t l = 0; l < config_.layers; ++l) {
    Layer& b = layers_[l];
    const LayerAt& at = at_[l];
    const float* below = l == 0 ? Float(hidden_) : Float(layers_[l - 1].middle);
    kernels_.add_norm(below, added, p + at.attention_norm, eps, rows_, d, Float(b.input), Data(b.normed), Float(b.r1));
    at::mm_out(b.qkv, b.normed, Weight(at.qkv, columns, d).t());  // [M, (H + 2 K) D]
    kernels_.attention_forward(Data(b.qkv), Shape(batch, at), Data(b.attended));
    at::Tensor sum = added_.narrow(0, 0, rows_);
    at::mm_out(sum, b.attended, Weight(at.output, d, out).t());  // [M, d]
    kernels_.add_norm(Float(b.input), Data(added_), p + at.mlp_norm, eps, rows_, d, Float(b.middle), Data(b.normed2),
                      Float(b.r2));
    if (config_.experts > 0) {
      experts_[l].Forward(b.normed2, p + at.router, Weight(at.gate_up, config_.experts * 2 * f, d),
                          Weight(at.down, config_.experts * d, f), added_);
    } else {
      at::mm_out(b.gate_up, b.normed2, Weight(at.gate_up, 2 * f, d).t());  // [M, 2 f]
      kernels_.swiglu_forward(Data(b.gate_up), rows_, f, Data(b.act));     // [M, f]
      at::mm_out(sum, b.act, Weight(at.down, d, f).t());                   // [M, d]
    }
    added = Data(added_);
  }
  // Only the asked rows go on to the head.
  const auto asked = static_cast<int64_t>(batch.asked.size()), padded = (asked + kRowsStep - 1) / kRowsStep * kRowsStep;
  const float* middle = Float(layers_.back().middle);
  for (int64_t i = 0; i < asked; ++i) {
    float* row = Float(final_hidden_) + i * d;
    std::copy_n(middle + batch.asked[i] * d, d, row);
    kernels_.add_scaled(added + batch.asked[i] * d, 1.0f, d, row);
  }
  kernels_.add_norm(Float(final_hidden_), nullptr, p + final_norm_at_, eps, padded, d, Float(final_hidden_),
                    Data(final_normed_), Float(final_r_));
  at::Tensor logits = logits_.narrow(0, 0, padded);
  at::mm_out(logits, final_normed_.narrow(0, 0, padded), Weight(embedding_at_, config_.vocab, d).t());  // [asked, V]
  double total = 0;
  for (const float weight : batch.weight) total += weight;
  std::vector<float> shares(batch.weight);
  for (float& share : shares) share = static_cast<float>(share / total);
  return kernels_.cross_entropy(Data(logits_), batch.targets.data(), shares.data(), asked, config_.vocab, correct);
}

template <typename T>
void NetOf<T>::Backward(const Batch& batch) {
  const int64_t d = config_.hidden, f = config_.ffn, out = config_.heads * config_.head_dim;
  const int64_t columns = (config_.heads + 2 * config_.kv_heads) * config_.head_dim;
  const float* p = Float(parameters_);
  float* g = Float(gradient_);
  gradient_.zero_();
  const auto asked = static_cast<int64_t>(batch.asked.size()), padded = (asked + kRowsStep - 1) / kRowsStep * kRowsStep;
  const at::Tensor logits = logits_.narrow(0, 0, padded);
  logits.narrow(0, asked, padded - asked).zero_();
  WeightGradient(logits, final_normed_.narrow(0, 0, padded), embedding_at_);  // [V, d]
  at::Tensor d_final_normed = d_normed_.narrow(0, 0, padded);
  at::mm_out(d_final_normed, logits, Weight(embedding_at_, config_.vocab, d));  // [asked, d]
  d_final_.narrow(0, 0, padded).zero_();
  kernels_.norm_backward(Data(d_normed_), Float(final_hidden_), p + final_norm_at_, Float(final_r_), asked, d,
                         Float(d_final_), Data(d_rounded_), g + final_norm_at_);
  d_hidden_.zero_();
  for (int64_t i = 0; i < asked; ++i) std::copy_n(Float(d_final_) + i * d, d, Float(d_hidden_) + batch.asked[i] * d);
  kernels_.round(Float(d_hidden_), rows_ * d, Data(d_rounded_));
  at::Tensor d_normed = d_normed_.narrow(0, 0, rows_);
  const at::Tensor d_rounded = d_rounded_.narrow(0, 0, rows_);
  for (int64_t l = config_.layers - 1; l >= 0; --l) {
    Layer& b = layers_[l];
    const LayerAt& at = at_[l];
    if (config_.experts > 0) {
      experts_[l].Backward(b.normed2, p + at.router, Weight(at.gate_up, config_.experts * 2 * f, d),
                           Weight(at.down, config_.experts * d, f), d_rounded, d_normed, g + at.router, g + at.gate_up,
                           g + at.down);
    } else {
      WeightGradient(d_rounded, b.act, at.down);
      at::mm_out(d_act_, d_rounded, Weight(at.down, d, f));  // [M, f]
      kernels_.swiglu_backward(Data(d_act_), rows_, f, Data(b.gate_up));
      WeightGradient(b.gate_up, b.normed2, at.gate_up);
      at::mm_out(d_normed, b.gate_up, Weight(at.gate_up, 2 * f, d));  // [M, d]
    }
    kernels_.norm_backward(Data(d_normed_), Float(b.middle), p + at.mlp_norm, Float(b.r2), rows_, d, Float(d_hidden_),
                           Data(d_rounded_), g + at.mlp_norm);
    WeightGradient(d_rounded, b.attended, at.output);
    at::mm_out(d_attended_, d_rounded, Weight(at.output, d, out));  // [M, H D]
    kernels_.attention_backward(Data(d_attended_), Data(b.qkv), Shape(batch, at), Data(d_qkv_), g + at.query_norm,
                                g + at.key_norm);
    WeightGradient(d_qkv_, b.normed, at.qkv);
    at::mm_out(d_normed, d_qkv_, Weight(at.qkv, columns, d));  // [M, d]
    kernels_.norm_backward(Data(d_normed_), Float(b.input), p + at.attention_norm, Float(b.r1), rows_, d,
                           Float(d_hidden_), Data(d_rounded_), g + at.attention_norm);
  }
  for (int64_t i = 0; i < rows_; ++i) {
    float* row = g + embedding_at_ + batch.tokens[i] * d;
    const float* from = Float(d_hidden_) + i * d;
    for (int64_t j = 0; j < d; ++j) row[j] += from[j];
  }
}

}  // namespace

std::unique_ptr<Net> Net::Make(NetConfig config, int64_t rows, uint64_t seed, Precision precision) {
  if (precision == Precision::kFloat32) return std::make_unique<NetOf<float>>(std::move(config), rows, seed);
  return std::make_unique<NetOf<Bf16>>(std::move(config), rows, seed);
}

}  // namespace bitlaw::lab
