#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "fit/options/fit_settings.h"
#include "plan/evaluate_options.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "resolve/machine.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// A group of the study's tasks, whose mean accuracy laws are fitted to: as SplitStrata() makes them of the observations
/// as they will be.
struct BITLAW_EXPORT ResolvedStratum {
  std::string name;
  bool is_pool = false;  ///< All tasks together, beside the strata that the study or its tasks name.
  std::vector<std::string> tasks;
};

/// One benchmark, opened: its data are there and every item can be asked.
struct BITLAW_EXPORT ResolvedTask {
  TaskCard card;
  size_t items = 0;
  std::set<std::string> requests;  ///< "loglikelihood", "rolling loglikelihood", "generate until"
};

/// A study after everything that can be known before its first trial: components found and their options resolved,
/// models inspected and trials planned, settings decoded, tasks and laws opened. What is still open is what happens
/// later: the machine may fail, and arithmetic may have no answer.
struct BITLAW_EXPORT ResolvedStudy {
  Plan plan;                                ///< With the study itself.
  FitSettings fit;
  EvaluateOptions evaluate;
  std::vector<std::unique_ptr<Law>> laws;   ///< Parameters that `fit.fix` names are held.
  std::vector<ResolvedTask> tasks;          ///< One a task of the study.
  std::vector<ResolvedStratum> strata;
  int workers = 1;                          ///< How many worker processes do the trials.
};

/// Resolves a study, once. Every fault of every part comes in one Error:
///   models, texts, options and grid    those of MakePlan()
///   fit, evaluate                      unknown keys, values out of range, expressions over columns that there are not
///   laws                               formulas, held parameters, and columns that the observations will not have,
///                                      that hold texts, or that no planned trial has a value of
///   tasks                              definitions, data files and the fields of every item; a reserved stratum
///   `machine`                          CheckMachine()
/// With `machine` null the study is looked at where it will not run: nothing is asked of machine and task data, and so
/// `tasks` and `strata` are empty, and columns of laws are not looked at.
BITLAW_EXPORT ResolvedStudy Resolve(const StudySpec& study, const PluginHost& host, const Machine* machine);

}  // namespace bitlaw
