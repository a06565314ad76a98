// What lm-evaluation-harness measured, taken over (tests/parity/lm_eval/outputs: two models, one standing in for the
// other quantized).
#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

class HarnessImport : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("bitlaw_HarnessImport_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  ProgramEnd Run(const std::vector<std::string>& words) const { return StartedProgram(words, folder_).Wait(); }
  ProgramEnd Import(const std::string& run, std::vector<std::string> more) const {
    std::vector<std::string> words = {
        "import", BITLAW_SOURCE_DIR "/tests/parity/lm_eval/outputs/" + run, "--out", Out(), "--model", "lab"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
  void ImportBoth() const {
    const ProgramEnd before =
        Import("larger", {"--set", "B=16", "--set", "N=2e6", "--stratum", "KA=own_arc", "--stratum", "KR=own_sums"});
    ASSERT_EQ(before.exit_code, 0) << before.err;
    EXPECT_THAT(before.out, HasSubstr("lab none: 4 tasks, 26 items of "));
    const ProgramEnd after = Import("smaller", {"--quantizer", "rtn", "--set", "B=3", "--set", "N=2e6", "--stratum",
                                                "KA=own_arc", "--stratum", "KR=own_sums"});
    ASSERT_EQ(after.exit_code, 0) << after.err;
  }
  std::string Out() const { return (folder_ / "out").string(); }
  fs::path folder_;
};

TEST_F(HarnessImport, GivesObservationsWithTheHarnessNumbers) {
  ImportBoth();
  const auto rows = RowsOf(StartedProgram::Text(folder_ / "out/observations.csv"));
  ASSERT_EQ(rows.size(), 16u);  // Two runs of acc, acc_norm; exact_match by two filters; perplexity, acc; two of texts.
  const auto find = [&](const std::string& quantizer, const std::string& task, const std::string& metric) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& one) {
      return one.at("quantizer") == quantizer && one.at("task") == task && one.at("metric") == metric;
    });
    EXPECT_NE(row, rows.end()) << quantizer << task << metric;
    return *row;
  };
  // As results_*.json has them.
  auto row = find("none", "own_arc", "acc");
  EXPECT_EQ(row.at("value"), "0.5");
  EXPECT_NEAR(std::stod(row.at("standard_error")), 0.15075567228888181, 1e-15);
  EXPECT_NEAR(std::stod(row.at("chance")), 0.2916666666666667, 1e-12);
  EXPECT_EQ(row.at("stratum"), "KA");
  EXPECT_EQ(row.at("B"), "16");
  EXPECT_EQ(row.at("parameters_total"), "2171392");
  row = find("rtn", "own_arc", "acc");
  EXPECT_EQ(row.at("value"), "0.25");
  EXPECT_EQ(row.at("baseline_value"), "0.5");
  EXPECT_EQ(row.at("B"), "3");
  EXPECT_EQ(find("none", "own_sums", "exact_match_flexible-extract").at("value"), "0.5");
  EXPECT_EQ(find("none", "own_sums", "exact_match_strict-match").at("value"), "0");
  EXPECT_NEAR(std::stod(find("none", "own_text", "bits_per_byte").at("value")), 15.37781555794077, 1e-9);
  EXPECT_NEAR(std::stod(find("none", "own_last", "perplexity").at("value")) / 2.317284870827287e+23, 1, 1e-9);
}

TEST_F(HarnessImport, ComparesAndShowsItems) {
  ImportBoth();
  const ProgramEnd paired = Run({"paired", Out(), "--task", "own_arc", "--format", "csv"});
  ASSERT_EQ(paired.exit_code, 0) << paired.err;
  // Three items are lost and none is gained: p = 2 / 2^3. The error of a mean of three -1 and nine 0.
  EXPECT_THAT(paired.out, HasSubstr("lab rtn B=3,own_arc,acc,12,"));
  const auto pair = RowsOf(paired.out).at(0);
  EXPECT_EQ(std::stod(pair.at("difference")), -0.25);
  EXPECT_NEAR(std::stod(pair.at("+-")), 0.1306, 1e-4);
  EXPECT_EQ(std::stod(pair.at("McNemar p")), 0.25);
  const auto rows = RowsOf(Run({"samples", Out(), "--task", "own_sums", "--metric", "exact_match_flexible-extract",
                                "--trial", "lab none", "--format", "csv"})
                               .out);
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0].at("target"), "baji");
  EXPECT_EQ(rows[0].at("extracted"), "baji");
  EXPECT_EQ(rows[0].at("value"), "1");
  EXPECT_EQ(rows[1].at("target"), "2");
  EXPECT_EQ(rows[1].at("value"), "0");
  const ProgramEnd strata = Run({"strata", Out(), "--group", "KA=own_arc", "--format", "csv"});
  EXPECT_EQ(strata.exit_code, 0) << strata.err;
  for (const char* bits : {"B=4", "B=6", "B=8"}) {
    const ProgramEnd more =
        Import("larger", {"--quantizer", "rtn", "--set", bits, "--set", "N=2e6", "--stratum", "KA=own_arc"});
    ASSERT_EQ(more.exit_code, 0) << more.err;
  }
  const ProgramEnd fit = Run({"fit", Out(), "--law", "acc_adj = a + b * B", "--where", "B > 3 and quantizer == 'rtn'"});
  EXPECT_EQ(fit.exit_code, 0) << fit.err;
  // Three results of (0.5 - 0.2917) / 0.7083.
  EXPECT_THAT(fit.out, AllOf(HasSubstr("KA: 3 of 3 rows usable"), HasSubstr("0.2941")));
}

TEST_F(HarnessImport, TheSameRunTwiceIsOneAndAnotherUnderItsNameIsRefused) {
  ImportBoth();
  const std::string before = StartedProgram::Text(folder_ / "out/observations.csv");
  ImportBoth();
  EXPECT_EQ(StartedProgram::Text(folder_ / "out/observations.csv"), before);
  const ProgramEnd other = Import("smaller", {"--set", "B=16", "--set", "N=2e6"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, AllOf(HasSubstr("/out: trial 'lab none' has other results of task 'own_arc' already ("),
                               HasSubstr("). Tell them apart (--model, --quantizer, --set), or remove that file.\n")));
  EXPECT_EQ(StartedProgram::Text(folder_ / "out/observations.csv"), before);
}

// Each model's results beside those of its own unquantized run.
TEST_F(HarnessImport, ComparesAModelWithItself) {
  ImportBoth();
  const std::vector<std::string> words = {
      "import", BITLAW_SOURCE_DIR "/tests/parity/lm_eval/outputs/smaller", "--out", Out(), "--model", "other"};
  ASSERT_EQ(Run(words).exit_code, 0);
  std::map<std::string, std::string> baselines;
  for (const auto& row : RowsOf(StartedProgram::Text(folder_ / "out/observations.csv"))) {
    if (row.at("task") == "own_arc" && row.at("metric") == "acc")
      baselines[row.at("label")] = row.at("value") + " of " + row.at("baseline_value");
    if (row.at("task") == "own_arc" && row.at("metric") == "acc" && row.at("label") == "lab none") {
      // (0.5 - 0.2917) / 0.7083
      EXPECT_NEAR(std::stod(row.at("acc_adj")), 5.0 / 17, 1e-9);
    }
  }
  EXPECT_EQ(baselines.at("lab none"), "0.5 of 0.5");
  EXPECT_EQ(baselines.at("lab rtn B=3"), "0.25 of 0.5");
  EXPECT_EQ(baselines.at("other none"), "0.25 of 0.25");
}

TEST_F(HarnessImport, RefusesColumnsAndTasksThatAreNone) {
  EXPECT_EQ(Import("larger", {"--set", "task=x"}).err,
            "bitlaw: --set task=x: 'task' is a column that bitlaw fills in itself. Choose another name.\n");
  EXPECT_EQ(Import("larger", {"--set", "B"}).err, "bitlaw: --set B: write COLUMN=VALUE.\n");
  EXPECT_EQ(
      Import("larger", {"--stratum", "KA=own_ark"}).err,
      "bitlaw: --stratum KA=own_ark: the run has no task 'own_ark'. Did you mean 'own_arc'? Tasks: own_arc, own_sums, "
      "own_last, own_text.\n");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

class ImportIntoStudy : public StudyFolder {};

// observations.csv of a study would be written anew without its rows.
TEST_F(ImportIntoStudy, IsRefused) {
  ASSERT_EQ(RunStudy(WriteStudy("  - none\n", "[uses]"), "out").exit_code, 0);
  const std::string before = StartedProgram::Text(folder_ / "out/observations.csv");
  const std::string run = BITLAW_SOURCE_DIR "/tests/parity/lm_eval/outputs/larger";
  const ProgramEnd end = StartedProgram({"import", run, "--out", (folder_ / "out").string()}, folder_).Wait();
  EXPECT_EQ(end.exit_code, 5);
  EXPECT_THAT(end.err, HasSubstr(".json: is of a study's own run. Import into another folder (--out).\n"));
  EXPECT_EQ(StartedProgram::Text(folder_ / "out/observations.csv"), before);
}

}  // namespace
}  // namespace bitlaw
