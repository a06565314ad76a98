#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "study_fixture.h"

// Standard streams that are closed, full or gone, a working directory that is gone, files that are broken.

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Json = nlohmann::json;

class Streams : public StudyFolder {
 protected:
  /// What a shell makes of `bitlaw` with these words and redirections.
  ProgramEnd Shell(const std::string& rest, const std::string& before = "") const {
    const fs::path out = folder_ / "shell.out", err = folder_ / "shell.err";
    const std::string line = "cd " + folder_.string() + " && " + before + " { " BITLAW_PROGRAM " " + rest + "; } >" +
                             out.string() + " 2>" + err.string();
    ProgramEnd end;
    const int status = std::system(("bash -c '" + line + "'").c_str());
    end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end.out = StartedProgram::Text(out);
    end.err = StartedProgram::Text(err);
    return end;
  }

  std::string RunWords(const std::string& output) const {
    WriteStudy("  - none\n", "[endings]");
    std::string words;
    for (const std::string& word : RunArguments(folder_ / "study.yaml", output)) words += word + " ";
    return words;
  }
};

TEST_F(Streams, AFullDiskUnderStandardOutputIsAnErrorOfEveryVerb) {
  WriteStudy("  - none\n", "[endings]");
  const std::string configs = "--configs " BITLAW_SOURCE_DIR "/tests/support ";
  for (const std::string& verb :
       {std::string("--version"), std::string("--help"), std::string("plugins list"), configs + "check study.yaml",
        configs + "plan study.yaml", configs + "tasks list", RunWords("out")}) {
    const ProgramEnd end = Shell(verb + " >/dev/full");
    EXPECT_EQ(end.exit_code, 5) << verb;
    EXPECT_THAT(end.err, HasSubstr("bitlaw: standard output cannot be written")) << verb;
  }
  // The study itself was done all the same.
  EXPECT_FALSE(FilesOf("out/records").empty());
  EXPECT_TRUE(fs::exists(folder_ / "out/observations.csv"));
}

TEST_F(Streams, AStudyDoesNotNeedItsLog) {
  EXPECT_EQ(Shell(RunWords("full") + " 2>/dev/full").exit_code, 0);
  EXPECT_EQ(Shell(RunWords("tee") + " 2> >(exit 0)").exit_code, 0);
  EXPECT_EQ(FilesOf("full/records"), FilesOf("tee/records"));
  EXPECT_EQ(FilesOf("full/records").size(), 2u);
}

TEST_F(Streams, ClosedStreamsAreNotTakenForOthers) {
  EXPECT_EQ(Shell(RunWords("open")).exit_code, 0);
  EXPECT_EQ(Shell(RunWords("closed") + " 0<&- 1>&- 2>&-").exit_code, 0);
  EXPECT_EQ(FilesOf("closed/records"), FilesOf("open/records"));
  EXPECT_EQ(StartedProgram::Text(folder_ / "closed/lock"), "");
}

TEST_F(Streams, ADeletedWorkingDirectoryIsNoFaultOfBitlaw) {
  const std::string gone = "mkdir gone && cd gone && rmdir ../gone &&";
  const ProgramEnd end = Shell("check study.yaml", gone);
  EXPECT_NE(end.exit_code, 0);
  EXPECT_NE(end.exit_code, 1);
  EXPECT_THAT(end.err, testing::Not(HasSubstr("internal error")));
  const ProgramEnd run = Shell(RunWords("out"), gone);
  EXPECT_EQ(run.exit_code, 5);
  EXPECT_EQ(run.err, "bitlaw: the working directory cannot be found (No such file or directory): it was deleted or moved. "
                     "Change to a folder that exists.\n");
}

TEST_F(Streams, ABrokenFileIsAFileErrorAndNothingUnsupported) {
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"}) {
    const fs::path file = folder_ / "tiny" / name;
    const std::string whole = StartedProgram::Text(file);
    fs::resize_file(file, whole.size() / 2);
    const ProgramEnd end = Shell("quantize tiny --quantizer rtn");
    EXPECT_EQ(end.exit_code, 5) << name << "\n" << end.err;
    std::ofstream(file, std::ios::binary) << whole;
  }
}

// A law that cannot be fitted costs its own part of the report and nothing else.
TEST_F(Streams, ALawThatCannotBeFittedDoesNotDiscardTheReport) {
  std::ofstream(folder_ / "bad.yaml") << "formula: A * nosuch^alpha\nparameters: {A: {min: 0}, alpha: {}}\n";
  std::ofstream(folder_ / "flat.yaml") << "formula: A * N^alpha\nparameters: {A: {min: 0}, alpha: {}}\n";
  std::ofstream(folder_ / "good.yaml") << "formula: A * B^alpha\nparameters: {A: {min: 0}, alpha: {}}\n";
  const auto study = WriteStudy("  - none\n  - {quantizer: rtn, bits: [2, 3, 4], group_size: 32}\n", "[endings, uses]");
  std::string text = StartedProgram::Text(study);
  text.replace(text.find("unused"), 6, (folder_ / "out").string());
  std::ofstream(study) << text << "laws: [flat.yaml, good.yaml]\n";
  std::vector<std::string> words = RunArguments(study, "out");
  words.pop_back();  // --no-fit
  const ProgramEnd end = StartedProgram(words, folder_).Wait();
  EXPECT_EQ(end.exit_code, 0) << end.err;
  const auto files = FilesOf("out");
  for (const char* name :
       {"study.json", "observations.csv", "columns.json", "fits.json", "fits.csv", "report.txt", "report.md"}) {
    EXPECT_TRUE(files.contains(name)) << name;
  }
  ASSERT_TRUE(files.contains("report.txt"));
  EXPECT_THAT(files.at("report.txt"), HasSubstr("N does not vary"));
  EXPECT_THAT(files.at("report.txt"), HasSubstr("B^alpha"));

  // `run` refuses a law that it knows cannot be fitted; a report of what is recorded says so and shows the others.
  std::ofstream(study) << text << "laws: [bad.yaml, good.yaml]\n";
  const ProgramEnd refused = StartedProgram(words, folder_).Wait();
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("law 'bad' needs the column 'nosuch', which the observations of this study will not "
                                     "have."));
  const ProgramEnd report = StartedProgram({"--configs", BITLAW_SOURCE_DIR "/tests/support", "report", study.string(), "--format", "text"},
                                           folder_)
                                .Wait();
  EXPECT_EQ(report.exit_code, 2);
  EXPECT_THAT(report.err, HasSubstr("bitlaw: law 'bad' was not fitted: law 'bad' needs the column 'nosuch', which "
                                    "observations lacks."));
  EXPECT_THAT(report.out, HasSubstr("not fitted. law 'bad' needs the column 'nosuch', which observations lacks."));
  EXPECT_THAT(report.out, HasSubstr("B^alpha"));
}

TEST_F(Streams, AStudyHoldsAParameterOfItsLaws) {
  std::ofstream(folder_ / "held.yaml") << "formula: A * B^alpha\nparameters: {A: {min: 0}, alpha: {}}\n";
  const auto study = WriteStudy("  - none\n  - {quantizer: rtn, bits: [2, 3, 4], group_size: 32}\n", "[endings, uses]");
  const std::string text = StartedProgram::Text(study);
  std::ofstream(study, std::ios::app) << "laws: [held.yaml]\nfit: {fix: {alhpa: -1.5}}\n";
  std::vector<std::string> words = RunArguments(study, "out");
  words.pop_back();  // --no-fit
  const ProgramEnd wrong = StartedProgram(words, folder_).Wait();
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("fix: no law has a parameter 'alhpa'. Did you mean 'alpha'? Parameters: A, alpha."));
  std::ofstream(study) << text << "laws: [held.yaml]\nfit: {fix: {alpha: -1.5}}\n";
  const ProgramEnd end = StartedProgram(words, folder_).Wait();
  EXPECT_EQ(end.exit_code, 0) << end.err;
  const auto files = FilesOf("out");
  EXPECT_THAT(files.at("report.txt"), HasSubstr("A * B^alpha with alpha = -1.5"));
  const Json json = Json::parse(files.at("fits.json"));
  ASSERT_EQ(json.at("fits").size(), 3u);  // The strata LM, of task endings, KA, of task uses, and both together.
  for (size_t i = 0; i < 3; ++i) {
    const Json &fit = json.at("fits")[i], &binomial = fit.at("binomial"), &quality = binomial.at("quality");
    EXPECT_EQ(fit.at("formula"), "A * B^alpha with alpha = -1.5");
    // One parameter is estimated and counted; none of the tables has an interval of the other.
    ASSERT_EQ(binomial.at("parameters").size(), 1u);
    ASSERT_TRUE(binomial.at("parameters").contains("A"));
    EXPECT_EQ(quality.at("parameters"), 1);
    EXPECT_NEAR(quality.at("aic").get<double>() + 2 * quality.at("log_likelihood").get<double>(), 2 * 1, 1e-9);
    const Json& analysis = json.at("analysis").at("laws")[i];
    ASSERT_EQ(analysis.at("uncertainty").at("quantities").size(), 1u);
    EXPECT_EQ(analysis.at("uncertainty").at("quantities")[0].at("name"), "A");
    // Against the law with alpha free, one degree of freedom more.
    const Json& held = analysis.at("held")[0];
    EXPECT_EQ(held.at("small"), "alpha = -1.5");
    EXPECT_EQ(held.at("df1"), 1);
    EXPECT_EQ(held.at("small_objective"), binomial.at("objective"));
  }
  // The deviance of A B^-1.5 at the A that was found, of the counts that stand in the observations.
  ASSERT_EQ(json.at("fits")[1].at("stratum"), "KA");
  const Json& fit = json.at("fits")[1].at("binomial");
  const double a = fit.at("parameters").at("A").at("value").get<double>();
  double deviance = 0;
  int rows = 0;
  for (const auto& row : RowsOf(files.at("observations.csv"))) {
    if (row.at("task") != "uses" || row.at("metric") != "acc") continue;
    const double total = std::stod(row.at("items")), correct = std::round(std::stod(row.at("value")) * total);
    const double chance = std::stod(row.at("chance"));
    const double p = chance + (1 - chance) * std::exp(-a * std::pow(std::stod(row.at("B")), -1.5));
    deviance += correct > 0 ? 2 * correct * std::log(correct / total / p) : 0;
    deviance += 2 * (total - correct) * std::log((total - correct) / total / (1 - p));
    ++rows;
  }
  EXPECT_EQ(rows, 4);
  EXPECT_NEAR(fit.at("objective").get<double>(), deviance, 1e-6);
}

}  // namespace
}  // namespace bitlaw
