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

// Of control groups of version 2; their line in this file begins with "0::".
std::string GroupFolder() {
  std::ifstream stream("/proc/self/cgroup");
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3);
  }
  return "";
}

}  // namespace

MemoryKills CountMemoryKills() {
  MemoryKills kills;
  kills.of_machine = NumberIn("/proc/vmstat", "oom_kill");
  if (const std::string group = GroupFolder(); !group.empty()) {
    kills.of_group = NumberIn(group + "/memory.events", "oom_kill");
  }
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
