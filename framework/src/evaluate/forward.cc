#include "evaluate/forward.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "bitlaw/base/error.h"

namespace bitlaw {

ForwardPass::ForwardPass(Model& model, const EvaluateOptions& options, EvaluateCost& cost)
    : model_(model), options_(options), cost_(cost) {
  // One token through the model tells what a token's keys and values take, for any architecture.
  KvCache probe = NewCache(1);
  const at::Tensor token = at::zeros({1, 1}, at::TensorOptions(at::kLong).device(at::Device(model.compute().device)));
  model_.Forward(token, {&probe, {}});
  kv_bytes_per_token_ = std::max<int64_t>(1, probe.size_bytes());
}

int64_t ForwardPass::max_positions() const {
  const int64_t positions = model_.summary().max_positions;
  return positions > 0 ? positions : std::numeric_limits<int32_t>::max();
}

at::Tensor ForwardPass::Run(std::span<const std::span<const int32_t>> rows, KvCache* cache, bool pad_left,
                            const at::Tensor& first_valid) {
  size_t longest = 0;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  const auto count = static_cast<int64_t>(rows.size()), length = static_cast<int64_t>(longest);
  at::Tensor tokens = at::zeros({count, length}, at::kLong);  // [R, T]
  auto* out = tokens.data_ptr<int64_t>();
  for (size_t r = 0; r < rows.size(); ++r) {
    std::copy(rows[r].begin(), rows[r].end(), out + r * longest + (pad_left ? longest - rows[r].size() : 0));
  }
  cost_.tokens_computed += count * length;
  return model_.Forward(tokens.to(at::Device(model_.compute().device)), {cache, first_valid});  // [R, T, D]
}

at::Tensor ForwardPass::Logits(const at::Tensor& hidden) { return model_.Logits(hidden).to(at::kFloat); }

int64_t ForwardPass::logits_rows() const {
  // Three float32 copies are alive at once: the logits, their conversion or shift, and the exponentials.
  return std::max<int64_t>(1, options_.logits_budget_bytes / (model_.summary().vocab_size * 4 * 3));
}

at::Tensor ForwardPass::Indices(const std::vector<int64_t>& values) const {
  return at::tensor(values, at::kLong).to(at::Device(model_.compute().device));
}

const KvCache* HeaderCaches::Visit(int index) {
  const PrefixPlan::Header& header = plan_.headers[index];
  if (header.parent < 0) return nullptr;
  if (!held_.empty() && held_.back().index == index) return held_.back().cache.get();
  while (!held_.empty() && held_.back().index != header.parent) held_.pop_back();
  // A parent without families of its own has not been visited yet.
  if (header.parent > 0 && held_.empty()) Visit(header.parent);
  const int64_t from = plan_.headers[header.parent].length;
  const int64_t budget = std::max<int64_t>(1, forward_.options().batch_tokens);
  auto cache = std::make_unique<KvCache>(
      held_.empty() ? forward_.NewCache(header.length)
                    : held_.back().cache->Select(forward_.Indices({0}), header.length - from));
  const std::vector<int32_t>& ids = *sequences_[header.example];
  for (int64_t at = from; at < header.length; at += budget) {
    const std::span<const int32_t> piece(ids.data() + at, std::min(budget, header.length - at));
    forward_.Run(std::span(&piece, 1), cache.get());
  }
  held_.push_back({index, std::move(cache)});
  return held_.back().cache.get();
}

}  // namespace bitlaw
