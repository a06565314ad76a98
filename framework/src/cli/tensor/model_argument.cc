#include "cli/tensor/model_argument.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <string>

#include "bitlaw/base/error.h"
#include "cli/common/claiming_backends.h"
#include "plan/model_headers.h"

namespace bitlaw {

std::string BackendFor(const PluginHost& host, const std::filesystem::path& path, const std::string& backend) {
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::kIo, path.string() + ": there is no such file or folder. Name a checkpoint.");
  }
  if (!backend.empty()) return host.Find(ComponentKind::kModel, backend, "--backend").info.name;
  const std::vector<std::string> claims = ClaimingBackends(host, path);
  if (claims.size() == 1) return claims.front();
  throw Error(ErrorKind::kSpec,
              claims.empty()
                  ? fmt::format("{}: no model backend knows this format. Backends: {}. Name a checkpoint, or "
                                "the backend with --backend.",
                                path.string(), JoinNames(host.Names(ComponentKind::kModel)))
                  : fmt::format("{}: several model backends claim it: {}. Name one with --backend.", path.string(),
                                JoinNames(claims)));
}

OpenedModel OpenModelArgument(const PluginHost& host, const std::filesystem::path& path, const std::string& backend,
                              const ComputeSetting& compute) {
  OpenedModel opened;
  opened.backend = BackendFor(host, path, backend);
  const Options defaults =
      host.Find(ComponentKind::kModel, opened.backend).schema.Resolve(Value(), "model '" + opened.backend + "'");
  opened.component = host.MakeModelBackend(opened.backend, defaults);
  RequireSupported(*opened.component, path);
  for (const std::filesystem::path& file : opened.component->Files(path))
    opened.files.emplace_back(file, StampOf(file));
  const auto begin = std::chrono::steady_clock::now();
  opened.model = opened.component->Open(path, compute);
  opened.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return opened;
}

void OpenedModel::CheckUnchanged() const {
  for (const auto& [file, stamp] : files) {
    if (StampOf(file) == stamp) continue;
    throw Error(ErrorKind::kIo, file.string() + ": the file was written to or replaced while the model was in use. Its "
                                                "numbers are not given; run again.");
  }
}

int64_t PeakMemoryBytes() {
  // Not getrusage(): its peak survives exec(), and is then that of the program which started this one.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace bitlaw
