#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bitlaw/base/export.h"
#include "plan/plan.h"

namespace bitlaw {

/// WorkerMessage::error_kind of a trial that another worker has taken over: no failure.
inline constexpr const char* kClaimLost = "claim";

/// What a worker tells its launcher, one JSON line a message.
struct BITLAW_EXPORT WorkerMessage {
  enum class Kind {
    kReady,        ///< Plugins are loaded and the work file is read: a trial may be given.
    kStage,        ///< `text`: what is being done now.
    kCalibration,  ///< Tokens were drawn: `entry` of the digest cache is `digest`.
    kTask,         ///< A task was recorded (`found`: it had been already).
    kWarning,      ///< `text`
    kDone,         ///< The trial's last task is recorded.
    kFailed,       ///< `error_kind`, `text`
  };
  Kind kind = Kind::kReady;
  std::string text;
  std::string entry, digest;
  std::string task, metric;
  double value = 0, standard_error = 0, elapsed_s = 0;  ///< NaN where unknown.
  bool found = false;
  std::string error_kind;                               ///< Of an Error, or "memory", "device", "bug", kClaimLost.
  bool spent = false;  ///< kDone, kFailed: what a plugin did to the process cannot be undone. It takes no other trial.
};

BITLAW_EXPORT std::string ToLine(const WorkerMessage& message);  ///< With the line end.
/// nullopt for a line that is no message (a plugin may print).
BITLAW_EXPORT std::optional<WorkerMessage> FromLine(std::string_view line);

/// A trial that a launcher gives, one line of JSON: what is to be done, and what the launcher found its inputs to be.
struct BITLAW_EXPORT TrialOrder {
  Trial trial;                 ///< As TrialJson() of work_study.h keeps it.
  std::string weights_digest;  ///< Of the trial's model.
  std::string code_digest;     ///< Of program and plugins: code_watch.h.
  std::string work_digest;     ///< Of the study's work file: WorkStudy::digest.
  std::string claim{};         ///< The claim that the trial is done under, a file below the output; "": none.
};
BITLAW_EXPORT std::string ToOrderLine(const TrialOrder& order);  ///< Without the line end.
BITLAW_EXPORT TrialOrder FromOrderLine(const std::string& line);  ///< Error(kIo) for another line.

}  // namespace bitlaw
