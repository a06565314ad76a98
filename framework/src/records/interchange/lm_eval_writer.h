#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/interchange/recorded_trial.h"

namespace bitlaw {

/// Hashes of a sample, as lm-evaluation-harness takes them: SHA-256 of the row as json.dumps(doc, indent=2,
/// ensure_ascii=False) has it, of the first request's context, and of str(target).
struct BITLAW_EXPORT SampleHashes {
  std::string doc, prompt, target;
};
BITLAW_EXPORT SampleHashes HashesOf(const ItemTexts& texts, const ItemScore& item);

/// Writes a trial as a run of lm-evaluation-harness: results_<date>.json and samples_<task>_<date>.jsonl in
/// <folder>/<label>, the label with the characters replaced that the harness replaces in a model's name. Returns the
/// results file.
///
/// Of items whose texts are known there are samples, but not of rolling likelihoods, whose items here are windows and
/// there documents. What a record does not hold is not in them: of a generated answer the text itself (resps has
/// what was taken out of it), of a likelihood whether it was greedy ("None"). A metric that the harness would make of
/// something else (weighted items) is in the results alone. Each of these is said in `notes`.
///
/// Errors  Error(kIo) for what cannot be written, or is there already.
/// Source  lm_eval/evaluator.py and lm_eval/loggers/evaluation_tracker.py of lm_eval 0.4.13.
BITLAW_EXPORT std::filesystem::path WriteHarnessRun(const RecordedTrial& trial, const std::string& version,
                                                    const std::filesystem::path& folder,
                                                    std::vector<std::string>& notes);

}  // namespace bitlaw
