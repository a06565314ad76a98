#include "records/record_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "records/digest_cache.h"
#include "sample_record.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using RecordStoreTest = TemporaryFolder;
using DurableFileTest = TemporaryFolder;
using DigestCacheTest = TemporaryFolder;

TEST_F(DurableFileTest, ReplacesWhatWasThereAndLeavesNothingElse) {
  // A folder that was deleted does not come back.
  try {
    WriteDurably(folder_ / "gone/x/y", "z", folder_ / "gone");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), (folder_ / "gone").string() + ": the folder is not there any more.");
  }
  EXPECT_FALSE(fs::exists(folder_ / "gone"));
  WriteDurably(folder_ / "a" / "b", "old");
  WriteDurably(folder_ / "a" / "b", "new");
  EXPECT_EQ(ReadWholeFile(folder_ / "a" / "b"), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "a"), fs::directory_iterator()), 1);
}

TEST_F(DurableFileTest, SaysWhichFolderCannotBeMade) {
  WriteDurably(folder_ / "a", "a file, not a folder");
  try {
    WriteDurably(folder_ / "a" / "b", "x");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr((folder_ / "a").string() + ": the folder cannot be made: "));
  }
}

TEST_F(DurableFileTest, IsThereOnceAllOfItIs) {
  {
    DurableFile file(folder_ / "a");
    file.Write("never ");
    file.Write("there");
  }
  EXPECT_TRUE(fs::is_empty(folder_));
  DurableFile file(folder_ / "a");
  file.Write("one, ");
  file.Write("two");
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  file.Commit();
  EXPECT_EQ(ReadWholeFile(folder_ / "a"), "one, two");
}

TEST_F(DurableFileTest, LeavesWhatIsThereWhereItShallBeNew) {
  EXPECT_TRUE(WriteNewDurably(folder_ / "a" / "b", "first"));
  EXPECT_FALSE(WriteNewDurably(folder_ / "a" / "b", "second"));
  EXPECT_EQ(ReadWholeFile(folder_ / "a" / "b"), "first");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "a"), fs::directory_iterator()), 1);
  // A look would not find what a link to nothing names; the system refuses the name.
  fs::create_symlink(folder_ / "nothing", folder_ / "a" / "c");
  EXPECT_FALSE(WriteNewDurably(folder_ / "a" / "c", "third"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "a" / "c"));
}

TEST_F(DurableFileTest, TemporariesAreNamedAfterTheirWriter) {
  NameTemporaries("node7-4711-0123abcd");
  const DurableFile file(folder_ / "a");
  NameTemporaries("");
  EXPECT_THAT(fs::directory_iterator(folder_)->path().filename().string(),
              testing::MatchesRegex("a\\.node7-4711-0123abcd\\.[0-9]+\\.[0-9]+\\.tmp"));
}

TEST_F(DurableFileTest, MayWaitInAFileWithoutAName) {
  WaitingBytes waiting(folder_ / "made");
  EXPECT_EQ(waiting.Append("12345"), 0u);
  EXPECT_EQ(waiting.Append("678"), 5u);
  EXPECT_EQ(waiting.Read(5, 3), "678");
  EXPECT_EQ(waiting.Read(1, 5), "23456");
  EXPECT_TRUE(fs::is_empty(folder_ / "made"));
  EXPECT_THROW(waiting.Read(6, 3), InternalError);
}

TEST_F(RecordStoreTest, FindsWhatItWrote) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  EXPECT_EQ(store.RecordPath(digest), folder_ / "records" / digest.substr(0, 2) / (digest + ".json"));
  std::vector<std::string> faults;
  const auto found = store.FindTask(digest, faults);
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(faults, IsEmpty());
  EXPECT_EQ(found->items.rows, 2);
  EXPECT_EQ(store.Items(*found)[0].id, "Mercury, 1");
}

TEST_F(RecordStoreTest, ReadsItemsUnderTheNameThatOlderOnesHave) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  const fs::path path = store.ItemsPath(record);
  EXPECT_EQ(path.filename(), digest + "." + record.items.digest.substr(0, 16) + ".items.csv");
  fs::rename(path, path.parent_path() / (digest + ".items.csv"));
  std::vector<std::string> faults;
  EXPECT_TRUE(store.FindTask(digest, faults).has_value());
  EXPECT_EQ(store.Items(record)[0].id, "Mercury, 1");
}

// Two machines whose scores differ in their last bits: the items are those of the record that stays.
TEST_F(RecordStoreTest, TheFirstOfTwoWritersStaysWithItsItems) {
  const RecordStore store(folder_);
  TaskRecord first = SampleRecord(), second = SampleRecord();
  std::vector<ItemScore> other = SampleItems();
  other[0].chance += 1e-9;
  bool is_new = false;
  const std::string digest = store.Write(first, SampleItems(), &is_new);
  EXPECT_TRUE(is_new);
  const std::string text = ReadWholeFile(store.RecordPath(digest));
  EXPECT_EQ(store.Write(second, other, &is_new), digest);
  EXPECT_FALSE(is_new);
  EXPECT_NE(second.items.digest, first.items.digest);
  EXPECT_EQ(ReadWholeFile(store.RecordPath(digest)), text);
  EXPECT_EQ(store.Items(first).size(), 2u);
  EXPECT_EQ(std::distance(fs::directory_iterator(store.RecordPath(digest).parent_path()), fs::directory_iterator()), 2);
}

TEST_F(RecordStoreTest, ARecordThatIsNotWholeMakesRoomForTheNextWriter) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  const std::string text = ReadWholeFile(store.RecordPath(digest));
  fs::resize_file(store.RecordPath(digest), 100);
  bool is_new = false;
  store.Write(record, SampleItems(), &is_new);
  EXPECT_TRUE(is_new);
  EXPECT_EQ(ReadWholeFile(store.RecordPath(digest)), text);
  EXPECT_EQ(store.Items(record).size(), 2u);
  EXPECT_TRUE(fs::exists(folder_ / "quarantine" / (digest + ".json")));
}

TEST_F(RecordStoreTest, HasNoFaultsWhereThereIsNoRecord) {
  std::vector<std::string> faults;
  EXPECT_FALSE(RecordStore(folder_).FindTask(std::string(64, '0'), faults).has_value());
  EXPECT_THAT(faults, IsEmpty());
}

TEST_F(RecordStoreTest, TakesACutOffRecordForNoneAndNamesIt) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  fs::resize_file(store.RecordPath(digest), 100);
  std::vector<std::string> faults;
  EXPECT_FALSE(store.FindTask(digest, faults).has_value());
  EXPECT_THAT(faults, ElementsAre(HasSubstr(store.RecordPath(digest).string())));
}

TEST_F(RecordStoreTest, TakesARecordWithoutItsItemsForNone) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  fs::remove(store.ItemsPath(record));
  std::vector<std::string> faults;
  EXPECT_FALSE(store.FindTask(digest, faults).has_value());
  EXPECT_THAT(faults, ElementsAre(store.ItemsPath(record).string() + ": the items of a record are missing."));
}

TEST_F(RecordStoreTest, RefusesItemsThatWereChanged) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  std::string text = ReadWholeFile(store.ItemsPath(record));
  text[text.size() - 2] = '9';
  WriteDurably(store.ItemsPath(record), text);
  try {
    store.Items(record);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), store.ItemsPath(record).string() +
                                             ": the items are not those of their record: the file was changed.");
  }
}

TEST_F(RecordStoreTest, TakesARecordWithEditedItemsOfTheSameSizeForNone) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  std::string text = ReadWholeFile(store.ItemsPath(record));
  text[text.find("1,2.5")] = '0';
  WriteDurably(store.ItemsPath(record), text);
  std::vector<std::string> faults;
  EXPECT_FALSE(store.FindTask(digest, faults).has_value());
  EXPECT_THAT(faults, ElementsAre(store.ItemsPath(record).string() +
                                  ": the items are not those of their record: the file was changed."));
}

TEST_F(RecordStoreTest, DoesNotBringBackAFolderThatWasDeleted) {
  const RecordStore store(folder_ / "out");
  TaskRecord record = SampleRecord();
  fs::create_directories(folder_ / "out");
  const std::string digest = store.Write(record, SampleItems());
  fs::remove_all(folder_ / "out");
  const std::string gone = (folder_ / "out").string() +
                           ": the output folder is gone: it was deleted or moved while it was in use.";
  const auto error_of = [](auto&& write) -> std::string {
    try {
      write();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of([&] { store.Write(record, SampleItems()); }), gone);
  EXPECT_EQ(error_of([&] { store.WriteTimings(digest, Value()); }), gone);
  EXPECT_EQ(error_of([&] { store.WriteFailure({}); }), gone);
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(RecordStoreTest, CountsRecordsOfAnotherFormat) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  store.Write(record, SampleItems());
  EXPECT_EQ(store.CountOtherFormats(), 0u);
  WriteDurably(store.RecordPath(std::string(64, '0')), "{\n  \"format\": 2,\n  \"kind\": \"task\"\n}\n");
  EXPECT_EQ(store.CountOtherFormats(), 1u);
}

TEST_F(RecordStoreTest, MovesACorruptRecordToQuarantine) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  store.Quarantine(digest);
  EXPECT_FALSE(fs::exists(store.RecordPath(digest)));
  EXPECT_TRUE(fs::exists(folder_ / "quarantine" / (digest + ".json")));
  EXPECT_FALSE(fs::exists(store.ItemsPath(record)));
  EXPECT_TRUE(fs::exists(folder_ / "quarantine" / store.ItemsPath(record).filename()));
}

TEST_F(RecordStoreTest, RemovesOnlyHalfWrittenFiles) {
  const RecordStore store(folder_);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  fs::path half = store.RecordPath(digest);
  half += ".17.0.tmp";
  std::ofstream(half) << "{";
  fs::path live = store.RecordPath(digest);
  live += ".node7-4711-0123abcd.18.0.tmp";
  std::ofstream(live) << "{";
  store.RemoveTemporaries({"node7-4711-0123abcd"});
  EXPECT_FALSE(fs::exists(half));
  EXPECT_TRUE(fs::exists(live));
  store.RemoveTemporaries();
  EXPECT_FALSE(fs::exists(live));
  EXPECT_TRUE(fs::exists(store.RecordPath(digest)));
}

TEST_F(RecordStoreTest, ForgetsAFailureOnceTheTrialIsDone) {
  const RecordStore store(folder_);
  store.WriteFailure({"0123456789ab", "tiny rtn", "quantize", "numerical", "no", "", "2026-01-01T00:00:00Z"});
  EXPECT_THAT(ReadWholeFile(store.FailurePath("0123456789ab")), HasSubstr("\"kind\": \"numerical\""));
  store.ForgetFailure("0123456789ab");
  EXPECT_FALSE(fs::exists(store.FailurePath("0123456789ab")));
}

TEST_F(RecordStoreTest, KeepsTheReasonOfEachAttempt) {
  const RecordStore store(folder_);
  EXPECT_FALSE(store.Failure("0123456789ab").has_value());
  for (int64_t attempt = 1; attempt <= 30; ++attempt) {
    store.WriteFailure({"0123456789ab", "tiny", "quantize", "signal", "reason " + std::to_string(attempt), "", "", "a worker",
                        attempt});
  }
  const auto last = store.Failure("0123456789ab");
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->reason, "reason 30");
  EXPECT_EQ(last->attempt, 30);
  EXPECT_EQ(last->worker, "a worker");
  const Value json = ParseJson(ReadWholeFile(store.FailurePath("0123456789ab")), "failure");
  const Value::List& earlier = json.Find("earlier")->AsList();
  ASSERT_EQ(earlier.size(), 20u);
  EXPECT_EQ(earlier.front().Find("reason")->AsString(), "reason 10");
  EXPECT_EQ(earlier.back().Find("reason")->AsString(), "reason 29");
  EXPECT_EQ(earlier.back().Find("earlier"), nullptr);
}

TEST_F(DigestCacheTest, KeepsWhatAnotherProcessFoundMeanwhile) {
  const std::string a(64, 'a'), b(64, 'b');
  DigestCache first(folder_ / "digests.json"), second(folder_ / "digests.json");
  first.SetEntry("x", a);
  first.Save();
  second.SetEntry("y", b);
  second.Save();
  const DigestCache read(folder_ / "digests.json");
  EXPECT_EQ(read.CachedEntry("x"), a);
  EXPECT_EQ(read.CachedEntry("y"), b);
}

TEST_F(DigestCacheTest, KnowsAFileUntilItChanges) {
  const fs::path weights = folder_ / "w", file = folder_ / "digests.json";
  WriteDurably(weights, "one");
  std::string digest;
  {
    DigestCache cache(file);
    EXPECT_FALSE(cache.CachedFiles({weights}).has_value());
    digest = cache.Files({weights});
    cache.Save();
  }
  EXPECT_EQ(DigestCache(file).CachedFiles({weights}), digest);
  WriteDurably(weights, "three");
  EXPECT_FALSE(DigestCache(file).CachedFiles({weights}).has_value());
  EXPECT_NE(DigestCache(file).Files({weights}), digest);
}

TEST_F(DigestCacheTest, IsWrittenAgainWhereItWasDeleted) {
  const fs::path file = folder_ / "digests.json";
  DigestCache cache(file);
  cache.Save();
  EXPECT_FALSE(fs::exists(file));  // It has nothing to say.
  cache.SetEntry("x", std::string(64, 'f'));
  cache.Save();
  fs::remove(file);
  cache.Save();
  EXPECT_EQ(DigestCache(file).CachedEntry("x"), std::string(64, 'f'));
}

TEST_F(DigestCacheTest, DependsOnBytesNotOnNames) {
  WriteDurably(folder_ / "a", "same");
  WriteDurably(folder_ / "b", "same");
  DigestCache cache(folder_ / "digests.json");
  EXPECT_EQ(cache.Files({folder_ / "a"}), cache.Files({folder_ / "b"}));
}

TEST_F(DigestCacheTest, BelievesNothingOfAnEditedFile) {
  const fs::path file = folder_ / "digests.json";
  DigestCache cache(file);
  cache.SetEntry("x", std::string(64, 'f'));
  cache.SetEntry("y", std::string(64, 'e'));
  cache.Save();
  EXPECT_EQ(DigestCache(file).fault(), "");
  std::string text = ReadWholeFile(file);
  text[text.find("eeee")] = 'd';
  WriteDurably(file, text);
  DigestCache edited(file);
  EXPECT_FALSE(edited.CachedEntry("x").has_value());
  EXPECT_EQ(edited.fault(), file.string() + ": its content does not give the digest in it: the file was edited, or an "
                                            "older bitlaw wrote it. Its digests are taken anew.");
}

TEST_F(DigestCacheTest, DigestsAgainWhatWasReplacedUnderTheSameSizeAndTime) {
  const fs::path weights = folder_ / "w";
  WriteDurably(weights, "one");
  DigestCache cache(folder_ / "digests.json");
  const std::string digest = cache.Files({weights});
  const auto time = fs::last_write_time(weights);
  WriteDurably(weights, "two");
  fs::last_write_time(weights, time);
  EXPECT_NE(cache.Files({weights}), digest);
}

TEST_F(DigestCacheTest, StartsAnewFromAMalformedFile) {
  const fs::path file = folder_ / "digests.json";
  WriteDurably(file, "{\"files\": {\"/w\": {\"size_bytes\": \"three\"}}, \"entries\": 7}");
  EXPECT_FALSE(DigestCache(file).CachedEntry("x").has_value());
  WriteDurably(file, "{\"files\"");
  DigestCache cache(file);
  cache.SetEntry("x", std::string(64, 'f'));
  cache.Save();
  EXPECT_EQ(DigestCache(file).CachedEntry("x"), std::string(64, 'f'));
}

}  // namespace
}  // namespace bitlaw
