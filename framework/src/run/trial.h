#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/process_state.h"
#include "bitlaw/api/corpus.h"
#include "bitlaw/base/export.h"
#include "plan/evaluate_options.h"
#include "records/plan_records.h"
#include "records/record_store.h"
#include "run/worker_message.h"

namespace bitlaw {

class KeptStatistics;

using Tell = std::function<void(const WorkerMessage&)>;

/// Where a trial keeps its codes until all its tasks are recorded: <output>/artifacts/<quantization
/// record>.safetensors.
BITLAW_EXPORT std::filesystem::path ArtifactPath(const RecordStore& store, const TrialContent& content);

/// The calibration text that a worker drew last, for further trials of the same model that calibrate on it.
struct BITLAW_EXPORT KeptText {
  std::string key;  ///< PlanContents::CalibrationEntry(), which says what it was drawn of.
  std::shared_ptr<const TokenSequences> tokens;
};

/// What else a trial runs with.
struct BITLAW_EXPORT TrialSetting {
  EvaluateOptions evaluate;
  std::string device;  ///< "cuda:1": the one of the kind Trial::compute.device that computes.
  int threads = 1;
  KeptStatistics* kept = nullptr;  ///< Of a worker, from trial to trial; null: none are kept.
  KeptText* text = nullptr;        ///< Likewise; null: each trial draws its own.
  bool keep_codes = false;         ///< Leave the artifact where it is once all tasks are recorded.
  /// Asked before anything is written for good; throws ClaimLost where the trial is no longer this process's. Null: it is.
  std::function<void()> fence{};
  /// Who computes, for timings files beside what the trial finds itself: a map. docs/records.md lists it.
  Value provenance{};
};

/// Another worker has taken the trial over: this one writes nothing more of it.
struct BITLAW_EXPORT ClaimLost {};

/// Does what is not yet recorded of one trial: open the model, quantize it or load the codes that an earlier try left in
/// <output>/artifacts, score each missing task, put its record on the disk at once. Opens nothing if all is recorded.
///
/// Tells stages, the calibration digest if it was not known, and every task; not the end. Device and threads go into
/// timings.
/// What numbers are made of is compared with what their key was taken of before each record is written: a model, plugin,
/// task or text that was replaced meanwhile ends the trial; after a mere touch the trial begins anew. ClaimLost of the fence
/// goes through.
/// A resumed trial gives the same bytes as one that was never stopped, on the same machine with as many threads.
/// Errors: those of the model, corpus, quantizer and tasks; Error(kNumerical) for a fallback that the study forbids;
/// Error(kIo, kPlugin) for what was replaced.
BITLAW_EXPORT void RunTrial(PlanContents& contents, const Trial& trial, const TrialSetting& setting,
                            const RecordStore& store, DigestCache& cache, FileWatch& code, const ProcessState& state,
                            const Tell& tell);

}  // namespace bitlaw
