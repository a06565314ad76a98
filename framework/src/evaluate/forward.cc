#include "evaluate/forward.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/device_code.h"
#include "cost/model_work.h"

namespace bitlaw {

EvaluateOptions WithBudgets(EvaluateOptions options, Model& model) {
  int64_t tokens = EvaluateOptions::kHostBatchTokens, kv_bytes = EvaluateOptions::kHostKvBytes,
          logits_bytes = EvaluateOptions::kHostLogitsBytes;
  if (const auto free = FreeDeviceMemory(at::Device(model.compute().device))) {
    tokens = std::clamp<int64_t>(*free / 8 / ActivationBytes(model.summary(), model.compute().dtype), 2048, 16384);
    kv_bytes = std::max(kv_bytes / 4, *free / 4);
    logits_bytes = std::clamp<int64_t>(*free / 16, logits_bytes, int64_t{4} << 30);
  }
  if (options.batch_tokens == 0) options.batch_tokens = tokens;
  if (options.kv_budget_bytes == 0) options.kv_budget_bytes = kv_bytes;
  if (options.logits_budget_bytes == 0) options.logits_budget_bytes = logits_bytes;
  return options;
}

ForwardPass::ForwardPass(Model& model, const EvaluateOptions& options, EvaluateCost& cost)
    : model_(model), options_(options), cost_(cost) {
  // One token through the model tells what a token's keys and values take, for any architecture.
  KvCache probe(model_.summary().num_blocks, 1);
  const TokenRun run{*probe.Add(KvCache::kNoParent, 1), 1};
  const at::Tensor token = at::zeros({1, 1}, at::TensorOptions(at::kLong).device(at::Device(model.compute().device)));
  if (options_.stream_blocks) {
    model_.block(0).Forward(model_.Embed(token), {&probe, {&run, 1}});
    model_.DropBlock(0);
  } else {
    model_.Forward(token, {&probe, {&run, 1}});
  }
  kv_bytes_per_token_ = std::max<int64_t>(1, probe.size_bytes());
  // Now that the weights are where they are used, what is free is what passes may take.
  options_ = WithBudgets(options_, model_);
}

void ForwardPass::WithLessMemory(const std::function<void()>& body) {
  constexpr int64_t kFewestTokens = 32;
  for (;;) {
    try {
      return WithTorchErrors("a forward pass", body);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBudget || options_.batch_tokens <= kFewestTokens) throw;
    }
    options_.batch_tokens = std::max(options_.batch_tokens / 2, kFewestTokens);
    options_.kv_budget_bytes = std::max<int64_t>(options_.kv_budget_bytes / 2, 1);
    options_.logits_budget_bytes = std::max<int64_t>(options_.logits_budget_bytes / 2, 1);
    ++cost_.budget_halvings;
    FreeUnusedDeviceMemory(at::Device(model_.compute().device));
  }
}

BlockStream ForwardPass::EndStream() {
  BlockStream stream = *std::move(stream_);
  stream_.reset();
  stream.Run();
  return stream;
}

int64_t ForwardPass::streamed_tokens() const {
  const int64_t width = model_.summary().hidden_size * (model_.compute().dtype == Dtype::kFloat32 ? 4 : 2);
  return std::max<int64_t>(1, options_.kv_budget_bytes / std::max<int64_t>(1, width));
}

int64_t ForwardPass::held_tokens() const {
  return std::max<int64_t>(1, options_.kv_budget_bytes / kv_bytes_per_token_);
}

int64_t ForwardPass::max_positions() const {
  const int64_t positions = model_.summary().max_positions;
  return positions > 0 ? positions : std::numeric_limits<int32_t>::max();
}

at::Tensor ForwardPass::Run(std::span<const int32_t> ids, KvCache& cache, std::span<const TokenRun> runs) {
  cost_.tokens_computed += static_cast<int64_t>(ids.size());
  if (stream_) {
    noted_ = stream_->Note(ids, cache, runs);
    return {};
  }
  const at::Tensor tokens = Indices({ids.begin(), ids.end()});  // [T]
  return model_.Forward(tokens.unsqueeze(0), {&cache, runs})[0];  // [T, D]
}

int64_t ForwardPass::logits_rows() const {
  // Three float32 copies may be alive at once: the logits, their conversion or shift, and the exponentials. Elsewhere than on
  // the host a kernel takes them as they are.
  const int64_t copies = model_.compute().device == "cpu" ? 3 : 1;
  return std::max<int64_t>(1, options_.logits_budget_bytes / (model_.summary().vocab_size * 4 * copies));
}

at::Tensor ForwardPass::Indices(const std::vector<int64_t>& values) const {
  return at::tensor(values, at::kLong).to(at::Device(model_.compute().device));
}

PlanReader::PlanReader(ForwardPass& forward, std::span<const PlannedText> texts, const ReadingPlan& plan)
    : forward_(forward),
      texts_(texts),
      plan_(plan),
      cache_(forward.model().summary().num_blocks, std::max(forward.held_tokens(), plan.held_tokens)) {}

int64_t PlanReader::Visit(int index) {
  const ReadingPlan::Header& header = plan_.headers[index];
  if (header.parent < 0) return KvCache::kNoParent;
  if (!held_.empty() && held_.back().index == index) return held_.back().segment;
  while (!held_.empty() && held_.back().index != header.parent) {
    cache_.Remove(held_.back().segment);
    held_.pop_back();
  }
  // A parent without passes of its own has not been visited yet.
  if (header.parent > 0 && held_.empty()) Visit(header.parent);
  const int64_t from = plan_.headers[header.parent].length;
  const auto segment = cache_.Add(held_.empty() ? KvCache::kNoParent : held_.back().segment, header.length - from);
  if (!segment) throw InternalError("there is no room for a header of the reading plan.");
  const std::vector<int32_t>& ids = *texts_[header.example].ids;
  for (int64_t at = from; at < header.length; at += forward_.options().batch_tokens) {
    const TokenRun run{*segment, std::min(forward_.options().batch_tokens, header.length - at)};
    forward_.Run(std::span(ids).subspan(at, run.tokens), cache_, {&run, 1});
  }
  held_.push_back({index, *segment});
  return *segment;
}

std::optional<PlanReader::Pass> PlanReader::Prepare(const ReadingPlan::Pass& pass, int64_t header) {
  std::vector<int64_t> rooms;
  for (const ReadingPlan::Piece& piece : pass.pieces) rooms.push_back(piece.end - piece.begin);
  for (const ReadingPlan::Ending& ending : pass.endings) rooms[ending.piece] += texts_[ending.text].room;
  Pass prepared;
  for (size_t p = 0; p < pass.pieces.size(); ++p) {
    const ReadingPlan::Piece& piece = pass.pieces[p];
    const auto segment = cache_.Add(piece.parent < 0 ? header : prepared.runs[piece.parent].segment, rooms[p]);
    if (!segment) {
      while (p-- > 0) cache_.Remove(prepared.runs[p].segment);
      return std::nullopt;
    }
    prepared.first_rows.push_back(static_cast<int64_t>(prepared.ids.size()));
    prepared.runs.push_back({*segment, piece.end - piece.begin});
    const std::vector<int32_t>& ids = *texts_[piece.text].ids;
    prepared.ids.insert(prepared.ids.end(), ids.begin() + piece.begin, ids.begin() + piece.end);
  }
  return prepared;
}

void PlanReader::Read(int index, const ReadingPlan::Pass& pass,
                      const std::function<void(const Pass&, const at::Tensor&)>& use) {
  const int64_t header = Visit(index);
  const std::optional<Pass> prepared = Prepare(pass, header);
  if (!prepared) throw InternalError("there is no room for a pass of the reading plan.");
  use(*prepared, forward_.Run(prepared->ids, cache_, prepared->runs));
  for (size_t r = prepared->runs.size(); r-- > 0;) cache_.Remove(prepared->runs[r].segment);
}

std::vector<int64_t> PlanReader::RowsOf(const ReadingPlan::Pass& pass, const Pass& read, int64_t piece, int64_t begin,
                                        int64_t end) {
  std::vector<int64_t> rows(end - begin);
  for (int64_t at = end; at-- > begin;) {
    while (pass.pieces[piece].begin > at) piece = pass.pieces[piece].parent;
    rows[at - begin] = read.first_rows[piece] + at - pass.pieces[piece].begin;
  }
  return rows;
}

}  // namespace bitlaw
