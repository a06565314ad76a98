#include <gmock/gmock.h>

#include "bitlaw/base/rng.h"
#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::IsEmpty;
using testing::Not;

class KilledStudy : public StudyFolder {
 protected:
  static constexpr char kQuantize[] =
      "  - none\n"
      "  - {quantizer: rtn, bits: [2, 4], group_size: 32}\n"
      "  - {quantizer: gptq, bits: 3, group_size: 32, calibration: {corpus: lines, sequences: [2, 4], tokens: 32}}\n";
};

// The promise of the records: whatever moment the power fails at, going on gives the bytes of a run that never failed.
TEST_F(KilledStudy, GivesTheSameRecordsAsAnUndisturbedOne) {
  const auto study = WriteStudy(kQuantize);
  const auto began = std::chrono::steady_clock::now();
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  const auto whole_time = std::chrono::steady_clock::now() - began;
  const auto whole = FilesOf("whole/records");
  ASSERT_THAT(whole, Not(IsEmpty()));

  // Moments spread over a run that starts from where the last one died, so that every stage is hit.
  Rng rng(20261122);
  const double limit_ms = std::chrono::duration<double, std::milli>(whole_time).count();
  int kills = 0;
  for (int attempt = 0; attempt < 20; ++attempt) {
    StartedProgram program(RunArguments(study, "killed"), folder_);
    const auto moment = std::chrono::milliseconds(static_cast<int64_t>(rng.Uniform() * limit_ms));
    if (!program.EndsWithin(moment)) ++kills;
    program.Signal(SIGKILL);
    program.Wait();
    // Once everything is recorded there is nothing left to kill: lose what one trial recorded.
    if (FilesOf("killed/records").size() == whole.size()) std::filesystem::remove_all(folder_ / "killed" / "records");
  }
  EXPECT_GE(kills, 10) << "most runs ended before their moment came";
  const ProgramEnd last = RunStudy(study, "killed");
  ASSERT_EQ(last.exit_code, 0) << last.err;
  const auto resumed = FilesOf("killed/records");
  std::vector<std::string> names, resumed_names;
  for (const auto& [name, bytes] : whole) names.push_back(name);
  for (const auto& [name, bytes] : resumed) resumed_names.push_back(name);
  ASSERT_EQ(resumed_names, names);
  for (const auto& [name, bytes] : whole) EXPECT_EQ(resumed.at(name), bytes) << name;
  EXPECT_THAT(FilesOf("killed/artifacts"), IsEmpty());
  EXPECT_EQ(FilesOf("killed").at("observations.csv"), FilesOf("whole").at("observations.csv"));
}

TEST_F(KilledStudy, GoesOnFromTheCodesThatWereSaved) {
  // The quantizer may do its work once: the second time it would crash.
  const std::string quantize = "  - {quantizer: misbehave, act: well}\n";
  const auto study = WriteStudy(quantize);
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  const auto whole = FilesOf("whole/records");

  // Kill at the first record of a task, when the codes are on the disk and tasks are missing.
  bool caught = false;
  for (int attempt = 0; attempt < 20 && !caught; ++attempt) {
    std::filesystem::remove_all(folder_ / "killed");
    StartedProgram program(RunArguments(study, "killed"), folder_);
    for (int i = 0; i < 20000 && FilesOf("killed/artifacts").empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    program.Signal(SIGKILL);
    program.Wait();
    const auto artifacts = FilesOf("killed/artifacts");
    caught = artifacts.size() == 1 && artifacts.begin()->first.ends_with(".safetensors") &&
             FilesOf("killed/records").size() < whole.size();
  }
  ASSERT_TRUE(caught) << "no kill came between the codes and the last task";
  const ProgramEnd resumed = RunStudy(study, "killed");
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(FilesOf("killed/records"), whole);
}

TEST_F(KilledStudy, RedoesCodesThatWereDamaged) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: 3, group_size: 32}\n");
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  const auto whole = FilesOf("whole/records");
  // A second output with one task missing and a broken artifact under the right name.
  std::filesystem::copy(folder_ / "whole", folder_ / "broken", std::filesystem::copy_options::recursive);
  std::string artifact;
  for (const auto& [name, bytes] : whole) {
    if (bytes.find("\"kind\": \"quantization\"") != std::string::npos && bytes.find("\"layers\"") != std::string::npos) {
      artifact = std::filesystem::path(name).stem().string() + ".safetensors";
    }
  }
  ASSERT_FALSE(artifact.empty());
  std::filesystem::create_directories(folder_ / "broken/artifacts");
  std::ofstream(folder_ / "broken/artifacts" / artifact) << "not a safetensors file";
  for (const auto& [name, bytes] : whole) {
    if (bytes.find("\"name\": \"uses\"") != std::string::npos) std::filesystem::remove(folder_ / "broken/records" / name);
  }
  const ProgramEnd end = RunStudy(study, "broken");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, testing::HasSubstr("The model is quantized anew."));
  EXPECT_EQ(FilesOf("broken/records"), whole);
}

}  // namespace
}  // namespace bitlaw
