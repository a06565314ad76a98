#include <cstdio>
#include <memory>
#include <string>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/verbs.h"
#include "fit/output/fit_output.h"
#include "plan/plan.h"
#include "report/study_report.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct ReportArguments {
  std::string source, format = "text", output;
};

int Report(const ReportArguments& arguments, Session& session) {
  StudyResults report;
  if (fs::is_directory(arguments.source)) {
    report = FitStudy(fs::path(arguments.source), session.plugins());
  } else {
    const StudySpec study = ReadStudy(arguments.source, session.plugins(), session.SearchFolders());
    report = FitStudy(MakePlan(study, session.plugins()), session.plugins(), study.output);
  }
  const ReportDocument document = StudyDocument(report);
  std::vector<std::pair<std::string, std::string>> files;
  if (arguments.format == "text") {
    files.emplace_back("report.txt", RenderText(document));
  } else if (arguments.format == "markdown") {
    files.emplace_back("report.md", RenderMarkdown(document));
  } else {
    for (const ReportSection& section : document.sections) {
      for (const ReportTable& table : section.tables) files.emplace_back(table.name + ".csv", RenderCsv(table));
    }
    files.emplace_back("observations.csv", WriteCsv(report.observations));
    if (!arguments.output.empty()) files.emplace_back("columns.json", WriteColumns(report.columns));
    files.emplace_back("fits.csv", WriteCsv(FitReportTable(report.fits, report.analysis)));
  }
  for (const auto& [name, bytes] : files) {
    if (!arguments.output.empty()) {
      WriteDurably(fs::path(arguments.output) / name, bytes);
      std::printf("%s\n", (fs::path(arguments.output) / name).c_str());
    } else {
      if (arguments.format == "csv") std::printf("# %s\n", name.c_str());
      std::fputs(bytes.c_str(), stdout);
      if (arguments.format == "csv") std::fputs("\n", stdout);
    }
  }
  for (const FitFault& fault : report.fit_faults) Complain("bitlaw: " + fault.text + "\n");
  return report.fit_faults.empty() ? 0 : ExitCode(report.fit_faults.front().kind);
}

}  // namespace

void AddReportVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App* verb =
      app.add_subcommand("report", "Show what a study has recorded: models, grid, scores, laws, exclusions");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one")->required();
  verb->add_option("--format", arguments->format, "text, markdown or csv")
      ->check(CLI::IsMember({"text", "markdown", "csv"}));
  verb->add_option("--output", arguments->output, "Write files into this folder instead of printing");
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Report(*arguments, session); }; });
}

}  // namespace bitlaw
