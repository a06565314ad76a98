#include "resolve/resolved_study.h"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/study/study_laws.h"
#include "fit/study/study_results.h"
#include "fit/table/column_map.h"
#include "fit/table/strata_data.h"
#include "records/observations.h"
#include "resolve/law_needs.h"
#include "spec/decoder.h"
#include "spec/figures/figure_options.h"
#include "spec/shapes.h"

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
    OpenedLaws opened = OpenStudyLaws(study_.laws, host_, resolved_.fit.fix);
    for (const OpenedLaws::Fault& fault : opened.faults) faults_.AddError(fault.error);
    const bool has_laws = opened.faults.empty();
    resolved_.laws = std::move(opened.laws);
    if (planned && resolved_.evaluate.stream_blocks) CheckStreamedPlan();
    if (machine != nullptr) {
      CheckWeights();
      const bool has_tasks = OpenTasks();
      if (planned && has_fit && has_laws && has_tasks && !resolved_.tasks.empty()) CheckLaws();
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

  void CheckWeights() {
    for (const ModelSpec& model : study_.models) {
      if (!IsShapesOnly(model)) continue;
      faults_.Add(model.mark,
                  fmt::format("model '{}' has the backend '{}', which knows its shapes and no weights: it can be planned, "
                              "not run. Leave 'backend' out and give a folder with weights.",
                              model.name, model.backend));
    }
  }

  bool OpenTasks() {
    bool all = true;
    for (const TaskSpec& spec : study_.tasks) all = Try([&] { OpenTask(spec); }) && all;
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
    if (resolved_.evaluate.stream_blocks && resolved.requests.contains(kRequests[2])) {
      faults_.Add(
          StreamMark(),
          fmt::format("stream_blocks: true and task '{}', which generates: every token would read the whole model "
                      "again. Leave stream_blocks out, or the task.",
                      spec.name));
    }
    resolved_.tasks.push_back(std::move(resolved));
  }

  void CheckStratum(const TaskSpec& spec, const std::string& stratum) {
    const std::string why = ExplainReservedStratum(stratum);
    if (why.empty()) return;
    faults_.Add(spec.mark,
                fmt::format("task '{}' ({}) is of the stratum '{}', which {}. Call its stratum otherwise, or "
                            "group the tasks under 'strata'.",
                            spec.name, spec.file.string(), stratum, why));
  }

  SourceMark StreamMark() const { return study_.evaluate.Find("stream_blocks")->mark(); }

  // Blocks are read again for evaluation, and get what the codes say; a transform alone has none.
  void CheckStreamedPlan() {
    for (const Trial& trial : resolved_.plan.trials) {
      if (trial.quantizer != kKeepWeights || trial.recipe.Find("transforms") == nullptr) continue;
      faults_.Add(
          StreamMark(),
          fmt::format("stream_blocks: true and the trial '{}', whose transforms change weights that nothing "
                      "quantizes: they would be read again as they were. Leave stream_blocks out, or the trial.",
                      trial.label));
    }
  }

  // Of the observations as they will be: strata, and what laws need.
  void CheckLaws() {
    std::vector<TaskCard> cards;
    for (const ResolvedTask& task : resolved_.tasks) cards.push_back(task.card);
    Try([&] {
      const Table planned = MapColumns(PlannedObservations(resolved_.plan, cards), study_.map);
      for (StratumData& stratum : SplitStrata(planned, resolved_.fit.average_tasks).strata) {
        if (!stratum.tasks.empty())
          resolved_.strata.push_back({stratum.name, stratum.is_pool, std::move(stratum.tasks)});
      }
      CheckFigureColumns(planned);
      CheckLawNeeds(resolved_, planned, faults_);
    });
  }

  // Names in own figures that no column will have.
  void CheckFigureColumns(const Table& planned) {
    for (const FigureOptions& figure : ReadFigureOptions(study_.figures)) {
      const std::pair<const char*, std::string> texts[] = {{"x", figure.x},
                                                           {"y", figure.y},
                                                           {"colour", figure.colour},
                                                           {"facet", figure.facet},
                                                           {"where", figure.where}};
      for (const auto& [key, text] : texts) {
        if (text.empty() || planned.Find(text) != nullptr) continue;
        for (const std::string& name : Expression::Parse(text).names()) {
          // Means over a stratum have columns more.
          if (!figure.of_tasks && (name == "tasks" || name == "baseline_acc_adj" || name == "signal_to_noise")) continue;
          if (planned.Find(name) != nullptr) continue;
          faults_.Add(
              figure.mark,
              fmt::format("figure '{}', {}: '{}' is not a column of the observations.{} Columns: {}.", figure.name, key,
                          name, DidYouMean(name, planned.names()), JoinNames(planned.names())));
        }
      }
    }
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
