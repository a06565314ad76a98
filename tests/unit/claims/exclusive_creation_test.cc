// A claim is a file that is created exclusively: the system decides, not a look before it.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "bitlaw/base/error.h"
#include "run/claims/shared_files.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

using ExclusiveCreation = TemporaryFolder;

// A link to nothing: who asks whether the name is there is told no, and POSIX has open() with O_CREAT and O_EXCL refuse it.
TEST_F(ExclusiveCreation, IsRefusedByTheSystemWhereALookWouldFindNothing) {
  fs::create_symlink(folder_ / "nothing", folder_ / "claim");
  FolderFiles files(folder_);
  ASSERT_FALSE(files.Exists("claim"));
  EXPECT_FALSE(files.Create("claim", "mine"));
  EXPECT_FALSE(fs::exists(folder_ / "nothing"));
}

// Four processes create each name at one moment; the memory that they share tells it, and counts who was told true.
TEST_F(ExclusiveCreation, IsTrueForOneOfAllWhoCreateANameAtOnce) {
  constexpr int kProcesses = 4;
  constexpr size_t kNames = 300;
  struct Shared {
    std::array<std::atomic<int>, kNames> arrived{}, winners{};
  };
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const shared = new (memory) Shared;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      FolderFiles files(folder_);
      for (size_t name = 0; name < kNames; ++name) {
        ++shared->arrived[name];
        while (shared->arrived[name] < kProcesses) ::sched_yield();
        if (files.Create(std::to_string(name), "")) ++shared->winners[name];
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  for (size_t name = 0; name < kNames; ++name) EXPECT_EQ(shared->winners[name], 1) << name;
  ::munmap(memory, sizeof(Shared));
}

// Somebody moves the folder away while files, each in a new folder of its own, are made in it.
TEST_F(ExclusiveCreation, DoesNotBringBackAFolderThatIsTakenAwayAtThisMoment) {
  const fs::path output = folder_ / "out", gone = folder_ / "gone";
  std::atomic<bool> ends{false};
  std::thread writer([&] {
    FolderFiles files(output);
    for (int i = 0; !ends; ++i) {
      try {
        files.Create("folder-" + std::to_string(i) + "/file", "");
      } catch (const Error&) {  // It is gone, as it should be.
      }
    }
  });
  int returned = 0;
  std::error_code ignored;  // A file that was about to be made may land in the folder under its other name.
  const auto take_away = [&] {
    fs::rename(output, gone, ignored);
    while (fs::exists(gone, ignored)) fs::remove_all(gone, ignored);
  };
  for (int round = 0; round < 400; ++round) {
    fs::create_directory(output, ignored);
    ::usleep(100);
    take_away();
    ::usleep(100);
    const bool is_back = fs::exists(output, ignored);
    returned += is_back;
    if (is_back) take_away();
  }
  ends = true;
  writer.join();
  EXPECT_EQ(returned, 0);
}

}  // namespace
}  // namespace bitlaw
