#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
#include "cli/verbs.h"
#include "fit/column_map.h"
#include "plan/plan.h"
#include "records/durable_file.h"
#include "records/observations.h"
#include "report/law_tables.h"
#include "report/study_report.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct FitArguments {
  std::string source, data, map, where, json, csv, markdown;
  std::vector<std::string> laws;
  int random_starts = -1;
  int64_t seed = -1;
  bool no_nulls = false;
};

// What is to be fitted, wherever it came from.
struct FitInput {
  std::string title;
  Table table;
  std::vector<LawSpec> laws;
  Value settings;
  std::vector<std::string> warnings;
};

FitInput ReadInput(const FitArguments& arguments, Session& session) {
  FitInput input;
  if (arguments.source.empty() == arguments.data.empty()) {
    throw Error(ErrorKind::kSpec, "fit: give either a study (its file or output folder) or --data TABLE.csv.");
  }
  if (!arguments.data.empty()) {
    input.title = "Fits to " + fs::path(arguments.data).filename().string();
    // The identifiers of observations stay texts; a foreign table has no such columns.
    CsvOptions options;
    const Table probe = ReadCsv(arguments.data);
    if (probe.Find("trial") != nullptr && probe.Find("task") != nullptr)
      options.text_columns = ObservationTextColumns();
    input.table = ReadCsv(arguments.data, options);
    return input;
  }
  if (fs::is_directory(arguments.source)) {
    const fs::path observations = fs::path(arguments.source) / "observations.csv";
    const fs::path description = fs::path(arguments.source) / "study.json";
    if (!fs::exists(observations)) {
      throw Error(ErrorKind::kIo, observations.string() +
                                      ": there is no such file. An output folder has it once 'bitlaw run' has "
                                      "ended there; give the study file instead.");
    }
    input.table = ReadCsv(observations, {ObservationTextColumns()});
    input.title = "Fits to " + observations.string();
    if (fs::exists(description)) {
      StudyDescription study = ReadStudyDescription(ReadWholeFile(description), description.string());
      input.title = "Fits of study " + study.study;
      input.laws = std::move(study.laws);
      input.settings = std::move(study.fit);
    }
    return input;
  }
  const StudySpec study = ReadStudy(arguments.source, session.plugins(), session.SearchFolders());
  const Plan plan = MakePlan(study, session.plugins());
  input.title = "Fits of study " + study.name;
  input.table = Observations(plan, session.plugins(), study.output, &input.warnings);
  input.laws = study.laws;
  input.settings = study.fit;
  return input;
}

FitSettings Settings(const FitArguments& arguments, const FitInput& input) {
  FitSettings settings = ReadFitSettings(input.settings);
  if (arguments.random_starts >= 0) settings.random_starts = arguments.random_starts;
  if (arguments.seed >= 0) settings.seed = static_cast<uint64_t>(arguments.seed);
  if (arguments.no_nulls) settings.nulls = false;
  return settings;
}

int Fit(const FitArguments& arguments, Session& session) {
  FitInput input = ReadInput(arguments, session);
  if (!arguments.laws.empty()) {
    input.laws.clear();
    for (const std::string& law : arguments.laws) {
      input.laws.push_back(ReadLaw(law, session.plugins(), session.SearchFolders()));
    }
  }
  if (input.laws.empty()) throw Error(ErrorKind::kSpec, "fit: no law is named. Give --law FILE or --law NAME.");
  if (input.table.rows() == 0) {
    throw Error(ErrorKind::kIo,
                "fit: the table has no rows." + (input.warnings.empty() ? "" : " " + input.warnings[0]));
  }
  if (!arguments.map.empty()) input.table = MapColumns(input.table, arguments.map);
  std::vector<std::string> notes = input.warnings;
  if (!arguments.where.empty()) {
    const std::vector<size_t> rows = input.table.Where(Expression::Parse(arguments.where));
    notes.push_back("--where '" + arguments.where + "' kept " + std::to_string(rows.size()) + " of " +
                    std::to_string(input.table.rows()) + " rows.");
    input.table = input.table.Rows(rows);
  }
  FitReport report = FitLaws(OpenLaws(input.laws, session.plugins()), input.table, Settings(arguments, input));
  report.notes.insert(report.notes.begin(), notes.begin(), notes.end());

  const ReportDocument document = FitDocument(report, input.title);
  std::fputs(RenderText(document).c_str(), stdout);
  if (!arguments.json.empty()) WriteDurably(arguments.json, PrettyJson(FitReportJson(report)));
  if (!arguments.csv.empty()) WriteDurably(arguments.csv, WriteCsv(FitReportTable(report)));
  if (!arguments.markdown.empty()) WriteDurably(arguments.markdown, RenderMarkdown(document));
  for (const LawFit& fit : report.fits) {
    if (!fit.Methods().empty()) return 0;
  }
  throw Error(ErrorKind::kNumerical, "fit: no law could be fitted to any stratum; the report says why for each.");
}

}  // namespace

void AddFitVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<FitArguments>();
  CLI::App* verb = app.add_subcommand("fit", "Fit scaling laws to a study's records or to any CSV table");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one");
  verb->add_option("--data", arguments->data, "A CSV table instead of a study");
  verb->add_option("--law", arguments->laws,
                   "A law file, or the name of one in configs/laws; may be repeated. Default: the study's");
  verb->add_option("--map", arguments->map,
                   "Column names for the law: N=params_b*1e9,B=bits (name=column or name=expression)");
  verb->add_option("--where", arguments->where,
                   "Keep the rows for which this holds: \"quantizer == 'gptq' and B >= 3\"");
  verb->add_option("--starts", arguments->random_starts, "Random starts of iterative fits")->check(CLI::Range(0, 1000));
  verb->add_option("--seed", arguments->seed, "Seed of the random starts")->check(CLI::NonNegativeNumber);
  verb->add_flag("--no-nulls", arguments->no_nulls, "Leave out the fits of f(N), f(B) and f(N,B) beside each law");
  verb->add_option("--json", arguments->json, "Write everything to this file");
  verb->add_option("--csv", arguments->csv, "Write one row a law, stratum, method and parameter to this file");
  verb->add_option("--markdown", arguments->markdown, "Write the report as Markdown to this file");
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Fit(*arguments, session); }; });
}

}  // namespace bitlaw
