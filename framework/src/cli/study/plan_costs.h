#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/common/session.h"
#include "cost/trial_cost.h"
#include "records/plan_records.h"
#include "resolve/resolved_study.h"
#include "run/schedule/schedule.h"

namespace bitlaw {

struct CostArguments {
  int workers = 0, threads = 0;       ///< As of `bitlaw run`.
  std::filesystem::path machine;      ///< A file of rates; empty: this machine.
};

/// What a study takes, for `bitlaw plan`.
struct PlanCosts {
  Rates rates;
  std::string source;                 ///< Of the times, a sentence for people.
  std::vector<TrialCost> trials;      ///< One a trial of the plan, corrected by what was measured.
  std::vector<bool> done;             ///< All of its tasks are recorded.
  int workers = 1, threads = 1;       ///< Threads of each worker.
  std::vector<std::string> devices;   ///< Of each worker.
  Schedule all, left;                 ///< Of all trials, and of those that are not done.
  double left_one_s = 0;              ///< What is left, by one worker.
  bool is_played = true;              ///< False: too many trials to play the order; nothing is reused in `left`.
  double worker_memory_bytes = 0;     ///< The largest of all trials'.
  double memory_bytes = 0;            ///< Of all workers; on cards of those of one card.
  double machine_memory_bytes = 0;    ///< 0: not known.
  double codes_in_hand_bytes = 0, kept_codes_bytes = 0, record_bytes = 0;
  std::vector<std::string> warnings;
};

/// `recorded`: null if nothing is. Measures products for 0.2 s unless a machine file is given.
PlanCosts CostsOf(const ResolvedStudy& resolved, const PluginHost& host, const RecordedPairs* recorded,
                  const CostArguments& arguments);

/// A row a model and quantizer, then totals.
void PrintCosts(const Plan& plan, const PlanCosts& costs);
Value TrialCostJson(const TrialCost& cost);
Value CostsJson(const Plan& plan, const PlanCosts& costs);

}  // namespace bitlaw
