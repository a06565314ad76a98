#include "base/resource_limits.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bitlaw {
namespace {

// The exit code of a child that runs `act`: limits that are lowered there stay there.
template <class Act>
int ExitCodeOf(Act&& act) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(act());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// From now on the process may lower hard limits, not raise them.
void DropPrivilege() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  ::syscall(SYS_capget, &header, sets);
  sets[0].effective &= ~(1u << CAP_SYS_RESOURCE);
  sets[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
  ::syscall(SYS_capset, &header, sets);
}

rlimit OpenFiles() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

TEST(ResourceLimits, RaisesWhatWasLoweredAndLeavesWhatWasRaised) {
  EXPECT_EQ(ExitCodeOf([] {
              const rlimit files = {20, OpenFiles().rlim_max}, core = {0, RLIM_INFINITY};
              ::setrlimit(RLIMIT_NOFILE, &files);
              ::setrlimit(RLIMIT_CORE, &core);
              const ResourceLimits limits;
              const rlimit few = {3, files.rlim_max}, some = {4096, RLIM_INFINITY};
              ::setrlimit(RLIMIT_NOFILE, &few);
              ::setrlimit(RLIMIT_CORE, &some);
              if (!limits.Restore()) return 1;
              rlimit raised{};
              ::getrlimit(RLIMIT_CORE, &raised);
              if (OpenFiles().rlim_cur != 20 || OpenFiles().rlim_max != files.rlim_max) return 2;
              return raised.rlim_cur == 4096 ? 0 : 3;
            }),
            0);
}

TEST(ResourceLimits, TellsThatAHardLimitStaysLowered) {
  EXPECT_EQ(ExitCodeOf([] {
              DropPrivilege();
              const rlimit files = {20, 30}, few = {3, 10};
              ::setrlimit(RLIMIT_NOFILE, &files);
              const ResourceLimits limits;
              ::setrlimit(RLIMIT_NOFILE, &few);
              if (limits.Restore()) return 1;
              return OpenFiles().rlim_cur == 10 && OpenFiles().rlim_max == 10 ? 0 : 2;  // As far as it goes.
            }),
            0);
}

}  // namespace
}  // namespace bitlaw
