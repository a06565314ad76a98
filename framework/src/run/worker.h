#pragma once

#include <filesystem>

#include "base/process_state.h"
#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "plugin/host.h"

namespace bitlaw {

struct BITLAW_EXPORT WorkerOptions {
  std::filesystem::path output;
  int threads = 0;  ///< As libtorch uses them; 0: every core that the process may use.
  int in = 0;       ///< Descriptor: one TrialOrder a line.
  int out = 1;      ///< Descriptor: worker_message.h.
};

/// Runs the trials that it is told, one after the other, until its input ends. A trial that throws is told of and the next
/// one taken. `state` is from before the first plugin was opened; each trial begins with it. Returns the exit code.
BITLAW_EXPORT int ServeTrials(const Plan& plan, const PluginHost& host, const ProcessState& state,
                              const WorkerOptions& options);

}  // namespace bitlaw
