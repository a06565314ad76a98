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
  OutputLock first(folder_), second(folder_);
  const auto give_up = [](const std::string&) { return false; };
  ASSERT_TRUE(first.Take(give_up));
  std::vector<std::string> lines;
  EXPECT_FALSE(second.Take([&](const std::string& line) {
    lines.push_back(line);
    return lines.size() < 3;
  }));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], testing::MatchesRegex("waits for another run that begins or ends in " + folder_.string() +
                                              ": process " + std::to_string(::getpid()) + " on .* since .*Z\\."));
  EXPECT_EQ(lines[1], "");
  first.Release();
  EXPECT_TRUE(second.Take(give_up));
}

TEST_F(OutputLockTest, IsFreeAgainOnceDropped) {
  const auto give_up = [](const std::string&) { return false; };
  { EXPECT_TRUE(OutputLock(folder_).Take(give_up)); }
  EXPECT_TRUE(OutputLock(folder_).Take(give_up));
}

TEST_F(OutputLockTest, TakesOverTheLockOfADeadProcess) {
  const auto give_up = [](const std::string&) { return false; };
  const pid_t child = ::fork();
  if (child == 0) {
    OutputLock lock(folder_);
    lock.Take(give_up);
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(fs::exists(folder_ / "lock"));
  EXPECT_TRUE(OutputLock(folder_).Take(give_up));
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
