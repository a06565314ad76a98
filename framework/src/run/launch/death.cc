#include "run/launch/death.h"

#include <fmt/format.h>

#include <csignal>
#include <fstream>

namespace bitlaw {
namespace {

// The number after a word of a file of "word number" lines; -1 if there is none.
int64_t NumberIn(const std::string& file, const std::string& name) {
  std::ifstream stream(file);
  std::string word;
  for (int64_t number = 0; stream >> word >> number;) {
    if (word == name) return number;
  }
  return -1;
}

// Processes that the kernel ended for want of memory in this process's control group: version 2 tells it in memory.events
// of the group, version 1 in memory.oom_control of the memory controller's; -1 where neither is seen.
int64_t KillsOfGroup() {
  std::ifstream stream("/proc/self/cgroup");
  for (std::string line; std::getline(stream, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);  // "4:memory:/jobs/12", "0::/jobs/12"
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    int64_t kills = -1;
    if (controllers.empty()) kills = NumberIn("/sys/fs/cgroup" + group + "/memory.events", "oom_kill");
    if (controllers == "memory") kills = NumberIn("/sys/fs/cgroup/memory" + group + "/memory.oom_control", "oom_kill");
    if (kills >= 0) return kills;
  }
  return -1;
}

}  // namespace

MemoryKills CountMemoryKills() {
  MemoryKills kills;
  kills.of_machine = NumberIn("/proc/vmstat", "oom_kill");
  kills.of_group = KillsOfGroup();
  return kills;
}

Death DeathOf(const std::string& end, int signal, const MemoryKills& before, const MemoryKills& now) {
  Death death{signal == 0 ? "crash" : "signal", fmt::format("the worker process ended: {}.", end)};
  if (signal != SIGKILL) return death;
  if (before.of_group >= 0 && now.of_group > before.of_group) {
    death = {"memory", "the kernel ended the worker process: the memory of its control group (a container's or a batch "
                       "job's) ran out. Ask for more, use fewer workers or a smaller evaluate.batch_tokens."};
  } else if (before.of_machine >= 0 && now.of_machine > before.of_machine) {
    death = {"memory", "the worker process was ended by SIGKILL, and the kernel ended a process for want of memory "
                       "meanwhile: the machine's memory ran out. Use fewer workers or a smaller evaluate.batch_tokens."};
  }
  return death;
}

}  // namespace bitlaw
