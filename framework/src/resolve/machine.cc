#include "resolve/machine.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "bitlaw/base/error.h"
#include "cost/trial_cost.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// The folder itself, or the deepest one above it that is there.
fs::path Existing(fs::path folder) {
  std::error_code status;
  while (!fs::exists(folder, status) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

std::string Gigabytes(double bytes) {
  return bytes < 1e8 ? fmt::format("{:.3g} MB", bytes / 1e6) : fmt::format("{:.3g} GB", bytes / 1e9);
}

void CheckDevices(const StudySpec& study, const Machine& machine, Faults& faults) {
  const std::vector<std::string>& devices = machine.devices;
  if (devices.empty()) return;
  for (const DeviceSpec& device : study.devices) {
    const bool is_there = std::any_of(devices.begin(), devices.end(), [&](const std::string& one) {
      return one == device.name || (device.name == "cuda" && one.starts_with("cuda:"));
    });
    if (is_there) continue;
    faults.Add(
        device.mark,
        fmt::format("the device '{}' is not on this machine. Devices here: {}.{} Name one of them, or "
                    "run the study where it is.",
                    device.name, JoinNames(devices), machine.why_no_card.empty() ? "" : " " + machine.why_no_card));
  }
}

// Tries it, since permissions alone do not tell: root, read-only file systems, quotas.
bool CheckWritable(const fs::path& output, Faults& faults) {
  const fs::path folder = Existing(output);
  std::string problem;
  std::error_code status;
  if (!fs::is_directory(folder, status)) {
    problem = folder.string() + " is not a folder";
  } else {
    std::string name = (folder / ".bitlaw-check-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      problem = fmt::format("{}: {}", folder.string(), std::strerror(errno));
    } else {
      ::rmdir(name.c_str());
    }
  }
  if (problem.empty()) return true;
  faults.AddError(Error(ErrorKind::kIo, fmt::format("the output folder {} cannot be written: {}. Make it writable, or "
                                                    "name another 'output'.",
                                                    output.string(), problem)));
  return false;
}

void CheckRoom(const Plan& plan, const Machine& machine, int workers, Faults& faults) {
  std::vector<std::pair<double, const Trial*>> sizes;  // Of the codes that a trial keeps until its tasks are scored.
  for (const Trial& trial : plan.trials) {
    if (trial.quantizer == "none") continue;
    sizes.emplace_back(CodesBytes(plan, trial), &trial);
  }
  if (sizes.empty()) return;
  const auto largest = std::max_element(sizes.begin(), sizes.end(),
                                        [](const auto& a, const auto& b) { return a.first < b.first; });
  const double at_once = static_cast<double>(std::min<size_t>(sizes.size(), static_cast<size_t>(std::max(1, workers))));
  const double needed = at_once * largest->first;
  const auto free = static_cast<double>(machine.free_bytes(Existing(plan.study.output)));
  if (needed <= free) return;
  faults.AddError(Error(ErrorKind::kBudget,
                        fmt::format("the output folder {} has {} free, and the quantized weights of {} at a time take "
                                    "up to {} ({}). Make room, or name another 'output'.",
                                    plan.study.output.string(), Gigabytes(free),
                                    at_once > 1 ? fmt::format("{:.0f} trials", at_once) : "one trial",
                                    Gigabytes(needed), largest->second->label)));
}

}  // namespace

uintmax_t FreeBytes(const fs::path& folder) {
  std::error_code unknown;
  const fs::space_info space = fs::space(Existing(folder), unknown);
  return unknown ? UINTMAX_MAX : space.available;
}

int ChosenWorkers(const Plan& plan, int threads) {
  constexpr int64_t kSmallParameters = 20'000'000;
  constexpr int kMostWorkers = 16;
  if (plan.study.devices.size() > 1) return static_cast<int>(plan.study.devices.size());
  const bool all_small = std::all_of(plan.models.begin(), plan.models.end(), [](const PlannedModel& model) {
    return model.summary.parameters_total <= kSmallParameters;
  });
  return all_small && plan.study.compute.device == "cpu" ? std::clamp(threads, 1, kMostWorkers) : 1;
}

void CheckMachine(const Plan& plan, const Machine& machine, int workers, Faults& faults) {
  CheckDevices(plan.study, machine, faults);
  if (CheckWritable(plan.study.output, faults)) CheckRoom(plan, machine, workers, faults);
}

}  // namespace bitlaw
