#include <gmock/gmock.h>

#include "study_fixture.h"

// What a study is made of is replaced, touched or removed while it runs.

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ChangedStudy : public StudyFolder {
 protected:
  ~ChangedStudy() override {
    for (const char* name : {"BITLAW_E2E_VICTIM", "BITLAW_E2E_REPLACEMENT", "BITLAW_E2E_KILLS"}) ::unsetenv(name);
  }
  void Victim(const fs::path& path) const { ::setenv("BITLAW_E2E_VICTIM", path.c_str(), 1); }
  void Replacement(const fs::path& path) const { ::setenv("BITLAW_E2E_REPLACEMENT", path.c_str(), 1); }

  size_t Records(const std::string& output) const {
    size_t count = 0;
    for (const auto& [name, bytes] : FilesOf(output + "/records")) count += name.ends_with(".json");
    return count;
  }

  static std::string Acting(const std::string& act) { return "  - {quantizer: misbehave, act: " + act + "}\n"; }
};

TEST_F(ChangedStudy, RecordsNothingOfAModelThatWasReplaced) {
  fs::copy(folder_ / "tiny/model.safetensors", folder_ / "other");
  std::fstream other(folder_ / "other", std::ios::in | std::ios::out | std::ios::binary);
  other.seekp(-64, std::ios::end);
  other << std::string(64, '\1');
  other.close();
  Victim(folder_ / "tiny/model.safetensors");
  Replacement(folder_ / "other");
  // The second trial must not begin with the other model under the first one's name either.
  const auto study = WriteStudy(Acting("replace") + "  - {quantizer: rtn, bits: 3, group_size: 32}\n", "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("0 of 3 trials complete, 1 task scored now, 3 trials failed."));
  EXPECT_THAT(end.out, HasSubstr("model 'tiny' was replaced while the trial ran: " +
                                 (folder_ / "tiny/model.safetensors").string() + ": the file's SHA-256 was "));
  EXPECT_THAT(end.out,
              HasSubstr("it was recorded, and at the end of the study it is not: its model was replaced since."));
  EXPECT_EQ(Records("out"), 1u);  // Of the unquantized model, which came first.
  // It is another model now, and its records are its own.
  const ProgramEnd again = RunStudy(study, "out");
  EXPECT_EQ(again.exit_code, 0) << again.out << again.err;
  EXPECT_EQ(Records("out"), 6u);
}

TEST_F(ChangedStudy, GivesTheSameRecordsAfterAMereTouch) {
  const auto study = WriteStudy(Acting("well"), "[endings]");
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  Victim(folder_ / "tiny/config.json");
  const auto touched = WriteStudy(Acting("touch"), "[endings]");
  const ProgramEnd end = RunStudy(touched, "out");
  // Quantizing touches it each time: the third try is the last.
  EXPECT_EQ(end.exit_code, 8);
  EXPECT_THAT(end.err,
              HasSubstr("the model's files were written to while it ran, and hold what they held. It begins again."));
  EXPECT_THAT(end.out, HasSubstr("its files were written to again and again. Let them stand still."));
  EXPECT_EQ(Records("out"), 1u);
}

TEST_F(ChangedStudy, RecordsNothingOfATaskWhoseDataWereReplaced) {
  fs::create_directories(folder_ / "configs/tasks/data");
  fs::copy(BITLAW_SOURCE_DIR "/tests/support/tasks/endings.yaml", folder_ / "configs/tasks/endings.yaml");
  const fs::path data = folder_ / "configs/tasks/data/endings.jsonl";
  fs::copy(BITLAW_SOURCE_DIR "/tests/support/tasks/data/endings.jsonl", data);
  std::string text = StartedProgram::Text(data);
  text[text.find_first_of("aeiou", text.size() / 2)] = 'x';
  std::ofstream(folder_ / "other") << text;
  Victim(data);
  Replacement(folder_ / "other");
  const auto study = WriteStudy(Acting("replace"), "[" + (folder_ / "configs/tasks/endings.yaml").string() + "]");
  const ProgramEnd end = RunStudy(study, "out");
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("task 'endings': its definition or data changed while the trial ran. Nothing of it "
                                 "was recorded; run again."));
  EXPECT_EQ(Records("out"), 2u);  // The unquantized model's, and that of the quantization.
}

TEST_F(ChangedStudy, RecordsNothingOfAPluginThatWasReplaced) {
  const fs::path plugin = folder_ / "plugin.so";
  fs::copy(fs::path(BITLAW_E2E_PLUGINS) / "bitlaw_e2e_misbehave.so", plugin);
  fs::copy(plugin, folder_ / "other");
  std::ofstream(folder_ / "other", std::ios::app) << "!";
  Victim(plugin);
  Replacement(folder_ / "other");
  const auto study = WriteStudy(Acting("replace"), "[endings]");
  std::vector<std::string> words = RunArguments(study, "out");
  words[1] = plugin.string();
  const ProgramEnd end = StartedProgram(words, folder_).Wait();
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("a program or plugin was replaced while the trial ran: " + plugin.string()));
  EXPECT_EQ(Records("out"), 1u);
}

TEST_F(ChangedStudy, WarnsOfRecordsThatAnotherBuildOfAPluginMade) {
  const fs::path plugin = folder_ / "plugin.so";
  fs::copy(fs::path(BITLAW_E2E_PLUGINS) / "bitlaw_e2e_misbehave.so", plugin);
  const auto study = WriteStudy("  - none\n" + Acting("well"), "[endings]");
  std::vector<std::string> words = RunArguments(study, "out");
  words[1] = plugin.string();
  ASSERT_EQ(StartedProgram(words, folder_).Wait().exit_code, 0);
  EXPECT_THAT(StartedProgram(words, folder_).Wait().err, Not(HasSubstr("another build")));
  // The version stays; a byte behind the library's end makes it another file of the same code.
  std::ofstream(plugin, std::ios::app) << "!";
  const ProgramEnd end = StartedProgram(words, folder_).Wait();
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err + end.out,
              HasSubstr("warning: 1 task records were made by another build of plugin 'bitlaw.tests.misbehave' 1.0.0 than the one that "
                        "is loaded. They are used, for its version is the same: raise it in BITLAW_PLUGIN(...) if its "
                        "numbers changed, or give another --output."));
}

TEST_F(ChangedStudy, EndsWithAnErrorWhenItsOutputIsDeleted) {
  Victim(folder_ / "out");
  const ProgramEnd end = RunStudy(WriteStudy(Acting("remove"), "[endings]"), "out");
  EXPECT_EQ(end.exit_code, 5);
  EXPECT_EQ(end.err.substr(end.err.find("bitlaw: ")),
            "bitlaw: " + (folder_ / "out").string() +
                ": the output folder was deleted, moved or replaced while the study ran. What was recorded in it went "
                "with it. Run again, and leave the folder alone.\n");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(ChangedStudy, DoesNotCallATrialCompleteWhoseRecordsWereDeleted) {
  Victim(folder_ / "out/records");
  const ProgramEnd end = RunStudy(WriteStudy("  - none\n" + Acting("remove"), "[endings]"), "out");
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 1 of 2 trials complete"));
  EXPECT_THAT(end.out, HasSubstr("it was recorded, and at the end of the study it is not: there is no record of task "
                                 "'endings'."));
}

TEST_F(ChangedStudy, GoesOnWhenAWorkerIsKilledBeforeItsFirstTrial) {
  const fs::path kills = folder_ / "kills";
  ::setenv("BITLAW_E2E_KILLS", kills.c_str(), 1);
  std::ofstream(kills) << "12";
  const auto study = WriteStudy("  - none\n", "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, HasSubstr("warning: a worker process ended before it took a trial: SIGKILL"));
  std::ofstream(kills) << "123";
  EXPECT_EQ(RunStudy(study, "never").exit_code, 4);
}

TEST_F(ChangedStudy, CountsATrialWhoseWorkerDiedAfterItsLastRecord) {
  Victim(folder_ / "out/records");
  const auto study = WriteStudy(Acting("die_late"), "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  EXPECT_EQ(end.exit_code, 0) << end.out << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 2 of 2 trials complete"));
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
}

// The same without a race: a file where the folder of the last record's timings belongs ends the trial right after it.
TEST_F(ChangedStudy, CountsATrialThatFailedAfterItsLastRecord) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: [3, 4, 5], group_size: 32}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  const auto whole = FilesOf("whole/records");
  // Records by the two letters of their folders: one of a quantized trial's task that shares them with no other.
  std::map<std::string, std::vector<std::string>> folders;
  for (const auto& [name, bytes] : whole) {
    if (name.ends_with(".json")) folders[name.substr(0, 2)].push_back(bytes);
  }
  std::string blocked;
  for (const auto& [folder, texts] : folders) {
    const std::string& text = texts.front();
    if (texts.size() == 1 && text.find("\"items\": {") != std::string::npos && text.find("rtn") != std::string::npos)
      blocked = folder;
  }
  ASSERT_FALSE(blocked.empty());
  fs::create_directories(folder_ / "out/timings");
  std::ofstream(folder_ / "out/timings" / blocked) << "in the way";
  const ProgramEnd end = RunStudy(study, "out");
  EXPECT_EQ(end.exit_code, 0) << end.out << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 4 of 4 trials complete"));
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
  EXPECT_EQ(FilesOf("out/records"), whole);
  EXPECT_EQ(StartedProgram::Text(folder_ / "out/timings" / blocked), "in the way");
}

TEST_F(ChangedStudy, ForgetsTheFailureOfATrialThatIsRecorded) {
  const auto study = WriteStudy(Acting("throw"), "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 8);
  const auto failures = FilesOf("out/failures");
  ASSERT_EQ(failures.size(), 1u);
  // The records of another try, copied in: the same study with the fault gone has another id, so the failure is
  // renamed.
  const auto well = WriteStudy(Acting("well"), "[endings]");
  ASSERT_EQ(RunStudy(well, "out").exit_code, 0);
  std::string id;
  for (const auto& [name, bytes] : FilesOf("out/records")) {
    const size_t at = bytes.find("\"id\": \"");
    if (name.ends_with(".json") && at != std::string::npos) id = bytes.substr(at + 7, 12);
  }
  fs::rename(folder_ / "out/failures" / failures.begin()->first, folder_ / "out/failures" / (id + ".json"));
  ASSERT_EQ(RunStudy(well, "out").exit_code, 0);
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
}

TEST_F(ChangedStudy, MakesALostOrEmptiedQuantizationRecordAgain) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: 3, group_size: 32}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const auto records = FilesOf("out/records");
  for (const bool emptied : {true, false}) {
    for (const auto& [name, bytes] : records) {
      if (bytes.find("\"layers\": [") == std::string::npos) continue;
      if (emptied) {
        std::string text = bytes;
        const size_t begin = text.find('[', text.find("\"layers\": [")), end = text.find("\n  ]", begin);
        text.replace(begin, end + 4 - begin, "[]");
        std::ofstream(folder_ / "out/records" / name) << text;
      } else {
        fs::remove(folder_ / "out/records" / name);
      }
    }
    const ProgramEnd end = RunStudy(study, "out");
    EXPECT_EQ(end.exit_code, 0) << end.err;
    EXPECT_THAT(end.err, HasSubstr("It is done again."));
    EXPECT_EQ(FilesOf("out/records"), records);
  }
}

TEST_F(ChangedStudy, SaysWhatBecomesOfRecordsOfAnOlderFormat) {
  fs::create_directories(folder_ / "out/records/00");
  std::ofstream(folder_ / "out/records/00" / (std::string(64, '0') + ".json")) << "{\n  \"format\": 2\n}\n";
  const ProgramEnd end = RunStudy(WriteStudy("  - none\n", "[endings]"), "out");
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.err,
              HasSubstr("note: 1 record in " + (folder_ / "out/records").string() +
                        " has another format than 3, which this bitlaw writes and reads. Such records are left "
                        "there and not used; their trials are done again (docs/records.md).\n"));
}

}  // namespace
}  // namespace bitlaw
