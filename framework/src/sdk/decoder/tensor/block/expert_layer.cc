#include "sdk/decoder/tensor/block/expert_layer.h"

#include <ATen/ATen.h>

#include <array>
#include <span>
#include <utility>

#include "sdk/decoder/tensor/decoder_ops.h"

namespace bitlaw {
namespace {

enum { kRows, kWeights, kEnds, kSharedWeights, kSharedInner };  // Places in BlockState::extra.

// Calls body(expert, first, count) for every expert's piece of the visits.
template <typename Body>
void ForExperts(const std::vector<at::Tensor>& extra, const Body& body) {
  const auto* ends = extra[kEnds].data_ptr<int64_t>();
  int64_t first = 0;
  for (int64_t e = 0; e < extra[kEnds].numel(); first = ends[e], ++e) body(e, first, ends[e] - first);
}

}  // namespace

ExpertLayer::ExpertLayer(const DecoderConfig& config, at::Tensor router, std::vector<Expert> experts, Shared shared)
    : config_(config), router_(std::move(router)), experts_(std::move(experts)), shared_(std::move(shared)) {
  const auto add = [&](const Expert& expert) {
    inner_linears_.push_back(expert.gate.get());
    inner_linears_.push_back(expert.up.get());
    output_linears_.push_back(expert.down.get());
  };
  for (const Expert& expert : experts_) add(expert);
  if (shared_.gate.defined()) add(shared_.expert);
}

void ExpertLayer::Route(const at::Tensor& input, std::vector<at::Tensor>& extra) const {
  const at::Tensor flat = input.flatten(0, -2);                                      // [M, D]
  const at::Tensor shares = at::softmax(at::mm(flat, router_.t()), -1, at::kFloat);  // [M, E]
  auto [weights, chosen] = shares.topk(config_.experts_per_token, -1);               // [M, k]
  if (config_.normalize_expert_weights) weights = weights / weights.sum(-1, true);
  const at::Tensor experts = chosen.flatten();  // [M k]
  const auto [sorted, order] = at::sort(experts, /*stable=*/true, /*dim=*/0, /*descending=*/false);  // [M k]
  extra.resize(5);
  extra[kRows] = at::div(order, config_.experts_per_token, "floor");                   // [M k]
  extra[kWeights] = weights.flatten().index_select(0, order).to(input.scalar_type());  // [M k]
  // The one copy to the host of a pass through the layer: how the products are cut. Nothing else waits for the device.
  const at::Tensor numbers = at::arange(config_.num_experts, experts.options());  // [E]
  extra[kEnds] = at::searchsorted(sorted, numbers, /*out_int32=*/false, /*right=*/true).to(at::kCPU);
  if (shared_.gate.defined()) extra[kSharedWeights] = at::mm(flat, shared_.gate.t()).sigmoid_();  // [M, 1]
}

void ExpertLayer::ObserveInput(const at::Tensor& input, const std::vector<at::Tensor>& extra,
                               const InputObserver& observe) const {
  const at::Tensor flat = input.flatten(0, -2);  // [M, D]
  ForExperts(extra, [&](int64_t e, int64_t first, int64_t count) {
    const at::Tensor rows = extra[kRows].narrow(0, first, count);
    const std::array<Linear*, 2> readers = {experts_[e].gate.get(), experts_[e].up.get()};
    observe(readers, flat.index_select(0, rows));
  });
  if (!shared_.gate.defined()) return;
  const std::array<Linear*, 2> readers = {shared_.expert.gate.get(), shared_.expert.up.get()};
  observe(readers, flat);
}

// rows [., D] -> [., F], as the expert's down reads them.
at::Tensor ExpertLayer::Activated(const Expert& expert, const at::Tensor& rows) const {
  const at::Tensor gate = expert.gate->Apply(rows);
  const at::Tensor inner = GateMultiply(gate, expert.up->Apply(rows), config_.activation);
  return expert.inner_rotation ? expert.inner_rotation->Apply(inner) : inner;
}

void ExpertLayer::RotateInner(const Linear* reader, const Rotation& rotation) {
  for (Expert& expert : experts_) {
    if (expert.down.get() == reader) expert.inner_rotation = rotation;
  }
  if (shared_.expert.down.get() == reader) shared_.expert.inner_rotation = rotation;
}

at::Tensor ExpertLayer::Inner(const at::Tensor& input, std::vector<at::Tensor>& extra) const {
  const at::Tensor flat = input.flatten(0, -2);  // [M, D]
  at::Tensor inner = at::empty({extra[kRows].size(0), config_.ffn_size}, flat.options());
  ForExperts(extra, [&](int64_t e, int64_t first, int64_t count) {
    if (count == 0) return;
    const at::Tensor rows = flat.index_select(0, extra[kRows].narrow(0, first, count));  // [count, D]
    inner.narrow(0, first, count).copy_(Activated(experts_[e], rows));                   // [count, F]
  });
  if (shared_.gate.defined()) extra[kSharedInner] = Activated(shared_.expert, flat);  // [M, F_s]
  return inner;  // [M k, F]
}

void ExpertLayer::ObserveInner(const at::Tensor& inner, const std::vector<at::Tensor>& extra,
                               const InputObserver& observe) const {
  ForExperts(extra, [&](int64_t e, int64_t first, int64_t count) {
    Linear* const reader = experts_[e].down.get();
    observe({&reader, 1}, inner.narrow(0, first, count));
  });
  if (!shared_.gate.defined()) return;
  Linear* const reader = shared_.expert.down.get();
  observe({&reader, 1}, extra[kSharedInner]);
}

void ExpertLayer::ObserveAllInputs(const at::Tensor& input, const InputObserver& observe) const {
  observe(std::span(inner_linears_).first(2 * experts_.size()), input.flatten(0, -2));  // [M, D]
}

void ExpertLayer::ObserveAllInner(const at::Tensor& input, const InputObserver& observe) const {
  const at::Tensor flat = input.flatten(0, -2);  // [M, D]
  for (const Expert& expert : experts_) {
    Linear* const reader = expert.down.get();
    observe({&reader, 1}, Activated(expert, flat));  // [M, F]
  }
}

at::Tensor ExpertLayer::Output(const at::Tensor& inner, const std::vector<at::Tensor>& extra, int64_t rows) const {
  at::Tensor output = at::zeros({rows, config_.hidden_size}, inner.options());
  ForExperts(extra, [&](int64_t e, int64_t first, int64_t count) {
    if (count == 0) return;
    const at::Tensor part = experts_[e].down->Apply(inner.narrow(0, first, count));  // [count, D]
    output.index_add_(0, extra[kRows].narrow(0, first, count),
                      part * extra[kWeights].narrow(0, first, count).unsqueeze(1));
  });
  if (shared_.gate.defined()) output.add_(shared_.expert.down->Apply(extra[kSharedInner]) * extra[kSharedWeights]);
  return output;  // [M, D]
}

}  // namespace bitlaw
