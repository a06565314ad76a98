#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "cost/trial_cost.h"

namespace bitlaw {

/// A trial before it is done.
struct BITLAW_EXPORT EstimatedTrial {
  std::string id, model, quantizer;
  StageSeconds seconds;  ///< CostModel's, at any rates.
};

/// The costs of a study's trials, estimated and then corrected by what trials that are done took: what a plan, a status and
/// a run tell of the time left.
///
/// Each stage of a trial is multiplied by (sum of what was measured) / (sum of what was estimated) over the trials done that
/// are most like it: those of its model and quantizer; where there are none, of its quantizer (quantize) or of its model
/// (all other stages); else all; a stage that was never measured, by all stages that were. What whole trials took beyond
/// their stages, claims, records and starts of processes, is taken to be as much more for each trial. Where whole trials
/// alone were timed, all their stages are multiplied by the rule for stages.
///
/// Not thread-safe.
class BITLAW_EXPORT MeasuredCosts {
 public:
  /// `tasks`: how many each trial is scored on.
  MeasuredCosts(std::vector<EstimatedTrial> trials, size_t tasks);

  /// Times of an output folder, from timings/: of these trials, `most` files that no call before read. Those of evaluations
  /// count once all tasks of a model were seen. Files that name no trial of the study, or are damaged, are passed over.
  void AddTimings(const std::filesystem::path& output, size_t most);
  /// What one trial took from its claim to its end.
  void AddWhole(size_t trial, double seconds);

  StageSeconds Of(size_t trial) const;
  size_t size() const { return trials_.size(); }
  bool IsMeasured() const { return !wholes_.empty() || !seen_.empty(); }
  size_t trials_seen() const { return seen_.size(); }  ///< Of which there were timings.
  const std::set<std::string>& hosts() const { return hosts_; }

 private:
  struct Ratio {
    double measured = 0, estimated = 0;
  };
  using Ratios = std::map<std::string, Ratio>;
  void Add(Ratios& ratios, const EstimatedTrial& trial, double measured, double estimated) const;
  void TakeTimings(const Value& timings);
  void SumEvaluations();
  static double Scale(const Ratios& ratios, const EstimatedTrial& trial, Stage stage, double otherwise);
  StageSeconds OfStages(const EstimatedTrial& trial) const;
  double RecordScale() const;
  double AllStages() const;

  std::vector<EstimatedTrial> trials_;
  const size_t tasks_;
  std::map<std::string, size_t> by_id_;
  std::array<Ratios, kStages> stages_;
  Ratios whole_;
  std::vector<std::pair<size_t, double>> wholes_;  // Trials and their seconds.
  mutable std::optional<double> record_scale_;     // Since something was added last.
  struct Mean {
    double sum = 0, count = 0;
  };
  std::map<std::string, std::map<std::string, Mean>> evaluations_;  // [model][task]
  std::set<std::filesystem::path> read_;  // Files.
  std::set<size_t> seen_;
  std::set<std::string> hosts_;
};

}  // namespace bitlaw
