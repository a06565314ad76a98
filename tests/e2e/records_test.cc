// `bitlaw records`: what is done with the records of studies beside running them.
#include <gmock/gmock.h>

#include <fstream>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace fs = std::filesystem;

class RecordsVerb : public StudyFolder {
 protected:
  ProgramEnd Records(std::vector<std::string> words) const {
    words.insert(words.begin(),
                 {"--plugin", BITLAW_E2E_PLUGINS, "--configs", BITLAW_SOURCE_DIR "/tests/support", "records"});
    return StartedProgram(words, folder_).Wait();
  }
  std::string In(const std::string& name) const { return (folder_ / name).string(); }
};

TEST_F(RecordsVerb, VerifyFindsDamageOfEachKindAndTheNextRunDoesItAgain) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, bits: [3, 4]}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out", {"--keep-codes"}).exit_code, 0);
  ProgramEnd whole = Records({"verify", In("out")});
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_THAT(whole.out, AllOf(HasSubstr(": 3 task records with "),
                               HasSubstr("2 quantization records, 2 files of codes, 5 files of timings are whole.")));
  const auto records = FilesOf("out/records"), codes = FilesOf("out/artifacts");
  ASSERT_EQ(codes.size(), 2u);
  // A bit of the codes of one trial, a digit of the items of a task, half of a quantization's record.
  const auto flip = [&](const fs::path& file, size_t at) {
    std::string bytes = StartedProgram::Text(file);
    bytes[at == std::string::npos ? bytes.size() - 5 : at] ^= 1;
    std::ofstream(file, std::ios::binary) << bytes;
  };
  flip(folder_ / "out/artifacts" / codes.begin()->first, std::string::npos);
  bool has_items = false, has_record = false;
  for (const auto& [name, bytes] : records) {
    if (name.ends_with(".items.csv") && !std::exchange(has_items, true))
      flip(folder_ / "out/records" / name, bytes.size() - 2);
    // The quantization whose codes are whole, so that each kind of damage stands alone.
    const std::string other = codes.rbegin()->first.substr(0, 64);
    if (name.ends_with(other + ".json") && !std::exchange(has_record, true))
      fs::resize_file(folder_ / "out/records" / name, bytes.size() / 2);
  }
  ASSERT_TRUE(has_items && has_record);
  const ProgramEnd found = Records({"verify", In("out")});
  EXPECT_EQ(found.exit_code, 5);
  EXPECT_THAT(found.err, AllOf(HasSubstr("its codes do not match their digest"),
                               HasSubstr("the items are not those of their record"), HasSubstr(".json:"),
                               HasSubstr("bitlaw: 3 files are damaged. ")));
  EXPECT_FALSE(fs::exists(folder_ / "out/quarantine"));
  EXPECT_THAT(Records({"verify", In("out"), "--json"}).out, HasSubstr("\"damaged\": [\n"));
  const ProgramEnd moved = Records({"verify", In("out"), "--quarantine"});
  EXPECT_EQ(moved.exit_code, 5);
  EXPECT_THAT(moved.err, HasSubstr("bitlaw: 3 files were damaged and moved to " + In("out/quarantine")));
  EXPECT_EQ(Records({"verify", In("out")}).exit_code, 0);
  const ProgramEnd run = RunStudy(study, "out");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(FilesOf("out/records"), records);
}

TEST_F(RecordsVerb, MergePutsPartsOfAStudyTogether) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, bits: [3, 4]}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  ASSERT_EQ(RunStudy(study, "a", {"--only", "none"}).exit_code, 0);
  ASSERT_EQ(RunStudy(study, "b", {"--only", "bits=*"}).exit_code, 0);
  const ProgramEnd bundled = Records({"export", In("b"), In("b.jsonl")});
  EXPECT_EQ(bundled.exit_code, 0) << bundled.err;
  EXPECT_THAT(bundled.out,
              HasSubstr("4 records in 10 files"));  // Two tasks with items, two quantizations; timings of all.
  const ProgramEnd merged = Records({"merge", In("a"), In("b.jsonl"), In("c")});
  EXPECT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_THAT(merged.out, HasSubstr(": 3 task records and 2 quantization records added, with 5 files of timings"));
  EXPECT_EQ(FilesOf("c/records"), FilesOf("whole/records"));
  const ProgramEnd run = RunStudy(study, "c");
  EXPECT_THAT(run.out, HasSubstr("3 of 3 trials complete, 0 tasks scored now"));
  EXPECT_EQ(Records({"export", In("b"), In("b.jsonl")}).err,
            "bitlaw: " + In("b.jsonl") + ": is there already. Name a new file.\n");
  EXPECT_EQ(Records({"merge", In("a")}).exit_code, 2);
  EXPECT_EQ(Records({"merge", In("nothing"), In("d")}).err,
            "bitlaw: " + In("nothing") + ": there is no such folder or bundle.\n");
  std::ofstream(folder_ / "eggs") << "{}";
  EXPECT_THAT(Records({"merge", In("eggs"), In("d")}).err,
              HasSubstr(In("eggs") + ":1: it does not begin as a bundle of records."));
  EXPECT_FALSE(fs::exists(folder_ / "d"));
}

TEST_F(RecordsVerb, GcFindsWhatNothingRefersToAndRemovesItOnlyIfTold) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, bits: [3, 4]}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  EXPECT_THAT(Records({"gc", In("out")}).out, HasSubstr(": nothing is unused.\n"));
  const auto before = FilesOf("out/records");
  std::ofstream(folder_ / "out/records" / (before.begin()->first + ".17.0.tmp")) << "{";
  fs::create_directories(folder_ / "out/claims/0/ab");
  std::ofstream(folder_ / "out/claims/0/ab/abcdef012345.1") << "{}";
  fs::create_directories(folder_ / "out/artifacts");
  std::ofstream(folder_ / "out/artifacts" / (std::string(64, 'a') + ".safetensors")) << "codes";
  const auto all = FilesOf("out");
  const ProgramEnd dry = Records({"gc", In("out")});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, AllOf(HasSubstr("it was never finished"), HasSubstr("it is of a campaign that is over"),
                             HasSubstr("no quantization has a record of it"),
                             HasSubstr(": 3 files are unused. --list names them, --delete removes them.\n")));
  EXPECT_EQ(FilesOf("out"), all);
  const ProgramEnd removed = Records({"gc", In("out"), "--delete"});
  EXPECT_EQ(removed.exit_code, 0) << removed.err;
  EXPECT_THAT(removed.out, HasSubstr(": 3 files removed.\n"));
  EXPECT_EQ(FilesOf("out/records"), before);
  EXPECT_FALSE(fs::exists(folder_ / "out/claims/0"));
  // Of a study that has one trial less.
  const auto smaller = WriteStudy("  - none\n  - {quantizer: misbehave, bits: [3]}\n", "[endings]");
  const ProgramEnd listed = Records({"gc", In("out"), "--study", smaller.string(), "--list"});
  EXPECT_EQ(std::count(listed.out.begin(), listed.out.end(), '\n'), 5)
      << listed.out;  // A task with items, a quantization; timings.
  ASSERT_EQ(Records({"gc", In("out"), "--study", smaller.string(), "--delete"}).exit_code, 0);
  EXPECT_EQ(FilesOf("out/records").size(), 5u);
  EXPECT_THAT(RunStudy(smaller, "out").out, HasSubstr("2 of 2 trials complete, 0 tasks scored now"));
}

TEST_F(RecordsVerb, GcRemovesNothingWhileAWorkerLives) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: sleep}\n", "[endings]");
  const StartedProgram program(RunArguments(study, "out"), folder_);
  for (int i = 0; i < 5000 && FilesOf("out/workers").empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  fs::create_directories(folder_ / "out/records/aa");
  std::ofstream(folder_ / "out/records/aa/x.17.0.tmp") << "{";
  fs::create_directories(folder_ / "elsewhere");
  const ProgramEnd end = StartedProgram({"records", "gc", In("out"), "--delete"}, folder_ / "elsewhere").Wait();
  EXPECT_EQ(end.exit_code, 5);
  EXPECT_THAT(end.err, HasSubstr("/out: nothing is removed while workers live: process "));
  EXPECT_TRUE(fs::exists(folder_ / "out/records/aa/x.17.0.tmp"));
}

}  // namespace
}  // namespace bitlaw
