#include "bitlaw/base/regular_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr char kNotRegular[] =
    ", where a regular file is needed: its size is checked before it is read. Write the content to a file first.";

class RegularFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("bitlaw_regular_file_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  static std::string Refusal(const fs::path& path, uint64_t max_bytes, ErrorKind kind = ErrorKind::kIo) {
    try {
      ReadRegularFile(path, max_bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind);
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

TEST_F(RegularFileTest, GivesAllBytesUpToTheLimit) {
  const std::string bytes("a\0\r\n\xff", 5);
  const fs::path path = Write("a", bytes);
  EXPECT_EQ(ReadRegularFile(path, 5), bytes);
  EXPECT_EQ(Refusal(path, 4, ErrorKind::kBudget), path.string() + ": has 5 bytes. At most 4 are accepted.");
  EXPECT_EQ(ReadRegularFile(Write("empty", ""), 0), "");
}

TEST_F(RegularFileTest, ReadsFilesThatHaveNoSizeUntilTheyAreRead) {
  EXPECT_NE(ReadRegularFile("/proc/self/status", 1 << 20).find("Name:"), std::string::npos);
  EXPECT_EQ(Refusal("/proc/self/status", 10, ErrorKind::kBudget),
            "/proc/self/status: has more than 10 bytes, which is the limit.");
}

TEST_F(RegularFileTest, NamesWhatIsNoRegularFile) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(Refusal(fifo, 100), fifo.string() + ": is a FIFO" + kNotRegular);
  EXPECT_EQ(Refusal("/dev/zero", 100), std::string("/dev/zero: is a device") + kNotRegular);
  EXPECT_EQ(Refusal(folder_, 100), folder_.string() + ": is a folder, where a file is needed.");
  const fs::path absent = folder_ / "absent";
  EXPECT_EQ(Refusal(absent, 100), absent.string() + ": cannot be read: No such file or directory.");
  fs::create_symlink("/dev/zero", folder_ / "link");
  EXPECT_EQ(Refusal(folder_ / "link", 100), (folder_ / "link").string() + ": is a device" + kNotRegular);
}

TEST_F(RegularFileTest, NamesGitLfsPointers) {
  const std::string oid(64, 'a');
  const fs::path pointer = Write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:" + oid +
                                                          "\nsize 269060552\n");
  EXPECT_EQ(Refusal(pointer, 1 << 20),
            pointer.string() + ": is a Git LFS pointer of 134 bytes that stands for a file of 269060552 bytes. Fetch "
                               "the file itself: 'git lfs pull' in the repository, or download it again.");
  EXPECT_THROW(DigestOfFile(pointer), Error);
  // With carriage returns, of the name it had before, and with an extension line.
  for (const char* text : {"version https://git-lfs.github.com/spec/v1\r\noid sha256:00\r\nsize 7\r\n",
                           "version https://hawser.github.com/spec/v1\noid sha256:00\nsize 7\n",
                           "version https://git-lfs.github.com/spec/v1\next-0-x sha256:1\noid sha256:00\nsize 7\n"}) {
    EXPECT_NE(Refusal(Write("p", text), 1 << 20).find(" that stands for a file of 7 bytes. "), std::string::npos);
  }
  const std::string about = "version https://git-lfs.github.com/spec/v1 is how a pointer begins.\n";
  EXPECT_EQ(ReadRegularFile(Write("about.txt", about), 1 << 20), about);
}

}  // namespace
}  // namespace bitlaw
