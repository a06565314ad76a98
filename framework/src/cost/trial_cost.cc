#include "cost/trial_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "spec/quantize/recipe.h"

namespace bitlaw {
namespace {

// Libraries and plugins of a worker process, and holes in its heap.
constexpr double kProcessBytes = 270e6;
// What records of many studies came to.
constexpr double kRecordBytes = 7000, kItemBytes = 65, kLayerBytes = 250;
constexpr double kCalibrationPassTokens = 4096;

// How often the calibration text goes through the model.
double PassesOf(const Trial& trial) {
  const bool has_transforms = !trial.recipe.is_null() && trial.recipe.Find("transforms") != nullptr;
  const double passes = SequentialOf(trial.recipe) == "block" ? 2 : 1;
  return passes + (has_transforms ? 1 : 0);
}

}  // namespace

const char* Name(Stage stage) {
  constexpr const char* kNames[kStages] = {"load", "calibrate", "quantize", "evaluate", "record"};
  return kNames[static_cast<size_t>(stage)];
}

double StageSeconds::sum() const { return std::accumulate(of.begin(), of.end(), 0.0); }

double CodesBytes(const Plan& plan, const Trial& trial) {
  if (trial.quantizer == "none") return 0;
  return static_cast<double>(plan.models[trial.model].summary.parameters_quantizable) * trial.bits_per_weight / 8;
}

CostModel::CostModel(const Plan& plan, const EvaluateOptions& evaluate, const std::vector<std::vector<TaskWork>>& tasks,
                     const Rates& rates)
    : plan_(plan), evaluate_(evaluate), tasks_(tasks), rates_(rates), dtype_(plan.study.compute.dtype) {
  for (size_t model = 0; model < plan.models.size(); ++model) {
    models_.push_back(WorkOf(plan.models[model].summary));
    activation_bytes_.push_back(static_cast<double>(ActivationBytes(plan.models[model].summary, dtype_)));
    evaluate_s_.push_back(0);
    items_.push_back(0);
    for (size_t task = 0; task < tasks.size(); ++task) {
      evaluate_s_.back() += EvaluateSeconds(task, model);
      items_.back() += tasks[task][model].items;
    }
    evaluate_memory_.push_back(EvaluateMemory(model));
  }
}

double CostModel::PassSeconds(const ModelWork& work, double tokens) const {
  return tokens * (work.token_flop + rates_.half_width * work.edge_flop) / rates_.flops(dtype_);
}

double CostModel::EvaluateSeconds(size_t task, size_t model) const {
  const TaskWork& asked = tasks_[task][model];
  const ModelWork& work = models_[model];
  const double all = asked.tokens + asked.generated;
  double seconds = PassSeconds(work, all) + all * rates_.token_s;
  seconds += (asked.scored + asked.generated) * work.head_flop / rates_.flops(dtype_);
  // Each step reads all weights, however few texts are generated.
  const double step_s = work.parameters * BytesOf(dtype_) / rates_.memory_bytes_per_s + work.layers * rates_.step_layer_s;
  return seconds + asked.steps * step_s;
}

double CostModel::WeightsMemory(size_t model) const {
  const ModelWork& work = models_[model];
  if (!evaluate_.stream_blocks) return work.parameters * BytesOf(dtype_);
  return (work.parameters - work.weights + 2 * work.largest_block) * BytesOf(dtype_);
}

double CostModel::EvaluateMemory(size_t model) const {
  const ModelWork& work = models_[model];
  const double vocabulary = static_cast<double>(plan_.models[model].summary.vocab_size);
  const auto least = [](int64_t given, int64_t usual) { return static_cast<double>(given > 0 ? given : usual); };
  const double batch = least(evaluate_.batch_tokens, EvaluateOptions::kHostBatchTokens);
  double kept = 0, logits = 0;
  for (const auto& row : tasks_) {
    const TaskWork& asked = row[model];
    kept = std::max(kept, (asked.tokens + asked.generated) * work.kv_numbers * BytesOf(dtype_));
    logits = std::max(logits, (asked.scored + asked.generated) * vocabulary * 4);
  }
  return std::min(kept, least(evaluate_.kv_budget_bytes, EvaluateOptions::kHostKvBytes)) +
         std::min(logits, least(evaluate_.logits_budget_bytes, EvaluateOptions::kHostLogitsBytes)) +
         batch * activation_bytes_[model];
}

double CostModel::QuantizeMemory(const Trial& trial) const {
  if (!trial.calibration) return 0;
  const ModelWork& work = models_[trial.model];
  const double tokens = static_cast<double>(trial.calibration->sequences * trial.calibration->tokens);
  double bytes = tokens * (work.hidden + work.widest_input) * BytesOf(dtype_) +
                 std::min(tokens, kCalibrationPassTokens) * activation_bytes_[trial.model];
  if (!trial.needs.second_moment) return bytes;
  const std::string sequential = SequentialOf(trial.recipe);
  double moments = work.block_moments;
  if (sequential == "stage") moments = work.stage_moments;
  if (sequential == "none") moments = work.model_moments;
  const double matrices = trial.needs.cross_moment ? 3 : 2;  // The moment and a factor of it.
  return bytes + matrices * moments * (trial.needs.second_moment_float64 ? 8 : 4);
}

TrialCost CostModel::Of(const Trial& trial) const {
  const ModelWork& work = models_[trial.model];
  TrialCost cost;
  StageSeconds& seconds = cost.seconds;
  seconds[Stage::kLoad] = work.parameters * 2 / rates_.disk_bytes_per_s;
  seconds[Stage::kEvaluate] = evaluate_s_[trial.model];
  const bool is_quantized = trial.quantizer != "none";
  if (trial.calibration) {
    const double tokens = static_cast<double>(trial.calibration->sequences * trial.calibration->tokens);
    seconds[Stage::kCalibrate] = PassesOf(trial) * PassSeconds(work, tokens);
    if (trial.needs.second_moment)
      seconds[Stage::kCalibrate] += tokens * work.moment_flop / rates_.flops(dtype_);
  }
  if (is_quantized && trial.quantizer != kKeepWeights) {
    seconds[Stage::kQuantize] =
        trial.needs.second_moment
            ? work.solver_flop / (rates_.solver_share * rates_.float32_flops) + work.layers * rates_.layer_s
            : work.weights * rates_.weight_s;
  }
  const double records = static_cast<double>(plan_.study.tasks.size()) + (is_quantized ? 1 : 0);
  seconds[Stage::kRecord] = rates_.trial_s + records * rates_.record_s;
  cost.codes_bytes = CodesBytes(plan_, trial);
  cost.record_bytes = records * kRecordBytes + items_[trial.model] * kItemBytes +
                      (is_quantized ? work.layers * kLayerBytes : 0);
  cost.memory_bytes = kProcessBytes + WeightsMemory(trial.model) + std::max(QuantizeMemory(trial), evaluate_memory_[trial.model]);
  if (trial.calibration && trial.needs.any() && SequentialOf(trial.recipe) == "none") {
    const CalibrationSpec& draw = *trial.calibration;
    const Value* transforms = trial.recipe.Find("transforms");
    cost.shared_statistics = fmt::format("{} {} {} {} {} {}", trial.model, draw.corpus, draw.sequences, draw.tokens,
                                         draw.seed, transforms == nullptr ? "" : transforms->CanonicalJson());
  }
  return cost;
}

}  // namespace bitlaw
