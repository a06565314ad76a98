#include "cli/tensor/worker_command.h"

namespace bitlaw {
namespace fs = std::filesystem;

std::vector<std::string> WorkerCommand(const Session& session, const fs::path& output, int threads) {
  std::vector<std::string> command = {fs::read_symlink("/proc/self/exe").string()};
  auto absolute = [](const fs::path& path) { return fs::absolute(path).string(); };
  for (const auto& path : session.plugin_paths) command.insert(command.end(), {"--plugin", absolute(path)});
  command.insert(command.end(), {"worker", "--output", absolute(output), "--threads", std::to_string(threads)});
  return command;
}

}  // namespace bitlaw
