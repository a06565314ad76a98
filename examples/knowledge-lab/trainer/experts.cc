#include "experts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bitlaw::lab {
namespace {

constexpr int64_t kRowsStep = 128;  // An expert's rows come in multiples of this, so that products have few shapes.

template <typename T>
T* Data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

}  // namespace

template <typename T>
Experts<T>::Experts(const NetConfig& config, int64_t rows)
    : kernels_(KernelsOf<T>()),
      d_(config.hidden),
      f_(config.ffn),
      experts_(config.experts),
      chosen_(config.chosen),
      rows_(rows),
      balance_(config.router_balance),
      logits_(rows * experts_),
      probability_(rows * experts_),
      expert_(rows * chosen_),
      place_(rows * chosen_),
      share_(rows * chosen_),
      dinput_(rows * d_),
      first_(experts_ + 1),
      count_(experts_) {
  const auto kind = sizeof(T) == 2 ? at::kBFloat16 : at::kFloat;
  const int64_t most = rows * chosen_ + experts_ * kRowsStep;
  auto buffer = [&](int64_t width) { return at::zeros({most, width}, kind); };
  gathered_ = buffer(d_), gate_up_ = buffer(2 * f_), act_ = buffer(f_), result_ = buffer(d_);
  d_result_ = buffer(d_), d_act_ = buffer(f_), d_gathered_ = buffer(d_), part_ = at::empty({2 * f_ * d_}, kind);
}

template <typename T>
void Experts<T>::Forward(const at::Tensor& input, const float* router, const at::Tensor& gate_up,
                         const at::Tensor& down, at::Tensor& out) {
  std::fill(count_.begin(), count_.end(), 0);
  std::vector<float> x(d_);
  std::vector<int32_t> order(experts_);
  for (int64_t i = 0; i < rows_; ++i) {
    kernels_.widen(Data<T>(input) + i * d_, d_, x.data());
    float* logits = logits_.data() + i * experts_;
    float* p = probability_.data() + i * experts_;
    for (int64_t e = 0; e < experts_; ++e) {
      logits[e] = FloatKernels().dot(x.data(), router + e * d_, d_);
      order[e] = static_cast<int32_t>(e);
    }
    const float largest = *std::max_element(logits, logits + experts_);
    float total = 0;
    for (int64_t e = 0; e < experts_; ++e) total += p[e] = std::exp(logits[e] - largest);
    for (int64_t e = 0; e < experts_; ++e) p[e] /= total;
    std::partial_sort(order.begin(), order.begin() + chosen_, order.end(),
                      [&](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    float sum = 0;
    for (int64_t k = 0; k < chosen_; ++k) sum += p[order[k]];
    for (int64_t k = 0; k < chosen_; ++k) {
      expert_[i * chosen_ + k] = order[k];
      share_[i * chosen_ + k] = p[order[k]] / sum;
      place_[i * chosen_ + k] = static_cast<int32_t>(count_[order[k]]++);
    }
  }
  first_[0] = 0;
  for (int64_t e = 0; e < experts_; ++e)
    first_[e + 1] = first_[e] + (count_[e] + kRowsStep - 1) / kRowsStep * kRowsStep;
  for (int64_t e = 0; e < experts_; ++e) {
    gathered_.narrow(0, first_[e] + count_[e], first_[e + 1] - first_[e] - count_[e]).zero_();
  }
  for (int64_t i = 0; i < rows_ * chosen_; ++i) {
    place_[i] += static_cast<int32_t>(first_[expert_[i]]);
    std::copy_n(Data<T>(input) + i / chosen_ * d_, d_, Data<T>(gathered_) + place_[i] * d_);
  }
  for (int64_t e = 0; e < experts_; ++e) {
    const int64_t first = first_[e], rows = first_[e + 1] - first;
    if (rows == 0) continue;
    at::Tensor both = gate_up_.narrow(0, first, rows), result = result_.narrow(0, first, rows);
    at::mm_out(both, gathered_.narrow(0, first, rows), gate_up.narrow(0, e * 2 * f_, 2 * f_).t());  // [rows, 2 f]
    kernels_.swiglu_forward(Data<T>(both), rows, f_, Data<T>(act_) + first * f_);                   // [rows, f]
    at::mm_out(result, act_.narrow(0, first, rows), down.narrow(0, e * d_, d_).t());                // [rows, d]
  }
  for (int64_t i = 0; i < rows_; ++i) {
    std::fill(x.begin(), x.end(), 0.0f);
    for (int64_t k = i * chosen_; k < (i + 1) * chosen_; ++k)
      kernels_.add_scaled(Data<T>(result_) + place_[k] * d_, share_[k], d_, x.data());
    kernels_.round(x.data(), d_, Data<T>(out) + i * d_);
  }
}

template <typename T>
void Experts<T>::Backward(const at::Tensor& input, const float* router, const at::Tensor& gate_up,
                          const at::Tensor& down, const at::Tensor& dout, at::Tensor& dinput, float* drouter,
                          float* dgate_up, float* ddown) {
  // Through the router. With L = balance * E * sum_e f_e mean(p_e), f_e the share of choices:
  //   dL / dlogit_e = balance * E / rows * p_e (f_e - sum_j f_j p_j)
  std::fill(dinput_.begin(), dinput_.end(), 0.0f);
  d_result_.narrow(0, 0, first_[experts_]).zero_();
  std::vector<float> dlogits(experts_), x(d_), above(d_), slopes(chosen_);
  for (int64_t i = 0; i < rows_; ++i) {
    const float* p = probability_.data() + i * experts_;
    const T* gradient = Data<T>(dout) + i * d_;
    float mean = 0, load = 0;
    kernels_.widen(gradient, d_, above.data());
    for (int64_t k = 0; k < chosen_; ++k) {
      const int64_t at = i * chosen_ + k;
      slopes[k] = kernels_.dot(Data<T>(result_) + place_[at] * d_, gradient, d_);
      mean += share_[at] * slopes[k];
      std::fill(x.begin(), x.end(), 0.0f);
      FloatKernels().add_scaled(above.data(), share_[at], d_, x.data());
      kernels_.round(x.data(), d_, Data<T>(d_result_) + place_[at] * d_);
    }
    const auto choices = static_cast<float>(rows_ * chosen_);
    for (int64_t e = 0; e < experts_; ++e) load += static_cast<float>(count_[e]) / choices * p[e];
    const auto factor = static_cast<float>(balance_ * static_cast<double>(experts_) / static_cast<double>(rows_));
    for (int64_t e = 0; e < experts_; ++e)
      dlogits[e] = factor * p[e] * (static_cast<float>(count_[e]) / choices - load);
    for (int64_t k = 0; k < chosen_; ++k)
      dlogits[expert_[i * chosen_ + k]] += share_[i * chosen_ + k] * (slopes[k] - mean);
    kernels_.widen(Data<T>(input) + i * d_, d_, x.data());
    for (int64_t e = 0; e < experts_; ++e) {
      FloatKernels().add_scaled(x.data(), dlogits[e], d_, drouter + e * d_);
      FloatKernels().add_scaled(router + e * d_, dlogits[e], d_, dinput_.data() + i * d_);
    }
  }
  for (int64_t e = 0; e < experts_; ++e) {
    const int64_t first = first_[e], rows = first_[e + 1] - first;
    if (rows == 0) {
      std::fill_n(dgate_up + e * 2 * f_ * d_, 2 * f_ * d_, 0.0f);
      std::fill_n(ddown + e * d_ * f_, d_ * f_, 0.0f);
      continue;
    }
    const at::Tensor d_result = d_result_.narrow(0, first, rows), both = gate_up_.narrow(0, first, rows);
    at::Tensor d_act = d_act_.narrow(0, first, rows), d_gathered = d_gathered_.narrow(0, first, rows);
    at::Tensor part = part_.narrow(0, 0, d_ * f_).view({d_, f_});
    at::mm_out(part, d_result.t(), act_.narrow(0, first, rows));
    kernels_.widen(Data<T>(part_), d_ * f_, ddown + e * d_ * f_);
    at::mm_out(d_act, d_result, down.narrow(0, e * d_, d_));  // [rows, f]
    kernels_.swiglu_backward(Data<T>(d_act), rows, f_, Data<T>(both));
    part = part_.view({2 * f_, d_});
    at::mm_out(part, both.t(), gathered_.narrow(0, first, rows));
    kernels_.widen(Data<T>(part_), 2 * f_ * d_, dgate_up + e * 2 * f_ * d_);
    at::mm_out(d_gathered, both, gate_up.narrow(0, e * 2 * f_, 2 * f_));  // [rows, d]
  }
  for (int64_t i = 0; i < rows_; ++i) {
    for (int64_t k = i * chosen_; k < (i + 1) * chosen_; ++k) {
      kernels_.add_scaled(Data<T>(d_gathered_) + place_[k] * d_, 1.0f, d_, dinput_.data() + i * d_);
    }
  }
  kernels_.round(dinput_.data(), rows_ * d_, Data<T>(dinput));
}

template class Experts<float>;
template class Experts<Bf16>;

}  // namespace bitlaw::lab
