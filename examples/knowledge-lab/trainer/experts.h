#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "net.h"

namespace bitlaw::lab {

/// The feed-forward part of a mixture-of-experts layer: out = sum over the chosen experts e of w_e down_e(silu(gate_e
/// x) * up_e x), w = softmax of the router's logits over the chosen. Keeps what the way back needs.
template <typename T>
class Experts {
 public:
  Experts(const NetConfig& config, int64_t rows);

  /// input [rows, d] T; router [experts, d] float32; gate_up [experts * 2 f, d], down [experts * d, f] T; out [>= rows,
  /// d] T.
  void Forward(const at::Tensor& input, const float* router, const at::Tensor& gate_up, const at::Tensor& down,
               at::Tensor& out);

  /// dout [rows, d] T -> dinput [rows, d] T; gradients of the weights are written (router: added) as float32.
  void Backward(const at::Tensor& input, const float* router, const at::Tensor& gate_up, const at::Tensor& down,
                const at::Tensor& dout, at::Tensor& dinput, float* drouter, float* dgate_up, float* ddown);

 private:
  const Kernels<T>& kernels_;
  int64_t d_, f_, experts_, chosen_, rows_;
  double balance_;
  std::vector<float> logits_, probability_;  // [rows, experts]
  std::vector<int32_t> expert_, place_;      // [rows, chosen]: which expert, which row of gathered_.
  std::vector<float> share_, dinput_;        // [rows, chosen], [rows, d]
  std::vector<int64_t> first_, count_;       // [experts + 1], [experts]: rows of gathered_, padded and true.
  at::Tensor gathered_, gate_up_, act_, result_, d_result_, d_act_, d_gathered_, part_;
};

}  // namespace bitlaw::lab
