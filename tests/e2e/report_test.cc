#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <regex>

#include "e2e/study_fixture.h"
#include "support/markup_check.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StudyReport : public StudyFolder {
 protected:
  // Records a study of two tasks and three bit-widths and fits a law to it.
  void Record() {
    std::ofstream(folder_ / "bits.yaml") << "formula: A * B^alpha\nparameters: {A: {min: 0}, alpha: {}}\n";
    const auto study = WriteStudy("  - none\n  - {quantizer: rtn, bits: [2, 3, 4], group_size: 32}\n", "[endings, uses]");
    std::ofstream(study, std::ios::app) << "laws: [bits.yaml]\nfit: {bootstrap: 20, permutations: 20}\n";
    std::vector<std::string> words = RunArguments(study, "out");
    words.pop_back();  // --no-fit
    run_ = StartedProgram(words, folder_).Wait();
    ASSERT_EQ(run_.exit_code, 0) << run_.err;
  }
  ProgramEnd Report(const std::vector<std::string>& more) {
    std::vector<std::string> words = {"report", (folder_ / "out").string()};
    words.insert(words.end(), more.begin(), more.end());
    return StartedProgram(words, folder_).Wait();
  }
  ProgramEnd run_;
};

// Recorded and not fitted: the folder still knows the study's laws and what its columns are called in them.
TEST_F(StudyReport, FolderOfARunWithoutFitsKnowsLawsAndMap) {
  std::ofstream(folder_ / "width.yaml") << "formula: A * W^alpha\nparameters: {A: {min: 0}, alpha: {}}\n";
  const auto study = WriteStudy("  - none\n  - {quantizer: rtn, bits: [2, 3, 4], group_size: 32}\n", "[endings, uses]");
  std::ofstream(study, std::ios::app) << "laws: [width.yaml]\nmap: {W: B}\nfit: {bootstrap: 0, permutations: 0}\n";
  const ProgramEnd run = StartedProgram(RunArguments(study, "out"), folder_).Wait();
  ASSERT_EQ(run.exit_code, 0) << run.err;
  ASSERT_FALSE(FilesOf("out").contains("fits.json"));
  const ProgramEnd fit = StartedProgram({"fit", (folder_ / "out").string()}, folder_).Wait();
  EXPECT_EQ(fit.exit_code, 0) << fit.err;
  EXPECT_THAT(fit.out, HasSubstr("Law width"));
  const ProgramEnd report = Report({});
  EXPECT_EQ(report.exit_code, 0) << report.err;
}

TEST_F(StudyReport, IsOnePageWithFiguresBesideTables) {
  Record();
  EXPECT_THAT(run_.out, HasSubstr("Report: " + (folder_ / "out" / "report.html").string()));
  const auto files = FilesOf("out");
  for (const char* name : {"report.html", "report.md", "report.tex", "report.txt", "predictions.csv", "tables/laws.csv",
                           "figures/measured_against_predicted.csv", "figures/size_accuracy.csv"})
    EXPECT_TRUE(files.contains(name)) << name;
  ASSERT_TRUE(files.contains("report.html"));
  const std::string& page = files.at("report.html");
  EXPECT_EQ(ExplainMarkup(page), "");
  EXPECT_LT(page.size(), 3u << 20);
  EXPECT_THAT(page, HasSubstr("<h2>What was found</h2>"));
  EXPECT_THAT(page, HasSubstr("<h2>What may not be concluded</h2>"));
  EXPECT_THAT(page, HasSubstr("Not here: Accuracy over model size: the best laws have no factor of scale"));
  // A row of the predictions has the interval of its law.
  EXPECT_THAT(files.at("predictions.csv"), HasSubstr("residual_acc_adj,low,high,leverage,studentized,B\n"));
  if (run_.err.find("is not installed") != std::string::npos) GTEST_SKIP() << "no figures were looked at: " << run_.err;
  for (const char* name : {"figures/measured_against_predicted.svg", "figures/size_accuracy.svg"}) {
    ASSERT_TRUE(files.contains(name)) << name;
    EXPECT_EQ(ExplainMarkup(files.at(name)), "") << name;
  }
  EXPECT_TRUE(files.at("figures/size_accuracy.pdf").starts_with("%PDF"));
  EXPECT_THAT(page, HasSubstr("<figure id=\"figure-size_accuracy\">"));
  EXPECT_THAT(page, Not(HasSubstr("Not drawn")));

  // The same again from the folder alone.
  const ProgramEnd again = Report({});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(StartedProgram::Text(folder_ / "out" / "report.html"), page);
  const ProgramEnd chosen = Report({"--law", "bits"});
  EXPECT_EQ(chosen.exit_code, 0) << chosen.err;
  EXPECT_TRUE(FilesOf("out").contains("figures/measured_against_predicted_bits.csv"));
  const ProgramEnd unknown = Report({"--law", "bit"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.err,
            "bitlaw: --law bit: the study fits no such law. Did you mean 'bits'? Its laws: bits. 'bitlaw fit --law' "
            "fits any other.\n");
  const ProgramEnd latex = Report({"--format", "latex"});
  EXPECT_THAT(latex.out, HasSubstr("\\begin{tabular}"));
}

// The verdicts are those of `bitlaw paired`.
TEST_F(StudyReport, SaysWhichTrialsGotWorse) {
  Record();
  const auto files = FilesOf("out");
  ASSERT_TRUE(files.contains("tables/degraded.csv"));
  const ProgramEnd paired =
      StartedProgram({"paired", (folder_ / "out").string(), "--show", "verdicts", "--format", "csv"}, folder_).Wait();
  EXPECT_EQ(files.at("tables/degraded.csv"), paired.out);
  const auto rows = RowsOf(paired.out);
  ASSERT_EQ(rows.size(), 3u);
  const auto degraded =
      std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.at("verdict") == "degraded"; });
  const std::string sentence = std::to_string(degraded) + " of 3 quantized trials " + (degraded == 1 ? "has" : "have") +
                               " got worse than the unquantized model by more than chance";
  for (const char* name : {"report.html", "report.md", "report.tex", "report.txt"})
    EXPECT_THAT(files.at(name),
                AllOf(HasSubstr(sentence), HasSubstr("Degraded or not, over all benchmarks of a trial")))
        << name;
  EXPECT_THAT(run_.out, HasSubstr(std::to_string(degraded) + " of 3 quantized trials got worse by more than chance\n"));
}

// From anywhere: by the name that the study gives it, and a law of a loaded plugin by the component's.
TEST_F(StudyReport, IsOfLawsThatFitAndPredictFindByName) {
  Record();
  const std::string out = (folder_ / "out").string(), plugins = BITLAW_BUILD_DIR "/tests/fixture_plugins";
  const auto call = [&](std::vector<std::string> words) { return StartedProgram(words, folder_).Wait(); };
  const ProgramEnd own = call({"fit", out, "--law", "bits"});
  EXPECT_EQ(own.exit_code, 0) << own.err;
  EXPECT_THAT(own.out, HasSubstr("A * B^alpha"));
  const ProgramEnd predicted = call({"predict", out, "--law", "bits", "--at", "B=5"});
  EXPECT_EQ(predicted.exit_code, 0) << predicted.err;
  for (const char* name : {"fixture_law", "law/fixture_law"}) {
    const ProgramEnd fit = call({"--plugin", plugins, "fit", out, "--law", name, "--map", "acc=value"});
    EXPECT_THAT(fit.out, HasSubstr("a * scale * N"));
    // One model has one N.
    EXPECT_EQ(fit.exit_code, 6);
    EXPECT_EQ(fit.err, "bitlaw: fit: no law could be fitted to any stratum; the report says why for each.\n");
  }
  const ProgramEnd not_loaded = call({"fit", out, "--law", "fixture_law"});
  EXPECT_EQ(not_loaded.exit_code, 2);
  EXPECT_THAT(not_loaded.err, AllOf(HasSubstr("there is no 'fixture_law.yaml'. Known: "),
                                    HasSubstr(" Nor is it a loaded component. Loaded laws: formula, gaussian_capacity; "
                                              "--plugin PATH loads another.")));
}

// Without digests nothing that is recorded is known to be of this study.
TEST_F(StudyReport, IsNotReplacedByAnEmptyOne) {
  Record();
  const fs::path study = folder_ / "study.yaml";
  std::string text = StartedProgram::Text(study);
  const std::string old = "output: unused";
  text.replace(text.find(old), old.size(), "output: " + (folder_ / "out").string());
  std::ofstream(study) << text;
  const auto call = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--configs", BITLAW_SOURCE_DIR "/tests/support"});
    return StartedProgram(words, folder_).Wait();
  };
  const ProgramEnd whole = call({"report", study.string()});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_THAT(call({"plan", study.string()}).out, Not(HasSubstr("none matches")));
  const auto before = FilesOf("out");
  const auto records = std::count_if(before.begin(), before.end(), [](const auto& file) {
    return file.first.starts_with("records/") && file.first.ends_with(".json");
  });
  ASSERT_GT(records, 8);  // Of 4 trials on 2 tasks, and of quantizations.

  fs::remove(folder_ / "out" / "digests.json");
  const std::string told = (folder_ / "out" / "records").string() + " has " + std::to_string(records) +
                           " records, but none matches the study's 4 trials as far as is known without reading models";
  const std::string next = "`bitlaw run " + study.string() + "` looks, and does what is missing.";
  auto kept = before;
  kept.erase("digests.json");
  for (const char* format : {"all", "text"}) {
    const ProgramEnd refused = call({"report", study.string(), "--format", format});
    EXPECT_EQ(refused.exit_code, 5);
    EXPECT_EQ(refused.out, "");
    EXPECT_THAT(refused.err, AllOf(HasSubstr(study.string() + ": there is nothing to report"), HasSubstr(told), HasSubstr(next)));
    EXPECT_EQ(FilesOf("out"), kept);
  }
  for (const char* verb : {"fit", "paired"}) {
    const ProgramEnd refused = call({verb, study.string()});
    EXPECT_EQ(refused.exit_code, 5) << verb;
    EXPECT_THAT(refused.err, AllOf(HasSubstr(told), HasSubstr(next))) << verb;
  }
  const ProgramEnd plan = call({"plan", study.string()});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, AllOf(HasSubstr("note: " + told), HasSubstr(next), HasSubstr("0 there, 8 to make")));
  EXPECT_THAT(call({"plan", study.string(), "--json"}).out, HasSubstr(told));

  // A study that was never run has none.
  fs::remove_all(folder_ / "out" / "records");
  EXPECT_THAT(call({"report", study.string()}).err,
              HasSubstr("has no records of the study's 4 trials. `bitlaw run " + study.string() + "` makes them."));
  EXPECT_THAT(call({"plan", study.string()}).out, Not(HasSubstr("note:")));
}

// With the packages that the page of the report names: texlive-latex-recommended.
TEST_F(StudyReport, IsSetByLatex) {
  if (std::system("command -v pdflatex > /dev/null 2>&1") != 0) GTEST_SKIP() << "pdflatex is not installed";
  Record();
  const std::string out = (folder_ / "out").string();
  const std::string command =
      "cd '" + out + "' && pdflatex -interaction=nonstopmode -halt-on-error report.tex > set.txt 2>&1";
  EXPECT_EQ(std::system((command + " && " + command).c_str()), 0) << StartedProgram::Text(folder_ / "out" / "set.txt");
  EXPECT_TRUE(StartedProgram::Text(folder_ / "out" / "report.pdf").starts_with("%PDF"));
  // A line that is wider than the page by more than a letter or two.
  const std::string log = StartedProgram::Text(folder_ / "out" / "set.txt");
  const std::regex wide(R"(Overfull \\hbox \((\d+)\.\d+pt too wide\))");
  for (auto at = std::sregex_iterator(log.begin(), log.end(), wide); at != std::sregex_iterator(); ++at)
    EXPECT_LT(std::stoi((*at)[1]), 20) << at->str();
}

// Without gnuplot everything else is written, and what to install is said.
TEST_F(StudyReport, IsWrittenWithoutGnuplot) {
  Record();
  fs::create_directory(folder_ / "empty");
  const std::string path = ::getenv("PATH") == nullptr ? "" : ::getenv("PATH");
  ::setenv("PATH", (folder_ / "empty").c_str(), 1);
  const ProgramEnd end = Report({"--output", (folder_ / "bare").string()});
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, HasSubstr("bitlaw: figures are not drawn: the program 'gnuplot' is not installed. Install it (Debian and "
                                 "Ubuntu: apt install gnuplot-nox) and run 'bitlaw report' again."));
  const auto files = FilesOf("bare");
  EXPECT_TRUE(files.contains("figures/size_accuracy.csv"));
  EXPECT_FALSE(files.contains("figures/size_accuracy.svg"));
  EXPECT_EQ(ExplainMarkup(files.at("report.html")), "");
  EXPECT_THAT(files.at("report.html"), HasSubstr("Not drawn: the program &#39;gnuplot&#39; is not installed."));
  EXPECT_THAT(files.at("report.md"), Not(HasSubstr("![")));
}

}  // namespace
}  // namespace bitlaw
