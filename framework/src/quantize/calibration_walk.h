#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"
#include "quantize/clock/phase_clock.h"
#include "quantize/input_statistics.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// Checks that `calibration` fits the model: InternalError for a set that is none, Error(kSpec) for sequences longer
/// than the model's positions.
void CheckCalibration(const ModelSummary& summary, const TokenSequences* calibration);

/// All calibration sequences on their way through the blocks of a model, and statistics of the inputs that linear
/// layers read meanwhile. Layers that share an input share its statistics.
class CalibrationWalk {
 public:
  /// Adds its time to times.forward_s and times.statistics_s, all of it once it is gone. All arguments outlive it.
  CalibrationWalk(Model& model, const TokenSequences& calibration, int64_t batch_tokens, QuantizeTimes& times);
  ~CalibrationWalk();

  /// Which statistics Step() and Observe() collect from now on.
  void SetNeeds(const CalibrationNeeds& needs) { needs_ = needs; }

  /// From now on statistics of experts are those of all tokens of their layer, not of those routed to them.
  void ShowAllToExperts() { shows_all_to_experts_ = true; }

  /// Layers of which no statistics are asked.
  void SetSkips(std::function<bool(std::string_view layer)> skips) { skips_ = std::move(skips); }

  /// Embeds the sequences; the first block's inputs.
  void Embed();
  /// From now on the sequences go through the unquantized model as well, from where they are now: StepUnquantized().
  void KeepUnquantized() { unquantized_ = batches_; }
  /// Steps them to the inputs of `stage`, or past the block, with the weights that it has now. The inputs are kept
  /// until Step() or Observe() has compared those of the quantized model with them: CalibrationNeeds::cross_moment.
  void StepUnquantized(Block& block, int stage);
  /// Steps all sequences to the inputs of `stage`, collecting statistics if `observes`.
  void Step(Block& block, int stage, bool observes);
  /// Collects statistics of all stages of a block as it is; the sequences stay at the block's beginning.
  void Observe(Block& block);
  /// From the block's inputs to its outputs, showing its keys and values to `keys_values` where it is not null.
  void Forward(Block& block, const KvObserver* keys_values = nullptr);

  /// Statistics of the inputs of `linear`. InternalError if its block showed none; Error(kUnsupported) for an expert of
  /// a model that shows experts nothing but the tokens routed to them, where all are asked for.
  const LayerCalibration& StatisticsOf(const Linear& linear);
  /// Calibration tokens that reached `linear` in the forward pass: of an expert those routed to it.
  int64_t RoutedTokens(const Linear& linear) const;
  /// Frees the statistics of these layers.
  void Forget(std::span<Linear* const> linears);

 private:
  /// Of what the forward pass reads, and of all rows for experts.
  InputObserver Observer(size_t batch);
  InputObserver AllRowsObserver(size_t batch);
  void Collect(size_t batch, std::span<Linear* const> readers, const at::Tensor& input);
  bool SkipsAll(std::span<Linear* const> readers) const;

  Model& model_;
  const TokenSequences& calibration_;
  const at::Device device_;
  const int64_t group_;      ///< Sequences whose inputs are summed at once.
  const int64_t per_batch_;  ///< Sequences that go through a block at once, a part of a group.
  QuantizeTimes& times_;
  PhaseClock clock_;
  CalibrationNeeds needs_;
  bool shows_all_to_experts_ = false;
  std::vector<BlockState> batches_;  ///< All calibration sequences, at the current stage.
  std::vector<bool> ends_group_;     ///< Of each batch.
  std::vector<BlockState> unquantized_;  ///< The same in the unquantized model; empty unless it is compared with.
  std::map<const Linear*, std::vector<at::Tensor>> unquantized_inputs_;  ///< Of each batch, by the first reader.
  std::function<bool(std::string_view layer)> skips_;
  std::map<const Linear*, std::shared_ptr<InputStatistics>> statistics_;
  std::map<const InputStatistics*, LayerCalibration> finished_;
  std::map<const Linear*, int64_t> routed_;  ///< Tokens.
};

}  // namespace bitlaw
