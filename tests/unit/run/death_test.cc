#include "run/launch/death.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace bitlaw {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(Death, OfASignalIsToldFromOneForWantOfMemory) {
  const MemoryKills none{3, 1};
  Death death = DeathOf("SIGSEGV (it touched memory that is not there)", SIGSEGV, none, {4, 2});
  EXPECT_EQ(death.kind, "signal");
  EXPECT_EQ(death.reason, "the worker process ended: SIGSEGV (it touched memory that is not there).");
  EXPECT_EQ(DeathOf("exit code 3", 0, none, {4, 2}).kind, "crash");
  EXPECT_EQ(DeathOf("SIGKILL", SIGKILL, none, none).kind, "signal");
  death = DeathOf("SIGKILL", SIGKILL, none, {4, 1});
  EXPECT_EQ(death.kind, "memory");
  EXPECT_THAT(death.reason, HasSubstr("the machine's memory ran out"));
  death = DeathOf("SIGKILL", SIGKILL, none, {4, 2});
  EXPECT_EQ(death.kind, "memory");
  EXPECT_THAT(death.reason, StartsWith("the kernel ended the worker process: the memory of its control group"));
  // Where the system does not tell, nothing is said of memory.
  EXPECT_EQ(DeathOf("SIGKILL", SIGKILL, {}, {}).kind, "signal");
}

TEST(Death, CountsAreThoseOfTheSystem) {
  // Linux has counted them since 4.13.
  EXPECT_GE(CountMemoryKills().of_machine, 0);
}

}  // namespace
}  // namespace bitlaw
