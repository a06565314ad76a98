#include "cli/tensor/worker_command.h"

#include <csignal>

#include "cli/common/output.h"

namespace bitlaw {
namespace fs = std::filesystem;

int ExitCodeOfStop(const LaunchResult& result) {
  const bool in_vain =
      result.stopped_by == SIGUSR1 && result.given_back > 0 && result.tasks_recorded == 0 && result.trials_here == 0;
  return in_vain ? kExitNothingRecorded : 128 + result.stopped_by;
}

std::vector<std::string> WorkerCommand(const Session& session, const fs::path& output, int threads) {
  std::vector<std::string> command = {fs::read_symlink("/proc/self/exe").string()};
  auto absolute = [](const fs::path& path) { return fs::absolute(path).string(); };
  for (const auto& path : session.plugin_paths) command.insert(command.end(), {"--plugin", absolute(path)});
  command.insert(command.end(), {"worker", "--output", absolute(output), "--threads", std::to_string(threads)});
  return command;
}

}  // namespace bitlaw
