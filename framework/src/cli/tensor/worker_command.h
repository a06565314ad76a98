#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/common/session.h"
#include "run/launcher.h"

namespace bitlaw {

/// Of a launch that a signal ended: 128 and the signal's number, or kExitNothingRecorded where SIGUSR1, which
/// schedulers send before a time limit, came before anything was recorded: to try that again would not help.
int ExitCodeOfStop(const LaunchResult& result);

/// argv of the processes that do a launcher's trials: this program with the session's plugins.
std::vector<std::string> WorkerCommand(const Session& session, const std::filesystem::path& output, int threads);

}  // namespace bitlaw
