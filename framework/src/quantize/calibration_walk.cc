#include "quantize/calibration_walk.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "bitlaw/base/error.h"
#include "math/matrix_product.h"

namespace bitlaw {

void CheckCalibration(const ModelSummary& summary, const TokenSequences* calibration) {
  if (calibration == nullptr) throw InternalError(summary.name + ": the quantizer needs calibration, and got none");
  if (calibration->count < 1 || calibration->length_tokens < 1 ||
      static_cast<int64_t>(calibration->ids.size()) != calibration->count * calibration->length_tokens) {
    throw InternalError(fmt::format("{}: calibration of {} sequences of {} tokens holds {} ids", summary.name,
                                    calibration->count, calibration->length_tokens, calibration->ids.size()));
  }
  if (summary.max_positions > 0 && calibration->length_tokens > summary.max_positions) {
    throw Error(ErrorKind::kSpec,
                fmt::format("{}: calibration sequences have {} tokens, but the model takes at most {}. Use shorter "
                            "sequences.",
                            summary.name, calibration->length_tokens, summary.max_positions));
  }
  const auto [low, high] = std::minmax_element(calibration->ids.begin(), calibration->ids.end());
  if (*low < 0 || *high >= summary.vocab_size) {
    throw InternalError(fmt::format("{}: calibration ids span [{}, {}], outside the vocabulary of {}", summary.name,
                                    *low, *high, summary.vocab_size));
  }
}

namespace {

// How many tokens statistics are summed over at once, whatever goes through a block at once: the sums then do not
// depend on that. On a device a product of few rows leaves most of it idle.
int64_t GroupTokensOf(const at::Device& device) { return device.is_cpu() ? 4096 : 16384; }

}  // namespace

CalibrationWalk::CalibrationWalk(Model& model, const TokenSequences& calibration, int64_t batch_tokens,
                                 QuantizeTimes& times)
    : model_(model),
      calibration_(calibration),
      device_(model.compute().device),
      group_(std::max<int64_t>(1, GroupTokensOf(device_) / calibration.length_tokens)),
      per_batch_(batch_tokens > 0 ? std::clamp<int64_t>(batch_tokens / calibration.length_tokens, 1, group_) : group_),
      times_(times),
      clock_(device_) {}

CalibrationWalk::~CalibrationWalk() {
  try {
    clock_.Settle();
  } catch (...) {  // A device that failed says so again where it is next asked for something.
  }
}

void CalibrationWalk::Embed() {
  const Timed timed(clock_, times_.forward_s);
  batches_.clear();
  ends_group_.clear();
  const int64_t rows = model_.summary().vocab_size;  // A tokenizer may have more entries than its model.
  for (const int32_t id : calibration_.ids) {
    if (id < rows) continue;
    throw Error(ErrorKind::kUnsupported,
                "corpus: token " + std::to_string(id) + " ('" +
                    model_.tokenizer().Decode(std::span(&id, 1), /*skip_special_tokens=*/false) +
                    "') has no row in the model's embeddings, which have " + std::to_string(rows) +
                    ". The tokenizer has more entries than the model.");
  }
  for (int64_t first = 0; first < calibration_.count;) {
    const int64_t group_end = std::min(first / group_ * group_ + group_, calibration_.count);
    const int64_t count = std::min(per_batch_, group_end - first);
    at::Tensor tokens = at::empty({count, calibration_.length_tokens}, at::kLong);
    std::copy_n(calibration_.ids.begin() + first * calibration_.length_tokens, tokens.numel(),
                tokens.data_ptr<int64_t>());
    batches_.push_back(BlockState{.residual = model_.Embed(tokens.to(device_))});  // [B, T, D]
    first += count;
    ends_group_.push_back(first == group_end);
  }
}

// Collects into statistics_, which holds one entry a reader; readers of one input share theirs.
void CalibrationWalk::Collect(size_t batch, std::span<Linear* const> readers, const at::Tensor& input) {
  std::shared_ptr<InputStatistics>& shared = statistics_[readers.front()];
  if (!shared) shared = std::make_shared<InputStatistics>(needs_);
  for (const Linear* reader : readers) {
    std::shared_ptr<InputStatistics>& own = statistics_[reader];
    if (own && own != shared) {
      throw InternalError(reader->shape().name + ": its inputs are shared with changing layers");
    }
    own = shared;
  }
  const at::Tensor unquantized =
      needs_.cross_moment ? unquantized_inputs_.at(readers.front()).at(batch) : at::Tensor();
  if (ends_group_[batch]) {
    shared->Add(input, unquantized);
  } else {
    shared->Hold(input, unquantized);
  }
}

bool CalibrationWalk::SkipsAll(std::span<Linear* const> readers) const {
  return skips_ && std::all_of(readers.begin(), readers.end(),
                               [&](const Linear* reader) { return skips_(reader->shape().name); });
}

InputObserver CalibrationWalk::Observer(size_t batch) {
  return [this, batch](std::span<Linear* const> readers, const at::Tensor& input) {
    if (readers.empty() || SkipsAll(readers)) return;
    const Timed timed(clock_, times_.statistics_s, &times_.forward_s);  // The observer runs inside a step.
    const int64_t rows = input.numel() / std::max<int64_t>(input.size(-1), 1);
    for (const Linear* reader : readers) routed_[reader] += rows;
    if (!shows_all_to_experts_ || !readers.front()->shape().is_expert) Collect(batch, readers, input);
  };
}

InputObserver CalibrationWalk::AllRowsObserver(size_t batch) {
  if (!shows_all_to_experts_) return {};
  return [this, batch](std::span<Linear* const> readers, const at::Tensor& input) {
    if (readers.empty() || SkipsAll(readers)) return;
    const Timed timed(clock_, times_.statistics_s, &times_.forward_s);
    Collect(batch, readers, input);
  };
}

void CalibrationWalk::Step(Block& block, int stage, bool observes) {
  const RowsByThemselves alike;  // Whatever goes through a block at once, codes are the same.
  const Timed timed(clock_, times_.forward_s);
  for (size_t b = 0; b < batches_.size(); ++b) {
    const InputObserver all_rows = observes ? AllRowsObserver(b) : InputObserver();
    block.Step(stage, batches_[b], {.all_rows = all_rows ? &all_rows : nullptr},
               observes ? Observer(b) : InputObserver());
  }
  unquantized_inputs_.clear();
}

void CalibrationWalk::StepUnquantized(Block& block, int stage) {
  const RowsByThemselves alike;
  const Timed timed(clock_, times_.forward_s);
  for (size_t b = 0; b < unquantized_.size(); ++b) {
    block.Step(stage, unquantized_[b], {}, [&](std::span<Linear* const> readers, const at::Tensor& input) {
      if (readers.empty() || SkipsAll(readers)) return;
      std::vector<at::Tensor>& inputs = unquantized_inputs_[readers.front()];
      inputs.resize(unquantized_.size());
      inputs[b] = input;
    });
  }
}

void CalibrationWalk::Observe(Block& block) {
  const RowsByThemselves alike;  // Whatever goes through a block at once, codes are the same.
  const Timed timed(clock_, times_.forward_s);
  for (size_t b = 0; b < batches_.size(); ++b) {
    BlockState scratch = {.residual = batches_[b].residual};
    const InputObserver all_rows = AllRowsObserver(b);
    const ForwardContext context = {.all_rows = all_rows ? &all_rows : nullptr};
    for (int stage = 0; stage < block.num_stages(); ++stage) block.Step(stage, scratch, context, Observer(b));
  }
  unquantized_inputs_.clear();
}

void CalibrationWalk::Forward(Block& block, const KvObserver* keys_values) {
  const RowsByThemselves alike;  // Whatever goes through a block at once, codes are the same.
  const Timed timed(clock_, times_.forward_s);
  for (BlockState& batch : batches_) {
    batch.residual = block.Forward(batch.residual, {.keys_values = keys_values});
  }
}

const LayerCalibration& CalibrationWalk::StatisticsOf(const Linear& linear) {
  const auto found = statistics_.find(&linear);
  if (found == statistics_.end()) {
    if (shows_all_to_experts_ && linear.shape().is_expert && routed_.contains(&linear)) {
      throw Error(ErrorKind::kUnsupported,
                  linear.shape().name + ": the model shows an expert only the tokens routed to it, and experts.policy "
                                        "is all_experts. Use policy fail or rtn.");
    }
    throw InternalError(linear.shape().name + ": its block showed no inputs of it");
  }
  const Timed timed(clock_, times_.statistics_s);
  const auto [entry, is_new] = finished_.try_emplace(found->second.get());
  if (is_new) entry->second = found->second->Finish(calibration_.count);
  return entry->second;
}

int64_t CalibrationWalk::RoutedTokens(const Linear& linear) const {
  const auto found = routed_.find(&linear);
  return found == routed_.end() ? 0 : found->second;
}

void CalibrationWalk::Forget(std::span<Linear* const> linears) {
  for (const Linear* linear : linears) {
    routed_.erase(linear);
    const auto found = statistics_.find(linear);
    if (found == statistics_.end()) continue;
    finished_.erase(found->second.get());
    statistics_.erase(found);
  }
}

}  // namespace bitlaw
