#pragma once

#include <filesystem>
#include <string>

#include "base/process_state.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "plugin/host.h"

namespace bitlaw {

struct BITLAW_EXPORT WorkerOptions {
  std::filesystem::path output;
  int threads = 0;  ///< As libtorch uses them; 0: every core that the process may use.
  std::string device;  ///< "cuda:1": the one of its kind that this worker computes on; "": the kind's first.
  bool keep_codes = false;  ///< TrialSetting::keep_codes.
  int64_t memory_bytes = 0; ///< What it may hold of its own (RLIMIT_DATA); 0: no limit.
  std::string name;         ///< In its temporary files (NameTemporaries()).
  Value build{};            ///< Version and revision of the program, a map for TrialSetting::provenance.
  int in = 0;       ///< Descriptor: one TrialOrder a line.
  int out = 1;      ///< Descriptor: worker_message.h.
};

/// Runs the trials that it is told, one after the other, until its input ends: by the work file of the output, which
/// must be the one that an order names. A trial that throws is told of and the next one taken. `state` is from before
/// the first plugin was opened; each trial begins with it, and with the resource limits that were there before the first
/// one. Where these cannot be raised again the worker says that it is spent, and ends. Returns the exit code.
BITLAW_EXPORT int ServeTrials(const PluginHost& host, const ProcessState& state, const WorkerOptions& options);

}  // namespace bitlaw
