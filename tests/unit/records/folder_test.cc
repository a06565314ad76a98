// Whole folders of records: what is damaged, put together, unused, handed on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/files/base64.h"
#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "records/folder/bundle.h"
#include "records/folder/check.h"
#include "records/folder/garbage.h"
#include "records/folder/listing.h"
#include "records/folder/merge.h"
#include "sample_record.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

// A file of codes holds its own digest here: what quantize/quantized_file.h computes is tested there.
std::string CodesDigestInTests(const fs::path& file) { return ReadWholeFile(file); }

QuantizationRecord SampleQuantization() {
  const TaskRecord task = SampleRecord();
  QuantizationRecord record;
  record.key = task.key;
  record.key.Set("kind", "quantization");
  record.trial = task.trial;
  record.model = task.model;
  record.quantization = *task.quantization;
  record.quantization.record = RecordDigest(record.key);
  record.layers = {{"q_proj", 3.25, "", {{"loss", 0.5}}}};
  return record;
}

TaskRecord RecordOf(const std::string& task) {
  TaskRecord record = SampleRecord();
  record.key.Set("task", task);
  record.card.name = task;
  return record;
}

class RecordsFolder : public TemporaryFolder {
 protected:
  // A task record with items and timings, and a quantization with codes.
  void Fill(const RecordStore& store) {
    fs::create_directories(store.output());
    TaskRecord task = SampleRecord();
    task_ = store.Write(task, SampleItems());
    items_ = store.ItemsPath(task);
    store.WriteTimings(task_, Value(Value::Map{{"elapsed_s", 1.5}}));
    quantization_ = store.Write(SampleQuantization());
    WriteDurably(CodesPath(store.output(), quantization_), SampleQuantization().quantization.codes_digest);
  }
  static void Edit(const fs::path& file, const std::string& from, const std::string& to) {
    std::string text = ReadWholeFile(file);
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << file << " " << from;
    WriteDurably(file, text.replace(at, from.size(), to));
  }
  std::map<std::string, std::string> FilesOf(const fs::path& folder) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (entry.is_regular_file())
        files[entry.path().lexically_relative(folder).string()] = ReadWholeFile(entry.path());
    return files;
  }
  template <class Body>
  static std::string ErrorOf(const Body& body) {
    try {
      body();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kIo);
      return error.what();
    }
    return "no error";
  }

  std::string task_, quantization_;
  fs::path items_;
};

using FolderCheckTest = RecordsFolder;
using MergeTest = RecordsFolder;
using UnusedTest = RecordsFolder;
using BundleTest = RecordsFolder;

TEST_F(FolderCheckTest, CountsWhatIsWhole) {
  const RecordStore store(folder_);
  Fill(store);
  WriteDurably(folder_ / "records/00/notes.txt", "mine");
  const FolderCheck check = CheckFolder(store, CodesDigestInTests);
  EXPECT_EQ(check.tasks, 1u);
  EXPECT_EQ(check.quantizations, 1u);
  EXPECT_EQ(check.items, 2u);
  EXPECT_EQ(check.codes, 1u);
  EXPECT_EQ(check.timings, 1u);
  EXPECT_THAT(check.damaged, IsEmpty());
  EXPECT_THAT(check.foreign, ElementsAre(folder_ / "records/00/notes.txt"));
}

TEST_F(FolderCheckTest, NamesAnEditedRecordItemsTimingsAndCodes) {
  const RecordStore store(folder_);
  Fill(store);
  const auto only = [&] {
    const FolderCheck check = CheckFolder(store, CodesDigestInTests);
    EXPECT_THAT(check.damaged, SizeIs(1));
    return check.damaged.empty() ? DamagedFile() : check.damaged.front();
  };
  const std::string record = ReadWholeFile(store.RecordPath(quantization_)), items = ReadWholeFile(items_);
  Edit(store.RecordPath(quantization_), "3.25", "3.26");
  EXPECT_EQ(only().why,
            store.RecordPath(quantization_).string() +
                ": not a whole record: its content does not give its 'content_digest': the file was edited.");
  WriteDurably(store.RecordPath(quantization_), record);
  Edit(items_, "2.5", "2.6");
  EXPECT_EQ(only().why, items_.string() + ": the items are not those of their record: the file was changed.");
  EXPECT_EQ(only().record, task_);
  WriteDurably(items_, items);
  WriteDurably(store.TimingsPath(task_), "{\"elapsed_s\":");
  EXPECT_THAT(only().why, StartsWith(store.TimingsPath(task_).string() + ": "));
  store.WriteTimings(task_, Value(Value::Map{}));
  WriteDurably(CodesPath(folder_, quantization_), std::string(64, '0'));
  EXPECT_EQ(only().why, CodesPath(folder_, quantization_).string() +
                            ": its codes have SHA-256 000000000000, and its record says eeeeeeeeeeee.");
}

TEST_F(FolderCheckTest, TellsARecordOfAnotherFormatFromADamagedOne) {
  const RecordStore store(folder_);
  Fill(store);
  Value old = ParseJson(ReadWholeFile(store.RecordPath(quantization_)), "r"), key = *old.Find("key");
  key.Set("format", 2);
  old.Set("format", 2);
  old.Set("key", key);
  WriteDurably(store.RecordPath(RecordDigest(key)), PrettyJson(old));
  FolderCheck check = CheckFolder(store, nullptr);
  EXPECT_THAT(check.damaged, IsEmpty());
  EXPECT_EQ(check.other_formats, (std::map<int64_t, size_t>{{2, 1}}));
  // The same under another name is none.
  WriteDurably(store.RecordPath(std::string(64, '7')), PrettyJson(old));
  check = CheckFolder(store, nullptr);
  ASSERT_THAT(check.damaged, SizeIs(1));
  EXPECT_THAT(check.damaged[0].why, HasSubstr("the record's format is 2."));
}

TEST_F(FolderCheckTest, QuarantineTakesARecordWithItsItemsAndReplacesNothing) {
  const RecordStore store(folder_);
  Fill(store);
  for (int times = 0; times < 2; ++times) {
    TaskRecord again = SampleRecord();
    store.Write(again, SampleItems());
    Edit(items_, "2.5", "2.6");
    QuarantineDamaged(store, CheckFolder(store, nullptr));
    EXPECT_FALSE(fs::exists(store.RecordPath(task_)));
    EXPECT_FALSE(fs::exists(items_));
  }
  EXPECT_TRUE(fs::exists(folder_ / "quarantine" / (task_ + ".json")));
  EXPECT_TRUE(fs::exists(folder_ / "quarantine" / (task_ + ".json.2")));
  EXPECT_TRUE(fs::exists(folder_ / "quarantine" / (items_.filename().string() + ".2")));
  EXPECT_TRUE(fs::exists(store.RecordPath(quantization_)));
}

TEST_F(FolderCheckTest, RefusesAFolderOfSomethingElse) {
  EXPECT_EQ(ErrorOf([&] { CheckFolder(RecordStore(folder_), nullptr); }),
            folder_.string() + ": it has no folder records/. Name the output folder of a study.");
  EXPECT_EQ(ErrorOf([&] { CheckFolder(RecordStore(folder_ / "none"), nullptr); }),
            (folder_ / "none").string() + ": there is no such folder. Name the output folder of a study.");
}

TEST_F(MergeTest, TakesRecordsWithItemsTimingsAndCodes) {
  const RecordStore from(folder_ / "a"), into(folder_ / "b");
  Fill(from);
  const MergeResult result = MergeFolders({{from.output()}}, into, {.codes = CodesDigestInTests});
  EXPECT_EQ(result.tasks, 1u);
  EXPECT_EQ(result.quantizations, 1u);
  EXPECT_EQ(result.timings, 1u);
  EXPECT_EQ(result.codes, 1u);
  EXPECT_EQ(FilesOf(into.output()), FilesOf(from.output()));
  const MergeResult again = MergeFolders({{from.output()}}, into, {.codes = CodesDigestInTests});
  EXPECT_EQ(again.tasks + again.quantizations + again.timings + again.codes, 0u);
  EXPECT_EQ(again.present, 2u);
}

// Another study, with another label and strata, measured the same.
TEST_F(MergeTest, WhoMadeARecordDoesNotCount) {
  const RecordStore from(folder_ / "a"), into(folder_ / "b");
  Fill(into);
  fs::create_directories(from.output());
  TaskRecord other = SampleRecord();
  other.trial = {"ba9876543210", "another label", {}};
  other.factors.pop_back();
  other.card.stratum = "KR";
  other.counts.emplace_back("overlap_words", 13);
  from.Write(other, SampleItems());
  const std::string before = ReadWholeFile(into.RecordPath(task_));
  EXPECT_EQ(MergeFolders({{from.output()}}, into, {}).present, 1u);
  EXPECT_EQ(ReadWholeFile(into.RecordPath(task_)), before);
}

TEST_F(MergeTest, TwoThatMeasuredSomethingElseAreAnErrorThatNamesBoth) {
  const RecordStore from(folder_ / "a"), into(folder_ / "b");
  Fill(into);
  fs::create_directories(from.output());
  TaskRecord other = SampleRecord(), more = RecordOf("boolq");
  std::vector<ItemScore> items = SampleItems();
  items[0].values[1].value = 2.5000001;
  other.metrics[1].value = 12.6;
  from.Write(other, items);
  const std::string new_one = from.Write(more, SampleItems());
  const auto before = FilesOf(into.output());
  EXPECT_EQ(
      ErrorOf([&] { MergeFolders({{from.output()}}, into, {}); }),
      into.output().string() +
          ": 1 records have the key of another one and say something else. Nothing was merged. Move one of each two "
          "aside, or keep what is there, and else the first that was named: --keep-first.\n  " +
          into.RecordPath(task_).string() + " and " + from.RecordPath(task_).string() +
          " (tiny rtn bits=3, arc_easy): metrics, items differ");
  EXPECT_EQ(FilesOf(into.output()), before);
  const MergeResult kept = MergeFolders({{from.output()}}, into, {.keep_first = true});
  EXPECT_EQ(kept.kept, 1u);
  EXPECT_EQ(kept.tasks, 1u);
  EXPECT_EQ(ReadWholeFile(into.RecordPath(task_)), before.at(into.RecordPath(task_).lexically_relative(into.output())));
  EXPECT_TRUE(fs::exists(into.RecordPath(new_one)));
  // Of two sources, too.
  EXPECT_THAT(ErrorOf([&] { MergeFolders({{from.output()}, {into.output()}}, RecordStore(folder_ / "c"), {}); }),
              AllOf(HasSubstr(from.RecordPath(task_).string() + " and " + into.RecordPath(task_).string()),
                    HasSubstr("metrics, items differ")));
}

TEST_F(MergeTest, ADamagedRecordIsLeftOutOrMakesRoom) {
  const RecordStore from(folder_ / "a"), into(folder_ / "b");
  Fill(from);
  MergeFolders({{from.output()}}, into, {});
  fs::resize_file(into.RecordPath(task_), 100);
  EXPECT_EQ(MergeFolders({{from.output()}}, into, {}).tasks, 1u);
  EXPECT_EQ(ReadWholeFile(into.RecordPath(task_)), ReadWholeFile(from.RecordPath(task_)));
  EXPECT_TRUE(fs::exists(into.output() / "quarantine" / (task_ + ".json")));
  fs::resize_file(from.RecordPath(task_), 100);
  const MergeResult result = MergeFolders({{from.output()}}, RecordStore(folder_ / "c"), {});
  EXPECT_EQ(result.tasks, 0u);
  EXPECT_EQ(result.quantizations, 1u);
  ASSERT_THAT(result.damaged, SizeIs(1));
  EXPECT_THAT(result.damaged[0].why, StartsWith(from.RecordPath(task_).string()));
}

TEST_F(MergeTest, DamagedTimingsAreLeftOut) {
  const RecordStore from(folder_ / "a"), into(folder_ / "b");
  Fill(from);
  WriteDurably(from.TimingsPath(task_), "{9\n  \"elapsed_s\": 1.5\n}\n");
  const MergeResult result = MergeFolders({{from.output()}}, into, {});
  EXPECT_EQ(result.tasks, 1u);
  EXPECT_EQ(result.timings, 0u);
  ASSERT_THAT(result.damaged, SizeIs(1));
  EXPECT_EQ(result.damaged[0].file, from.TimingsPath(task_));
  EXPECT_FALSE(fs::exists(into.TimingsPath(task_)));
  EXPECT_THAT(WriteBundle(from, nullptr, "1.0", folder_ / "all.jsonl").damaged, SizeIs(1));
}

TEST_F(MergeTest, RefusesItselfAndImportedRecords) {
  const RecordStore store(folder_ / "a");
  Fill(store);
  EXPECT_EQ(ErrorOf([&] { MergeFolders({{store.output()}}, store, {}); }),
            store.output().string() + ": is the folder to merge into. Name it once, as the last.");
  const RecordStore imported(folder_ / "b");
  fs::create_directories(imported.output());
  TaskRecord record = SampleRecord();
  record.key.Set("imported", "lm_eval 0.4.13");
  const std::string digest = imported.Write(record, SampleItems());
  EXPECT_EQ(
      ErrorOf([&] { MergeFolders({{imported.output()}}, store, {}); }),
      imported.RecordPath(digest).string() +
          ": the record was imported. Import the run again into the folder that shall have it: `bitlaw import RESULTS "
          "--out FOLDER`.");
}

TEST_F(UnusedTest, AreFilesThatNoRecordNames) {
  const RecordStore store(folder_);
  Fill(store);
  EXPECT_THAT(FindUnused(store, nullptr), IsEmpty());
  const fs::path other_items = items_.parent_path() / (task_ + ".0123456789abcdef.items.csv");
  WriteDurably(other_items, "id\n");
  WriteDurably(items_.string() + ".17.0.tmp", "id");
  WriteDurably(folder_ / "incoming-17-0.tmp/records/00/x.json", "{");
  fs::remove(store.RecordPath(quantization_));
  std::map<std::string, std::string> why;
  const std::vector<UnusedFile> unused = FindUnused(store, nullptr);
  for (const UnusedFile& one : unused) why[one.file.string()] = one.why;
  EXPECT_EQ(why, (std::map<std::string, std::string>{
                     {other_items.string(), "its record names other items"},
                     {items_.string() + ".17.0.tmp", "it was never finished"},
                     {(folder_ / "incoming-17-0.tmp/records/00/x.json").string(), "it was never finished"},
                     {CodesPath(folder_, quantization_).string(), "no quantization has a record of it"}}));
  store.Write(SampleQuantization());  // Meanwhile somebody made it.
  EXPECT_EQ(RemoveUnused(store, unused), 3u);
  EXPECT_TRUE(fs::exists(CodesPath(folder_, quantization_)));
  EXPECT_FALSE(fs::exists(folder_ / "incoming-17-0.tmp"));
  EXPECT_THAT(CheckFolder(store, CodesDigestInTests).damaged, IsEmpty());
}

TEST_F(UnusedTest, AreRecordsThatNoTrialHasIfAStudyIsNamed) {
  const RecordStore store(folder_);
  Fill(store);
  StudyReferences study;
  study.records = {task_};
  std::vector<fs::path> files;
  for (const UnusedFile& one : FindUnused(store, &study)) files.push_back(one.file);
  EXPECT_THAT(files, ElementsAre(store.RecordPath(quantization_), CodesPath(folder_, quantization_)));
  study.unknown_trials = {SampleRecord().trial.id};
  EXPECT_THAT(FindUnused(store, &study), IsEmpty());
}

TEST_F(UnusedTest, AreNotWhatBelongsToADamagedRecord) {
  const RecordStore store(folder_);
  Fill(store);
  fs::resize_file(store.RecordPath(task_), 100);
  const StudyReferences nothing;
  for (const UnusedFile& one : FindUnused(store, &nothing)) EXPECT_NE(one.file, items_);
}

TEST_F(BundleTest, BringsEverythingToAnotherFolder) {
  const RecordStore from(folder_ / "a"), into(folder_ / "b");
  Fill(from);
  TaskRecord binary = RecordOf("bytes");
  std::vector<ItemScore> items = SampleItems();
  items[0].id = "\xff no text";
  from.Write(binary, items);
  const fs::path bundle = folder_ / "all.jsonl";
  const BundleResult written = WriteBundle(from, CodesDigestInTests, "1.0", bundle);
  EXPECT_EQ(written.records, 3u);
  EXPECT_EQ(written.files, 7u);  // Three records, two items, timings, codes.
  EXPECT_THAT(written.damaged, IsEmpty());
  fs::create_directories(into.output());
  {
    const UnpackedBundle unpacked(bundle, into.output());
    EXPECT_EQ(FilesOf(unpacked.folder()), FilesOf(from.output()));
    MergeFolders({{unpacked.folder(), bundle.string()}}, into, {.codes = CodesDigestInTests});
  }
  EXPECT_EQ(FilesOf(into.output()), FilesOf(from.output()));
  WriteBundle(into, CodesDigestInTests, "1.0", folder_ / "again.jsonl");
  EXPECT_EQ(ReadWholeFile(folder_ / "again.jsonl"), ReadWholeFile(bundle));
}

TEST_F(BundleTest, LeavesOutWhatIsDamaged) {
  const RecordStore from(folder_ / "a");
  Fill(from);
  fs::resize_file(from.RecordPath(task_), 100);
  const BundleResult written = WriteBundle(from, nullptr, "1.0", folder_ / "all.jsonl");
  EXPECT_EQ(written.records, 1u);
  ASSERT_THAT(written.damaged, SizeIs(1));
  EXPECT_EQ(written.damaged[0].record, task_);
}

TEST_F(BundleTest, RefusesWhatItDidNotWriteAndWritesNothingOutside) {
  const RecordStore from(folder_ / "a");
  Fill(from);
  const fs::path bundle = folder_ / "all.jsonl";
  WriteBundle(from, CodesDigestInTests, "1.0", bundle);
  const std::string text = ReadWholeFile(bundle);
  const auto error_of = [&](const std::string& changed) {
    WriteDurably(bundle, changed);
    return ErrorOf([&] { UnpackedBundle(bundle, folder_); });
  };
  const auto replaced = [&](const std::string& what, const std::string& with) {
    std::string changed = text;
    const size_t at = changed.find(what);
    return at == std::string::npos ? "nothing was replaced" : changed.replace(at, what.size(), with);
  };
  const std::string ending = ". The file was not written by `bitlaw records export`, or was changed.";
  EXPECT_EQ(error_of(text.substr(0, text.rfind("{\"end\""))),
            bundle.string() + ": the bundle ends at line 11, before its last line: it was cut off. Copy it again.");
  EXPECT_EQ(error_of("{\"bundle\": \"eggs\"}\n"),
            bundle.string() + ":1: it does not begin as a bundle of records" + ending);
  EXPECT_EQ(error_of(replaced("\"format\": 1", "\"format\": 2")),
            bundle.string() + ":1: the bundle's format is 2; this bitlaw reads format 1" + ending);
  EXPECT_EQ(error_of(replaced("\"path\": \"artifacts/", "\"path\": \"../")),
            bundle.string() + ":2: '../" + quantization_ +
                ".safetensors' is the path of no file that belongs to a record" + ending);
  EXPECT_THAT(error_of(replaced("3.25", "3.26")), HasSubstr("has not the digest that it is listed with"));
  EXPECT_THAT(error_of(replaced("\"files\": ", "\"files\": 1")), HasSubstr(": the bundle has 5 files, and says 15"));
  EXPECT_THAT(error_of(replaced("\"base64\": \"", "\"base64\": \"*")), HasSubstr(":3: the line is no piece of a file"));
  size_t left = 0;
  for (const auto& entry : fs::directory_iterator(folder_))
    left += entry.path().filename().string().starts_with("incoming");
  EXPECT_EQ(left, 0u);
}

TEST(RecordPaths, AreOfRecordsItemsTimingsAndCodes) {
  const std::string digest = DigestOf("x"), in = digest.substr(0, 2) + "/" + digest;
  EXPECT_TRUE(IsRecordPath("records/" + in + ".json"));
  EXPECT_TRUE(IsRecordPath("records/" + in + ".0123456789abcdef.items.csv"));
  EXPECT_TRUE(IsRecordPath("records/" + in + ".items.csv"));
  EXPECT_TRUE(IsRecordPath("timings/" + in + ".json"));
  EXPECT_TRUE(IsRecordPath("artifacts/" + digest + ".safetensors"));
  for (const std::string& path :
       {std::string(), std::string("/"), "records/" + digest + ".json", "records/00/" + digest + ".json",
        "/records/" + in + ".json", "records/../" + digest + ".json", "timings/" + in + ".items.csv",
        "records/" + in + ".json/x", "study/" + in + ".json", "records/" + in + ".json.tmp"})
    EXPECT_FALSE(IsRecordPath(path)) << path;
}

// RFC 4648, section 10.
TEST(Base64, IsThatOfTheStandard) {
  const std::pair<const char*, const char*> known[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : known) {
    EXPECT_EQ(ToBase64(bytes), text);
    EXPECT_EQ(FromBase64(text), bytes);
  }
  for (const char* wrong : {"Zg", "Zg=", "Zh==", "Zm9v\n", " Zm9", "Z=9v", "===="})
    EXPECT_FALSE(FromBase64(wrong)) << wrong;
}

}  // namespace
}  // namespace bitlaw
