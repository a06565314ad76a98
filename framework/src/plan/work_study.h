#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "plan/plan.h"
#include "plan/evaluate_options.h"

namespace bitlaw {

/// What workers do their trials by: a study as it was resolved, without its trials. Its launcher keeps it in the output
/// folder, and workers read no study file, task file or law file: who edits one changes the next run, not this one.
struct BITLAW_EXPORT WorkStudy {
  /// Of the study: name, corpora, tasks, `evaluate` as given, allow_fallback; of its models: the spec. Factors. No trials.
  Plan plan;
  EvaluateOptions evaluate;
  std::string digest;  ///< Over the text of the file.
};

/// <output>/work.json
BITLAW_EXPORT std::filesystem::path WorkFile(const std::filesystem::path& output);
/// The text of that file; the trials of `plan` are not in it. JSON, in which a value with a mark is {"$at": [file, line,
/// column], "$value": ...}, a text that is no UTF-8 (a path) {"$bytes": "<hex>"}, and an infinity {"$real": "inf"}.
BITLAW_EXPORT std::string WriteWorkStudy(const Plan& plan, const EvaluateOptions& evaluate);
/// Over what such a text says, not over where its study file lies and what is written around it: two texts of one digest
/// are of one study. Of the names of files that are looked for beside the study file those that are there count as the
/// files that they are. Error(kIo) that begins with `origin` for another text.
BITLAW_EXPORT std::string ContentDigest(const std::string& text, const std::string& origin);
/// Error(kIo) that begins with `origin` for another text.
BITLAW_EXPORT WorkStudy ReadWorkStudy(const std::string& text, const std::string& origin);

/// A trial as an order names it: everything that determines what is done, nothing that only plans and tables need.
BITLAW_EXPORT Value TrialJson(const Trial& trial);
/// Error(kIo) for what TrialJson() did not make.
BITLAW_EXPORT Trial ReadTrialJson(const Value& json, const std::string& origin);
/// Error(kIo) unless the plan of a work file has what the trial refers to: its model, its corpus, a place a factor.
BITLAW_EXPORT void CheckTrial(const Trial& trial, const Plan& plan);

}  // namespace bitlaw
