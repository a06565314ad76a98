#include <gmock/gmock.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>

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

  KilledStudy() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }  // Workers of a killed launcher become children of the test.

  // Returns once nobody writes into the study's folder any more.
  static void WaitForOrphans() {
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
  }

  /// The name of the file of codes that belongs to the quantization record among these, or nothing.
  static std::string ArtifactOf(const std::map<std::string, std::string>& records) {
    for (const auto& [name, bytes] : records) {
      if (bytes.find("\"kind\": \"quantization\"") != std::string::npos &&
          bytes.find("\"layers\"") != std::string::npos) {
        return std::filesystem::path(name).stem().string() + ".safetensors";
      }
    }
    return "";
  }
};

// The promise of the records: whatever moment the power fails at, going on gives the bytes of a run that never failed.
TEST_F(KilledStudy, GivesTheSameRecordsAsAnUndisturbedOne) {
  const auto study = WriteStudy(kQuantize);
  ASSERT_EQ(RunStudy(study, "warm").exit_code, 0);  // The first start of all reads libraries from the disk.
  const auto began = std::chrono::steady_clock::now();
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  double run_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  const auto whole = FilesOf("whole/records");
  ASSERT_THAT(whole, Not(IsEmpty()));

  // Moments spread over a run that starts from where the last one died, so that every stage is hit.
  Rng rng(20261122);
  int kills = 0;
  for (int attempt = 0; attempt < 200 && kills < 20; ++attempt) {
    StartedProgram program(RunArguments(study, "killed"), folder_);
    const auto moment = std::chrono::milliseconds(static_cast<int64_t>(rng.Uniform() * run_ms));
    if (program.EndsWithin(moment)) {
      run_ms *= 0.8;  // The machine has become faster than it was, or less was left to do.
    } else {
      ++kills;
    }
    program.Signal(SIGKILL);
    program.Wait();
    WaitForOrphans();
    // Once everything is recorded there is nothing left to kill: begin again.
    if (FilesOf("killed/records").size() == whole.size()) {
      std::filesystem::remove_all(folder_ / "killed" / "records");
      run_ms = std::max(run_ms, 500.0);
    }
  }
  EXPECT_EQ(kills, 20) << "most runs ended before their moment came";
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

// A kill between the last record of a trial and the removal of its codes leaves codes that nobody asks for any more.
TEST_F(KilledStudy, SweepsCodesWhoseTrialIsAllRecorded) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: 3, group_size: 32}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const std::string artifact = ArtifactOf(FilesOf("out/records"));
  ASSERT_FALSE(artifact.empty());
  std::ofstream(folder_ / "out/artifacts" / artifact) << "codes";
  std::ofstream(folder_ / "out/artifacts/of_another_study.safetensors") << "codes";
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const auto left = FilesOf("out/artifacts");
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left.begin()->first, "of_another_study.safetensors");
}

TEST_F(KilledStudy, GoesOnFromTheCodesThatWereSaved) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: well}\n");
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  const auto whole = FilesOf("whole/records");

  // Kill when the codes are on the disk and tasks are missing.
  bool caught = false;
  for (int attempt = 0; attempt < 20 && !caught; ++attempt) {
    std::filesystem::remove_all(folder_ / "killed");
    StartedProgram program(RunArguments(study, "killed"), folder_);
    for (int i = 0; i < 20000 && FilesOf("killed/artifacts").empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    program.Signal(SIGKILL);
    program.Wait();
    WaitForOrphans();
    const auto artifacts = FilesOf("killed/artifacts");
    caught = artifacts.size() == 1 && artifacts.begin()->first.ends_with(".safetensors") &&
             FilesOf("killed/records").size() < whole.size();
  }
  ASSERT_TRUE(caught) << "no kill came between the codes and the last task";
  // Codes whose record somebody removed are of no use: the record says what they are.
  std::filesystem::copy(folder_ / "killed", folder_ / "bare", std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(folder_ / "bare/records");

  for (const char* output : {"killed", "bare"}) {
    const ProgramEnd resumed = RunStudy(study, output);
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(FilesOf(std::filesystem::path(output) / "records"), whole) << output;
  }
}

TEST_F(KilledStudy, RedoesCodesThatWereDamaged) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: 3, group_size: 32}\n");
  ASSERT_EQ(RunStudy(study, "whole").exit_code, 0);
  const auto whole = FilesOf("whole/records");
  // A second output with one task missing and a broken artifact under the right name.
  std::filesystem::copy(folder_ / "whole", folder_ / "broken", std::filesystem::copy_options::recursive);
  const std::string artifact = ArtifactOf(whole);
  ASSERT_FALSE(artifact.empty());
  std::filesystem::create_directories(folder_ / "broken/artifacts");
  std::ofstream(folder_ / "broken/artifacts" / artifact) << "not a safetensors file";
  for (const auto& [name, bytes] : whole) {
    if (bytes.find("\"name\": \"uses\"") != std::string::npos)
      std::filesystem::remove(folder_ / "broken/records" / name);
  }
  const ProgramEnd end = RunStudy(study, "broken");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, testing::HasSubstr("The model is quantized anew."));
  EXPECT_EQ(FilesOf("broken/records"), whole);
}

}  // namespace
}  // namespace bitlaw
