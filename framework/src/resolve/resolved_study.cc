#include "resolve/resolved_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "bitlaw/base/error.h"
#include "fit/law/restricted_law.h"
#include "fit/study/study_results.h"
#include "fit/table/column_map.h"
#include "fit/table/strata_data.h"
#include "records/observations.h"
#include "resolve/law_needs.h"
#include "spec/decoder.h"

namespace bitlaw {
namespace {

/// Builds one ResolvedStudy, part by part.
class Resolver {
 public:
  Resolver(const StudySpec& study, const PluginHost& host) : study_(study), host_(host) {}

  ResolvedStudy Resolve(const Machine* machine) {
    const bool planned = Try([&] { resolved_.plan = MakePlan(study_, host_); });
    const bool has_fit = Try([&] {
      resolved_.fit = planned ? StudyFitSettings(study_.fit, ObservationColumns(resolved_.plan), study_.map)
                              : ReadFitSettings(study_.fit);
    });
    Try([&] {
      resolved_.evaluate = EvaluateOptions::From(EvaluateOptions::Schema().Resolve(study_.evaluate, "'evaluate'"));
    });
    const bool has_laws = Try([&] {
      resolved_.laws = HoldParameters(OpenLaws(study_.laws, host_), resolved_.fit.fix);
    });
    if (machine != nullptr) {
      const bool has_tasks = OpenTasks();
      if (planned && has_fit && has_laws && has_tasks) CheckLaws();
      if (planned) {
        resolved_.workers = machine->workers > 0 ? machine->workers : ChosenWorkers(resolved_.plan, machine->threads);
        CheckMachine(resolved_.plan, *machine, resolved_.workers, faults_);
      }
    }
    faults_.ThrowIfAny();
    return std::move(resolved_);
  }

 private:
  template <class Step>
  bool Try(Step&& step) {
    try {
      step();
      return true;
    } catch (const Error& error) {
      faults_.AddError(error);
      return false;
    }
  }

  bool OpenTasks() {
    bool all = true;
    for (const TaskSpec& spec : study_.tasks) all = Try([&] { OpenTask(spec); }) && all;
    if (all) GroupTasks();
    return all;
  }

  void OpenTask(const TaskSpec& spec) {
    static constexpr const char* kRequests[] = {"loglikelihood", "rolling loglikelihood", "generate until"};
    const std::unique_ptr<Task> task = host_.MakeTask(spec.component, spec.options, spec.context);
    ResolvedTask resolved;
    resolved.card = task->card();
    if (study_.strata.empty()) CheckStratum(spec, resolved.card.stratum);
    const std::vector<TaskItem> items = task->Items();
    resolved.items = items.size();
    for (const TaskItem& item : items)
      for (const Request& request : item.requests) resolved.requests.insert(kRequests[request.index()]);
    resolved_.tasks.push_back(std::move(resolved));
  }

  // The names of pools (strata_data.h) are not free for others: reports tell strata apart by name.
  void CheckStratum(const TaskSpec& spec, const std::string& stratum) {
    if (stratum != kGeneralStratum && stratum != kAllRows) return;
    faults_.Add(spec.mark, fmt::format("task '{}' ({}) is of the stratum '{}', which is a word of the reports: 'general' "
                                       "is the mean over all tasks, 'all' has all rows. Call its stratum otherwise, or "
                                       "group the tasks under 'strata'.",
                                       spec.name, spec.file.string(), stratum));
  }

  // As SplitStrata() will group them.
  void GroupTasks() {
    std::vector<ResolvedStratum>& strata = resolved_.strata;
    ResolvedStratum pool{kGeneralStratum, true, {}};
    bool all_named = true;
    for (const ResolvedTask& task : resolved_.tasks) {
      if (task.card.metrics.empty() || task.card.metrics.front().kind != MetricKind::kAccuracy) continue;
      pool.tasks.push_back(task.card.name);
      const std::string name = StratumOf(study_, task.card);
      all_named = all_named && !name.empty();
      if (name.empty()) continue;
      auto found = std::find_if(strata.begin(), strata.end(), [&](const auto& one) { return one.name == name; });
      if (found == strata.end()) found = strata.insert(strata.end(), {name, false, {}});
      found->tasks.push_back(task.card.name);
    }
    if (!pool.tasks.empty() && (strata.size() != 1 || !all_named)) strata.push_back(std::move(pool));
  }

  void CheckLaws() {
    if (resolved_.tasks.empty()) return;
    std::vector<TaskCard> cards;
    for (const ResolvedTask& task : resolved_.tasks) cards.push_back(task.card);
    Try([&] {
      CheckLawNeeds(resolved_, MapColumns(PlannedObservations(resolved_.plan, cards), study_.map), faults_);
    });
  }

  const StudySpec& study_;
  const PluginHost& host_;
  ResolvedStudy resolved_;
  Faults faults_;
};

}  // namespace

ResolvedStudy Resolve(const StudySpec& study, const PluginHost& host, const Machine* machine) {
  return Resolver(study, host).Resolve(machine);
}

}  // namespace bitlaw
