#include "base/files/file_watch.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/fixture_study.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using State = FileWatch::State;

// A file with "one" in it, watched.
class FileWatchTest : public testing::Test {
 protected:
  FileWatchTest() : file_(folder_.Write("w", "one")), watch_({Watch(file_)}) {}
  State Check() { return watch_.Check(why_); }

  ScratchFolder folder_;
  fs::path file_;
  FileWatch watch_;
  std::string why_;
};

TEST_F(FileWatchTest, FindsAnUntouchedFileTheSame) { EXPECT_EQ(Check(), State::kSame); }

TEST_F(FileWatchTest, SeesAnotherFileOfTheSameSizeAndTimeUnderTheName) {
  const auto time = fs::last_write_time(file_);
  const fs::path other = folder_.Write("other", "two");
  fs::last_write_time(other, time);
  fs::rename(other, file_);
  EXPECT_EQ(Check(), State::kOther);
  EXPECT_THAT(why_, testing::MatchesRegex(file_.string() + ": the file's SHA-256 was 7692c3ad3540, and is 3fc4ccfe7458."));
}

TEST_F(FileWatchTest, SeesBytesThatWereWrittenInPlaceUnderTheSameTime) {
  const auto time = fs::last_write_time(file_);
  folder_.Write("w", "two");
  fs::last_write_time(file_, time);
  EXPECT_EQ(Check(), State::kOther);
}

TEST_F(FileWatchTest, SaysWhenAFileWasOnlyTouched) {
  fs::last_write_time(file_, fs::last_write_time(file_) + std::chrono::hours(1));
  EXPECT_EQ(Check(), State::kTouched);
  EXPECT_EQ(Check(), State::kSame);
}

TEST_F(FileWatchTest, SaysWhenAFileWasReplacedByItsCopy) {
  fs::rename(folder_.Write("copy", "one"), file_);
  EXPECT_EQ(Check(), State::kTouched);
}

TEST_F(FileWatchTest, TakesAChangeOfModeForNoChange) {
  ::chmod(file_.c_str(), 0400);
  EXPECT_EQ(Check(), State::kSame);
}

TEST_F(FileWatchTest, SeesThatAFileIsGone) {
  fs::remove(file_);
  EXPECT_EQ(Check(), State::kOther);
  EXPECT_THAT(why_, testing::HasSubstr(file_.string()));
}

}  // namespace
}  // namespace bitlaw
