#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/sdk/decoder/decoder_config.h"

namespace bitlaw {

/// A feed-forward layer of E experts, of which a router picks k a token (Qwen3-MoE, arXiv:2505.09388):
///   y = sum over the k largest p_e of w_e down_e(silu(gate_e x) * up_e x),  p = softmax(router x),
///   w = p over the chosen, divided by its sum if `normalize_expert_weights`.
/// Where there is a shared expert, of F_s, every row visits it, and y has sigmoid(g x) times what it gives beside.
/// The router is not quantized. M = B T rows; a chosen (row, expert) pair is a "visit", and visits are kept sorted by
/// expert, so that an expert's are one piece.
class ExpertLayer {
 public:
  struct Expert {
    std::unique_ptr<Linear> gate, up, down;  ///< [F, D], [F, D], [D, F]
    std::optional<Rotation> inner_rotation{};  ///< Of what down reads.
  };
  struct Shared {
    at::Tensor gate;  ///< g [1, D]; undefined where there is no shared expert.
    Expert expert;
  };
  ExpertLayer(const DecoderConfig& config, at::Tensor router, std::vector<Expert> experts, Shared shared);

  /// Fills BlockState::extra with what the other functions need: the row of each visit [M k] int64, its weight [M k] in
  /// the activation's dtype, where the visits of each expert end [E] int64 on the CPU; the shared expert's weight of each
  /// row [M, 1].
  void Route(const at::Tensor& input, std::vector<at::Tensor>& extra) const;

  /// Shows every expert's gate and up the rows [., D] that visit it, the shared one's all of them.
  void ObserveInput(const at::Tensor& input, const std::vector<at::Tensor>& extra, const InputObserver& observe) const;
  /// input [B, T, D] -> silu(gate) * up of every visit, [M k, F]; that of the shared expert, [M, F_s], into extra.
  at::Tensor Inner(const at::Tensor& input, std::vector<at::Tensor>& extra) const;
  /// The same of all rows for every expert that is routed to: gate and up of all of them read one input; down reads what
  /// its own expert makes of it, [M, F], one expert at a time.
  void ObserveAllInputs(const at::Tensor& input, const InputObserver& observe) const;
  void ObserveAllInner(const at::Tensor& input, const InputObserver& observe) const;
  void ObserveInner(const at::Tensor& inner, const std::vector<at::Tensor>& extra, const InputObserver& observe) const;
  /// [M k, F] -> weighted sums of down, [M, D].
  at::Tensor Output(const at::Tensor& inner, const std::vector<at::Tensor>& extra, int64_t rows) const;

  at::Tensor& router() { return router_; }          ///< [E, D]
  at::Tensor& shared_gate() { return shared_.gate; }  ///< [1, D], if there is one.
  /// From now on what `reader`, the down of an expert, reads is turned.
  void RotateInner(const Linear* reader, const Rotation& rotation);

  /// gate_0, up_0, gate_1, ... and the shared expert's; down_0, down_1, ... and the shared expert's.
  const std::vector<Linear*>& inner_linears() const { return inner_linears_; }
  const std::vector<Linear*>& output_linears() const { return output_linears_; }

 private:
  at::Tensor Activated(const Expert& expert, const at::Tensor& rows) const;

  const DecoderConfig config_;
  at::Tensor router_;  // [E, D]
  std::vector<Expert> experts_;
  Shared shared_;
  std::vector<Linear*> inner_linears_, output_linears_;
};

}  // namespace bitlaw
