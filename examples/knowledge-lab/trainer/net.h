#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bitlaw::lab {

/// Shape of one rung. "llama": RMSNorm, grouped-query attention, SwiGLU, rotary positions, tied head. "qwen3": the
/// same with a norm on every query and key head. "qwen3_moe": the same with `experts` feed-forward networks in place of
/// one, of which every token uses the `chosen` that a router prefers, weighted by the softmax over these.
struct NetConfig {
  std::string family = "llama";
  int64_t hidden = 64, layers = 2, heads = 4, kv_heads = 2, head_dim = 16, ffn = 256, vocab = 0;
  int64_t experts = 0, chosen = 0;  ///< Zero for dense.
  double router_balance = 0.01;     ///< Weight of the load balance in the loss (Fedus et al. 2021, equation 4).
  double rope_theta = 10000, norm_eps = 1e-5;

  bool has_head_norm() const { return family != "llama"; }
  int64_t parameters_non_embedding() const;  ///< All experts counted.
  int64_t parameters_active() const;         ///< Non-embedding, that one token uses.
};

/// Documents for one step. Tokens that no document needs fill up the last rows as documents of one token.
struct Batch {
  std::vector<int32_t> tokens;   ///< [rows]
  std::vector<int32_t> starts;   ///< [documents + 1]: first row of each, then the number of rows.
  std::vector<int32_t> asked;    ///< Rows whose next token is scored.
  std::vector<int32_t> targets;  ///< [asked]
  std::vector<float> weight;     ///< [asked]
};

enum class Precision { kFloat32, kBfloat16 };

/// A decoder with hand-written gradients: no graph is recorded and no buffer is allocated per step.
///
/// With kBfloat16 matrix products read and write bfloat16 (sums in float32), and the residual stream, gradients of
/// weights, and the weights that the optimizer sees stay float32. Single-threaded: same machine, same bytes.
class Net {
 public:
  static std::unique_ptr<Net> Make(NetConfig config, int64_t rows, uint64_t seed, Precision precision);
  virtual ~Net() = default;

  /// Forward and backward. Leaves gradients in gradient(); returns the weighted mean loss in nats of the asked tokens.
  virtual double Step(const Batch& batch) = 0;
  /// Forward only. correct [asked] says whether the target was the argmax.
  virtual double Evaluate(const Batch& batch, std::vector<char>* correct) = 0;

  struct View {
    std::string name;  ///< "model.layers.0.self_attn.q_proj.weight"
    std::vector<int64_t> shape;
    int64_t offset;  ///< Into parameters().
  };
  /// Every tensor under the name it has in a Hugging Face checkpoint.
  std::vector<View> Named() const;

  const NetConfig& config() const { return config_; }
  int64_t rows() const { return rows_; }
  at::Tensor& parameters() { return parameters_; }  ///< [n] float32
  at::Tensor& gradient() { return gradient_; }      ///< [n] float32

  struct Range {
    int64_t begin, end;
  };
  const std::vector<Range>& matrices() const {
    return matrices_;
  }  ///< What weight decay applies to; the rest are norms.

 protected:
  struct LayerAt {
    int64_t attention_norm, qkv, query_norm, key_norm, output, mlp_norm, router, gate_up, down;
  };
  Net(NetConfig config, int64_t rows, uint64_t seed);

  NetConfig config_;
  int64_t rows_;
  std::vector<LayerAt> at_;
  int64_t embedding_at_ = 0, final_norm_at_ = 0, count_ = 0;
  std::vector<Range> matrices_;
  at::Tensor parameters_, gradient_;
};

}  // namespace bitlaw::lab
