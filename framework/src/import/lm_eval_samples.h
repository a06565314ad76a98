#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// True for a line that lm-evaluation-harness writes with log_samples (samples_<task>_<date>.jsonl).
BITLAW_EXPORT bool IsLmEvalSample(const Value& row);

/// The task's name in the name of such a file: "arc_easy" of "samples_arc_easy_2026-01-31T10-00-00.123456.jsonl".
BITLAW_EXPORT std::string TaskOfLmEvalSamples(const std::filesystem::path& path);

/// Such a line as `bitlaw evaluate --samples` writes samples: task, item, answers, right, values; with the filter's
/// name behind the metrics' where it is not "none", and with `extracted`, the answer that it took out of a generated text.
///
/// Of choices `right` is the number of the right one, and acc, acc_norm and acc_bytes have `chosen`: the likeliest, by
/// itself, a character or a byte, where the logged value agrees. Error(kSpec) at
/// the line for a line that lacks what a sample needs. Source   lm_eval/evaluator.py and loggers/evaluation_tracker.py
/// (save_results_samples) of lm_eval 0.4.13.
BITLAW_EXPORT Value SampleFromLmEval(const Value& row, const std::string& task);

}  // namespace bitlaw
