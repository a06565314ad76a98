// What of a record is on the disk when it is said to be written. This program's fsync() counts and passes on.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <functional>

#include "base/files/durable_file.h"
#include "records/record_store.h"
#include "sample_record.h"
#include "support/temporary_folder.h"

namespace {
int syncs = 0;
}  // namespace

extern "C" __attribute__((visibility("default"))) int fsync(int descriptor) {
  ++syncs;
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

namespace bitlaw {
namespace {

using SyncsTest = TemporaryFolder;

int SyncsOf(const std::function<void()>& write) {
  syncs = 0;
  write();
  return syncs;
}

TEST_F(SyncsTest, AreOfTheFileAndOfTheFolderOrOfWhatWasAskedFor) {
  const auto write = [&](const char* name, Synced synced) {
    return SyncsOf([&] { WriteDurably(folder_ / name, "x", folder_, synced); });
  };
  EXPECT_EQ(write("a", Synced::kFileAndFolder), 2);
  EXPECT_EQ(write("b", Synced::kFile), 1);
  EXPECT_EQ(write("c", Synced::kNothing), 0);
  // A folder that was made is in one that is synced.
  EXPECT_EQ(write("new/a", Synced::kFileAndFolder), 3);
  EXPECT_EQ(write("newer/a", Synced::kFile), 2);
  EXPECT_EQ(write("newest/a", Synced::kNothing), 0);
  EXPECT_EQ(ReadWholeFile(folder_ / "newest/a"), "x");
}

// Of each trial's time on a disk this is the largest part that is not work on the model: some milliseconds each.
TEST_F(SyncsTest, OfARecordWithItemsAreThreeAndTimingsHaveNone) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::vector<ItemScore> items = SampleItems();
  EXPECT_EQ(SyncsOf([&] { store.Write(record, items); }), 5) << "with the folders records and records/<2 hex>";
  store.Quarantine(RecordDigest(record.key));
  EXPECT_EQ(SyncsOf([&] { store.Write(record, items); }), 3);
  EXPECT_EQ(SyncsOf([&] { store.WriteTimings(RecordDigest(record.key), Value()); }), 0);
}

}  // namespace
}  // namespace bitlaw
