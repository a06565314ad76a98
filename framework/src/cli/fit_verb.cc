#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/verbs.h"
#include "fit/data/column_map.h"
#include "fit/estimate/row_predictions.h"
#include "fit/examine/analysis.h"
#include "fit/law/restricted_law.h"
#include "plan/plan.h"
#include "records/observations.h"
#include "report/law_tables.h"
#include "report/study_report.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct FitArguments {
  std::string source, data, map, where, json, csv, markdown, tables, predictions;
  std::vector<std::string> laws, derived, leave_out, hold_outs, zones, controls, strata, fixed;
  std::optional<std::string> chance_rule, weights, bootstrap_unit, groups;
  std::optional<int> random_starts, bootstrap, k_fold, permutations, threads;
  std::optional<int64_t> seed;
  std::optional<double> confidence;
  bool no_nulls = false, no_compare = false, profile = false, leave_one_out = false, by_task = false;
};

// What is to be fitted, wherever it came from.
struct FitInput {
  std::string title;
  Table table;
  std::vector<LawSpec> laws;
  Value settings;
  std::vector<std::string> warnings;
  fs::path output;  ///< With the records behind the table; empty if there are none.
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
    input.output = arguments.source;
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
  input.output = study.output;
  input.laws = study.laws;
  input.settings = study.fit;
  return input;
}

// A grouping as ParseGrouping() reads it; of a YAML file, the map of strata to lists of tasks in it.
std::string GroupingText(const std::string& given) {
  const fs::path path = given;
  if (path.extension() != ".yaml" && path.extension() != ".yml") return given;
  const Value file = ReadYamlFile(path);
  std::string text = path.stem().string() + ":";
  if (!file.is_map()) throw Error(ErrorKind::kSpec, given + ": a grouping is a map from strata to lists of tasks.");
  for (const auto& [stratum, tasks] : file.AsMap()) {
    if (!tasks.is_list())
      throw Error(ErrorKind::kSpec, tasks.mark().Text() + ": stratum '" + stratum + "' must be a list of task names.");
    std::string names;
    for (const Value& task : tasks.AsList()) {
      names += (names.empty() ? " " : ", ") + (task.is_string() ? task.AsString() : task.Text());
    }
    text += " " + stratum + " =" + names + ";";
  }
  return text;
}

// The study's settings with those of the command line over them, checked by one schema.
FitSettings Settings(const FitArguments& arguments, const FitInput& input) {
  Value given = input.settings;
  const auto set = [&](const char* name, const auto& option) {
    if (option) given.Set(name, Value(*option));
  };
  const auto set_list = [&](const char* name, const std::vector<std::string>& texts) {
    Value::List list(texts.begin(), texts.end());
    if (!list.empty()) given.Set(name, Value(std::move(list)));
  };
  set("chance_rule", arguments.chance_rule);
  set("weights", arguments.weights);
  set("bootstrap_unit", arguments.bootstrap_unit);
  set("groups", arguments.groups);
  set("random_starts", arguments.random_starts);
  set("bootstrap", arguments.bootstrap);
  set("k_fold", arguments.k_fold);
  set("permutations", arguments.permutations);
  set("threads", arguments.threads);
  set("seed", arguments.seed);
  set("confidence", arguments.confidence);
  set_list("derived", arguments.derived);
  set_list("leave_out", arguments.leave_out);
  set_list("hold_outs", arguments.hold_outs);
  set_list("zones", arguments.zones);
  set_list("controls", arguments.controls);
  std::vector<std::string> groupings;
  for (const std::string& one : arguments.strata) groupings.push_back(GroupingText(one));
  set_list("groupings", groupings);
  if (arguments.by_task) given.Set("average_tasks", false);
  if (arguments.no_nulls) given.Set("nulls", false);
  if (arguments.no_compare) given.Set("compare", false);
  if (arguments.profile) given.Set("profile", true);
  if (arguments.leave_one_out) given.Set("leave_one_out", true);
  return ReadFitSettings(given);
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
  FitSettings settings = Settings(arguments, input);
  std::vector<std::unique_ptr<Law>> laws = OpenLaws(input.laws, session.plugins());
  // Of laws that are not the study's, its own values hold what they name; those of the command line are meant for these.
  if (arguments.laws.empty()) CheckHeldNames(laws, settings.fix);
  std::vector<HeldValue> held;
  for (const std::string& text : arguments.fixed) held.push_back(ParseHeldValue(text));
  CheckHeldNames(laws, held);
  settings.fix.insert(settings.fix.end(), held.begin(), held.end());
  for (std::unique_ptr<Law>& law : laws) law = HoldIn(std::move(law), settings.fix);
  FitReport report = FitLaws(laws, input.table, settings);
  ItemScores items;
  if (settings.bootstrap_unit == "items" && !input.output.empty())
    items = ReadItemScores(input.table, RecordStore(input.output));
  const AnalysisReport analysis = Analyze(laws, input.table, settings, report, items.tasks.empty() ? nullptr : &items);
  report.notes.insert(report.notes.begin(), notes.begin(), notes.end());

  const ReportDocument document = FitDocument(report, analysis, input.title);
  std::fputs(RenderText(document).c_str(), stdout);
  if (!arguments.json.empty()) {
    Value json = FitReportJson(report);
    json.Set("analysis", AnalysisJson(analysis));
    WriteDurably(arguments.json, PrettyJson(json));
  }
  if (!arguments.tables.empty()) {
    for (const ReportSection& section : document.sections) {
      for (const ReportTable& table : section.tables)
        WriteDurably(fs::path(arguments.tables) / (table.name + ".csv"), RenderCsv(table));
    }
  }
  if (!arguments.csv.empty()) WriteDurably(arguments.csv, WriteCsv(FitReportTable(report, analysis)));
  if (!arguments.predictions.empty())
    WriteDurably(arguments.predictions, WriteCsv(RowPredictions(laws, input.table, settings, report)));
  if (!arguments.markdown.empty()) WriteDurably(arguments.markdown, RenderMarkdown(document));
  for (const LawFit& fit : report.fits) {
    if (!fit.Methods().empty()) return 0;
  }
  for (const LawFit& fit : report.fits) {
    if (!fit.unusable.empty()) throw Error(ErrorKind::kSpec, fit.unusable + ".");
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
                   "Column names for the law: N=params_b*1e9,B=bits (name=column or name=expression), read from left "
                   "to right; names with spaces or commas in backquotes: 'acc=`acc,none`'");
  verb->add_option("--where", arguments->where,
                   "Keep the rows for which this holds: \"quantizer == 'gptq' and B >= 3\"");
  verb->add_option("--starts", arguments->random_starts, "Random starts of iterative fits");
  verb->add_option("--seed", arguments->seed, "Seed of everything random");
  verb->add_flag("--no-nulls", arguments->no_nulls, "Leave out the fits of f(N), f(B) and f(N,B) beside each law");
  verb->add_option("--chance-rule", arguments->chance_rule, "likelihood or exclude: accuracies at or below chance");
  verb->add_option("--weights", arguments->weights, "1 / variance of the response: an expression, or item_errors");
  verb->add_option("--confidence", arguments->confidence, "Level of the intervals, 0.9");
  verb->add_option("--bootstrap", arguments->bootstrap, "Replicates, 500; 0: none");
  verb->add_option("--unit", arguments->bootstrap_unit,
                   "What counts as independent, in every section: trials, items, or a column. Default: model where the "
                   "table has such a column");
  verb->add_flag("--profile", arguments->profile, "Profile intervals of the parameters");
  verb->add_option("--derive", arguments->derived, "A function of the parameters: 'doubling = 2^alpha'; repeatable");
  verb->add_option("--fix", arguments->fixed, "Hold a parameter: alpha=0.34, and test it; repeatable");
  verb->add_option("--folds", arguments->k_fold, "Folds of the cross-validation, 5; 0: none");
  verb->add_flag("--leave-one-out", arguments->leave_one_out, "Predict each row by a fit without it");
  verb->add_option("--leave-out", arguments->leave_out,
                   "A column whose values are left out in turn: model; repeatable");
  verb->add_option("--hold-out", arguments->hold_outs, "Predict the rows for which this holds; repeatable");
  verb->add_option("--groups", arguments->groups, "Column of the Chow test");
  verb->add_option("--control", arguments->controls,
                   "Clear the laws of this, linear in OLS: a column, 'log_items = log(items)', or 'length: arc = 3, "
                   "gsm8k = 140'; repeatable");
  verb->add_option(
      "--strata", arguments->strata,
      "Fit other strata of the tasks too: 'by_format: choice = arc, boolq; free = gsm8k', a YAML file with "
      "such a map, or a column; repeatable");
  verb->add_flag("--by-task", arguments->by_task, "Of a study, fit a row a trial and task, not a stratum's mean");
  verb->add_option("--zone", arguments->zones, "Fit these rows apart: 'B == 2 and N < 2e9'; repeatable");
  verb->add_option("--permutations", arguments->permutations, "Random groupings of the tasks into strata, 1000");
  verb->add_option("--threads", arguments->threads, "0: one a core; results are the same for any number");
  verb->add_flag("--no-compare", arguments->no_compare, "Do not compare the laws with each other");
  verb->add_option("--tables", arguments->tables, "Write each table of the report as CSV into this folder");
  verb->add_option("--json", arguments->json, "Write everything to this file");
  verb->add_option("--csv", arguments->csv, "Write one row a law, stratum, method and parameter to this file");
  verb->add_option("--predictions", arguments->predictions,
                   "Write each row's prediction, residual and leverage, by law, stratum and method, to this file");
  verb->add_option("--markdown", arguments->markdown, "Write the report as Markdown to this file");
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Fit(*arguments, session); }; });
}

}  // namespace bitlaw
