#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// What a run of lm-evaluation-harness gave on one task.
struct BITLAW_EXPORT HarnessTask {
  TaskCard card;  ///< Without stratum. A metric's name has the filter's behind it where that is not "none".
  std::vector<MetricSummary> metrics;  ///< One for each of card.metrics. Chance is NaN where nothing tells it.
  std::vector<ItemScore> items;        ///< By doc_id; empty without samples.
  std::string samples_digest;          ///< SHA-256 of the file of samples; "" without one.
  std::vector<std::string> notes;      ///< What was left out, and why.
};

/// One run: results_<date>.json and the samples_<task>_<date>.jsonl beside it.
struct BITLAW_EXPORT HarnessRun {
  std::filesystem::path results;
  std::string results_digest, version;  ///< SHA-256; "0.4.13".
  std::string model, dtype;             ///< "lab-qwen3-1.8m": the end of the model's path; "float32".
  int64_t parameters_total = 0;         ///< 0 where the harness did not count them.
  std::vector<HarnessTask> tasks;
};

/// Reads a run from its results file, or from the folder that holds just one.
///
/// Of multiple choice the chance is the mean of 1 / choices over the items, of generated answers and single likelihoods 0.
/// Accuracies are acc* and exact_match* whose items are all 0 or 1; perplexity, word_perplexity and byte_perplexity are
/// perplexities, bits_per_byte a ratio, and any other number a mean. Items give values and standard errors
/// (Summarize()); a metric whose items do not give the value in the results (another aggregation, items that are no
/// numbers) is left out with a note, and an accuracy that differs is an error.
///
/// Errors   Error(kIo) for files that are missing or no JSON; Error(kSpec), with the place, for what is not as the
///          harness writes it.
/// Source   lm_eval/loggers/evaluation_tracker.py of lm_eval 0.4.13.
BITLAW_EXPORT HarnessRun ReadHarnessRun(const std::filesystem::path& path);

}  // namespace bitlaw
