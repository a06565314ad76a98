#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "cost/model_work.h"
#include "cost/rates.h"
#include "cost/task_work.h"
#include "plan/evaluate_options.h"
#include "plan/plan.h"

namespace bitlaw {

/// Where the time of a trial goes.
enum class Stage : size_t {
  kLoad,       ///< Opening the checkpoint.
  kCalibrate,  ///< Calibration text through the model, and statistics of it.
  kQuantize,   ///< The quantizer, and installing what it made.
  kEvaluate,   ///< All tasks.
  kRecord,     ///< Claim, records and what else a trial takes of the file system.
};
inline constexpr size_t kStages = 5;
BITLAW_EXPORT const char* Name(Stage stage);  ///< "load", "calibrate", "quantize", "evaluate", "record".

/// Seconds of one worker.
struct BITLAW_EXPORT StageSeconds {
  std::array<double, kStages> of{};
  double& operator[](Stage stage) { return of[static_cast<size_t>(stage)]; }
  double operator[](Stage stage) const { return of[static_cast<size_t>(stage)]; }
  double sum() const;
};

/// What one trial takes.
struct BITLAW_EXPORT TrialCost {
  StageSeconds seconds;
  double memory_bytes = 0;  ///< Peak of its worker: on the device that computes, host's libraries included.
  double codes_bytes = 0;   ///< Codes in artifacts/ until its tasks are scored.
  double record_bytes = 0;  ///< What stays: records, items, timings.
  /// Where its statistics are those of the unquantized model: trials of one worker with the same text collect them once.
  std::string shared_statistics;
};

/// Estimates the costs of a study's trials from shapes alone, by operation counts over rates.
///
///   calibrate  T Cb (p 2 sum C_in C_out f + m) / r,  p passes, f = 1 + w / min(C_in, C_out) a layer, m second moments
///   quantize   (sum C_in^3 + sum 2 C_in^2 C_out) / (share r) of a quantizer with second moments; weights and layers
///              at their own rates
///   evaluate   tokens read as above, logits of scored positions; a generated token reads all weights once for all texts
///
/// Memory is the larger of quantizing (weights, hidden states and inputs of a stage of all calibration tokens, second
/// moments and a factor of each) and evaluating (weights, keys and values, logits, a pass). It is an upper estimate.
class BITLAW_EXPORT CostModel {
 public:
  /// `tasks`: CountWork() of the plan. All but `rates` and `evaluate`, which are copied, outlive the object.
  CostModel(const Plan& plan, const EvaluateOptions& evaluate, const std::vector<std::vector<TaskWork>>& tasks,
            const Rates& rates);

  TrialCost Of(const Trial& trial) const;
  /// Seconds of one task on a model's trials.
  double EvaluateSeconds(size_t task, size_t model) const;

 private:
  double PassSeconds(const ModelWork& work, double tokens) const;
  double QuantizeMemory(const Trial& trial) const;
  double EvaluateMemory(size_t model) const;
  double WeightsMemory(size_t model) const;

  const Plan& plan_;
  const EvaluateOptions evaluate_;
  const std::vector<std::vector<TaskWork>>& tasks_;
  const Rates rates_;
  const Dtype dtype_;
  std::vector<ModelWork> models_;
  std::vector<double> activation_bytes_, evaluate_s_, evaluate_memory_, items_;  // By model, of all tasks.
};

/// Bytes of the codes of a trial as artifacts hold them.
BITLAW_EXPORT double CodesBytes(const Plan& plan, const Trial& trial);

}  // namespace bitlaw
