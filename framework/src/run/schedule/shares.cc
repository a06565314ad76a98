#include "run/schedule/shares.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/counted.h"

namespace bitlaw {

int ThreadsOfWorker(int threads, int workers) { return std::max(1, threads / std::max(1, workers)); }

const std::string& DeviceOfWorker(const std::vector<std::string>& devices, size_t number) {
  return devices[number % devices.size()];
}

std::string ExplainOversubscription(int workers, int threads_of_worker, int cores) {
  if (workers * threads_of_worker <= cores) return "";
  std::string less;
  if (workers > cores) less = fmt::format("--workers {} or fewer", cores);
  if (threads_of_worker > 1) less += fmt::format("{}--threads {}", less.empty() ? "" : ", or ", cores);
  return fmt::format("{} with {} each on {}: they wait for each other, and each trial takes longer. Give {}.",
                     Counted(workers, "worker"), Counted(threads_of_worker, "thread"), Counted(cores, "core"), less);
}

}  // namespace bitlaw
