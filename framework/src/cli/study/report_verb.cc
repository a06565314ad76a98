#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/common/unmatched_records.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "fit/output/fit_output.h"
#include "plan/plan.h"
#include "report/law_tables.h"
#include "report/page/html.h"
#include "report/page/study_page.h"
#include "report/study_report.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct ReportArguments {
  std::string source, format = "all", output;
  bool all_methods = false;
  std::vector<std::string> laws;
};

using Files = std::vector<std::pair<std::string, std::string>>;

// The files of one form alone.
Files FilesOf(const ReportArguments& arguments, const StudyResults& report) {
  ReportDocument page = StudyPage(report, arguments.all_methods, arguments.laws);
  Files files;
  if (arguments.format == "csv") {
    for (const auto* sections : {&page.sections, &page.appendix}) {
      for (const ReportSection& section : *sections) {
        for (const ReportTable& table : section.tables) files.emplace_back(table.name + ".csv", RenderCsv(table));
      }
    }
    files.emplace_back("observations.csv", WriteCsv(report.observations));
    if (!arguments.output.empty()) files.emplace_back("columns.json", WriteColumns(report.columns));
    files.emplace_back("fits.csv", WriteCsv(FitReportTable(report.fits, report.analysis)));
    return files;
  }
  const bool has_pictures = arguments.format == "html" || !arguments.output.empty();
  // What is printed has no folder of pictures beside it.
  if (!has_pictures) {
    for (ReportSection& section : page.sections) section.figures.clear();
  }
  const DrawnFigures drawn = DrawPage(page);
  if (!drawn.why_none.empty()) Complain("bitlaw: figures are not drawn: " + drawn.why_none + ".\n");
  if (arguments.format == "text") files.emplace_back("report.txt", RenderText(page));
  if (arguments.format == "markdown") files.emplace_back("report.md", RenderMarkdown(page));
  if (arguments.format == "html") files.emplace_back("report.html", RenderHtml(page, drawn));
  if (arguments.format == "latex") files.emplace_back("report.tex", RenderLatex(page, drawn));
  if (arguments.output.empty() || arguments.format == "html") return files;
  for (const auto& [name, bytes] : drawn.files) {
    const bool is_part = name.find('.') != name.rfind('.');
    if (!is_part) files.emplace_back(std::string(kFigureFolder) + "/" + name, bytes);
  }
  return files;
}

// Everything, beside what is recorded; the terminal gets the findings and where the page is.
void WriteAll(const ReportArguments& arguments, const StudyResults& report, const fs::path& folder) {
  ReportDocument page = StudyPage(report, arguments.all_methods, arguments.laws);
  const DrawnFigures drawn = DrawPage(page);
  if (!drawn.why_none.empty()) Complain("bitlaw: figures are not drawn: " + drawn.why_none + ".\n");
  for (const auto& [name, bytes] : ReportFiles(report, page, drawn)) WriteDurably(folder / name, bytes);
  for (const std::string& line : SummaryLines(report)) Say(line + "\n");
  Say("Report: " + (folder / "report.html").string() + " (also .md, .tex and .txt, figures and tables there)\n");
}

// Nothing to report of: a page without a row would stand in place of one that has them.
void RefuseEmpty(const Plan& plan, const StudyResults& report, const std::string& file) {
  const auto has_failed = [&](const Trial& trial) {
    return std::any_of(report.failures.begin(), report.failures.end(),
                       [&](const FailureLine& failure) { return failure.label == trial.label; });
  };
  if (report.observations.rows() > 0 || std::any_of(plan.trials.begin(), plan.trials.end(), has_failed)) return;
  throw Error(ErrorKind::kIo, file + ": there is nothing to report, and no file was written. " + UnmatchedRecords(plan, file));
}

// Error(kSpec) for a law that the study does not fit.
void RequireLaws(const std::vector<std::string>& laws, const FitReport& fits) {
  const std::vector<std::string> known = LawNames(fits);
  for (const std::string& law : laws) {
    if (std::find(known.begin(), known.end(), law) != known.end()) continue;
    throw Error(ErrorKind::kSpec, "--law " + law + ": the study fits no such law." + DidYouMean(law, known) +
                                      " Its laws: " + JoinNames(known) + ". 'bitlaw fit --law' fits any other.");
  }
}

int Report(const ReportArguments& arguments, Session& session) {
  StudyResults report;
  fs::path folder = arguments.source;
  if (fs::is_directory(arguments.source)) {
    report = FitStudy(fs::path(arguments.source), session.plugins());
  } else {
    const StudySpec study = ReadStudy(arguments.source, session.plugins(), session.SearchFolders());
    const Plan plan = MakePlan(study, session.plugins());
    report = FitStudy(plan, session.plugins(), study.output);
    RefuseEmpty(plan, report, arguments.source);
    folder = study.output;
  }
  RequireLaws(arguments.laws, report.fits);
  if (!arguments.output.empty()) folder = arguments.output;
  if (arguments.format == "all") {
    WriteAll(arguments, report, folder);
  } else {
    for (const auto& [name, bytes] : FilesOf(arguments, report)) {
      if (!arguments.output.empty()) {
        WriteDurably(folder / name, bytes);
        std::printf("%s\n", (folder / name).c_str());
      } else {
        if (arguments.format == "csv") std::printf("# %s\n", name.c_str());
        std::fputs(bytes.c_str(), stdout);
        if (arguments.format == "csv") std::fputs("\n", stdout);
      }
    }
  }
  for (const FitFault& fault : report.fit_faults) Complain("bitlaw: " + fault.text + "\n");
  return report.fit_faults.empty() ? 0 : ExitCode(report.fit_faults.front().kind);
}

}  // namespace

void AddReportVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App* verb = app.add_subcommand(
      "report", "Write the report of what a study has recorded: findings, figures, laws, all tables");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one")->required();
  verb->add_option(
          "--format", arguments->format,
          "all (every form as files, figures drawn by gnuplot; the default), or one of text, markdown, html, latex "
          "and csv, printed unless --output is given")
      ->check(OneOf({"all", "text", "markdown", "html", "latex", "csv"}));
  verb->add_option("--output", arguments->output, "Folder for the files; of --format all the study's own by default");
  verb->add_option("--law", arguments->laws,
                   "Figures of this law of the study, named by it, in place of the best of each stratum; repeatable")
      ->allow_extra_args(false);
  verb->add_flag("--all-methods", arguments->all_methods,
                 "Tables of every method by which a law was fitted, not the first of each stratum alone");
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Report(*arguments, session); }; });
}

}  // namespace bitlaw
