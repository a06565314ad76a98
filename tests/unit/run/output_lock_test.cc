#include "run/machine/output_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

class OutputLockTest : public testing::Test {
 protected:
  OutputLockTest() {
    std::string pattern = (fs::temp_directory_path() / "bitlaw-lock-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~OutputLockTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(OutputLockTest, KeepsASecondRunOutAndNamesTheFirst) {
  const OutputLock first(folder_);
  try {
    const OutputLock second(folder_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_THAT(error.what(), testing::MatchesRegex(folder_.string() +
                                                    ": another run uses this output folder: process " +
                                                    std::to_string(::getpid()) +
                                                    " on .* since .*Z. Wait for it, stop it, or give this one another "
                                                    "--output."));
  }
}

TEST_F(OutputLockTest, IsFreeAgainOnceDropped) {
  { const OutputLock first(folder_); }
  EXPECT_NO_THROW(const OutputLock second(folder_));
}

TEST_F(OutputLockTest, TakesOverTheLockOfADeadProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    const OutputLock lock(folder_);
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(fs::exists(folder_ / "lock"));
  EXPECT_NO_THROW(const OutputLock lock(folder_));
}

TEST_F(OutputLockTest, MakesTheFolder) {
  const OutputLock lock(folder_ / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "b"));
}

TEST_F(OutputLockTest, KnowsThatItsFolderWasDeletedOrReplaced) {
  const fs::path output = folder_ / "out";
  const OutputLock lock(output);
  EXPECT_NO_THROW(lock.CheckHeld());
  const auto expect_lost = [&] {
    try {
      lock.CheckHeld();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kIo);
      EXPECT_EQ(std::string(error.what()),
                output.string() + ": the output folder was deleted, moved or replaced while the study ran. What was "
                                  "recorded in it went with it. Run again, and leave the folder alone.");
    }
  };
  fs::rename(output, folder_ / "moved");
  expect_lost();
  const OutputLock other(output);
  expect_lost();
}

}  // namespace
}  // namespace bitlaw
