#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/common/session.h"

namespace bitlaw {

/// argv of the processes that do a launcher's trials: this program with the session's plugins.
std::vector<std::string> WorkerCommand(const Session& session, const std::filesystem::path& output, int threads);

}  // namespace bitlaw
