#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels.h"

namespace bitlaw::lab {

/// Shape of one rung. "llama": RMSNorm, grouped-query attention, SwiGLU, rotary positions, tied head. "qwen3": the
/// same with a norm on every query and key head.
struct NetConfig {
  std::string family = "llama";
  int64_t hidden = 64, layers = 2, heads = 4, kv_heads = 2, head_dim = 16, ffn = 256, vocab = 0;
  double rope_theta = 10000, norm_eps = 1e-5;

  bool has_head_norm() const { return family == "qwen3"; }
  int64_t parameters_non_embedding() const;
};

/// A decoder with hand-written gradients: no graph is recorded and no buffer is allocated per step.
///
/// Parameters, gradients and optimizer state are flat float32 arrays; Named() gives the views.
class Net {
 public:
  Net(NetConfig config, int64_t batch, int64_t tokens, uint64_t seed);

  /// Forward and backward. tokens, targets, weight: [batch * tokens]. Leaves gradients in gradient(); returns the mean loss
  /// in nats per token of weight. `correct` as in CrossEntropy.
  double Step(const std::vector<int32_t>& tokens, const std::vector<int32_t>& targets, const std::vector<float>& weight,
              std::vector<char>* correct = nullptr);

  /// The same without gradients.
  double Evaluate(const std::vector<int32_t>& tokens, const std::vector<int32_t>& targets, const std::vector<float>& weight,
                  std::vector<char>* correct);

  struct View {
    std::string name;             ///< "model.layers.0.self_attn.q_proj.weight"
    std::vector<int64_t> shape;
    int64_t offset;               ///< Into parameters().
  };
  /// Every tensor under the name it has in a Hugging Face checkpoint.
  std::vector<View> Named() const;

  const NetConfig& config() const { return config_; }
  at::Tensor& parameters() { return parameters_; }  ///< [n] float32
  at::Tensor& gradient() { return gradient_; }      ///< [n] float32
  const std::vector<char>& decays() const { return decays_; }  ///< 1 for matrices, 0 for norms.

 private:
  struct LayerAt {
    int64_t attention_norm, qkv, query_norm, key_norm, output, mlp_norm, gate_up, down;
  };
  struct LayerBuffers {
    at::Tensor input, normed, r1, qkv, raw, head_r, p, attended, middle, normed2, r2, gate_up, act;
  };
  at::Tensor Weight(at::Tensor& flat, int64_t offset, int64_t rows, int64_t columns) const;
  double Forward(const std::vector<int32_t>& tokens, const std::vector<int32_t>& targets, const std::vector<float>& weight,
                 std::vector<char>* correct);
  void Backward(const std::vector<int32_t>& tokens);

  NetConfig config_;
  HeadShape heads_;
  int64_t rows_;
  std::vector<LayerAt> at_;
  int64_t embedding_at_ = 0, final_norm_at_ = 0, count_ = 0;
  std::vector<char> decays_;
  at::Tensor parameters_, gradient_;
  std::vector<LayerBuffers> layers_;
  at::Tensor hidden_, final_normed_, final_r_, logits_, cosine_, sine_;
  at::Tensor d_hidden_, d_normed_, d_qkv_, d_attended_, d_act_;
};

}  // namespace bitlaw::lab
