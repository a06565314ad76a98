#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/results/study_table.h"
#include "cli/verbs.h"
#include "fit/output/row_predictions.h"
#include "fit/examine/analysis.h"
#include "fit/options/fit_options.h"
#include "fit/output/fit_output.h"
#include "fit/study/study_laws.h"
#include "fit/study/study_results.h"
#include "report/law_tables.h"
#include "report/study_report.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct FitArguments {
  std::string source, data, map, where, json, csv, markdown, tables, predictions;
  std::vector<std::string> laws, strata, fixed;
  bool all_methods = false;
  Value settings;  ///< Of FitOptions(), as `fit:` of a study has them; --strata and --fix, which say more, stand above.
};

// What --strata names: a grouping as ParseGrouping() reads it, or a YAML file with the map of strata to lists of tasks.
Grouping ReadGrouping(const std::string& given) {
  const fs::path path = given;
  if (path.extension() != ".yaml" && path.extension() != ".yml") return ParseGrouping(given);
  const Value file = ReadYamlFile(path);
  if (!file.is_map()) throw Error(ErrorKind::kSpec, given + ": a grouping is a map from strata to lists of tasks.");
  Grouping grouping{path.stem().string(), {}};
  for (const auto& [stratum, tasks] : file.AsMap()) {
    if (!tasks.is_list())
      throw Error(ErrorKind::kSpec, tasks.mark().Text() + ": stratum '" + stratum + "' must be a list of task names.");
    std::vector<std::string> names;
    for (const Value& task : tasks.AsList()) names.push_back(task.is_string() ? task.AsString() : task.Text());
    grouping.strata.emplace_back(stratum, std::move(names));
  }
  CheckGrouping(grouping);
  return grouping;
}

// The study's settings with those of the command line over them, checked by one schema.
FitSettings Settings(const FitArguments& arguments, const StudyTable& input) {
  Value given = input.settings;
  if (arguments.settings.is_map()) {
    for (const auto& [name, value] : arguments.settings.AsMap()) given.Set(name, value);
  }
  FitSettings settings = StudyFitSettings(given, input.columns, input.map);
  if (!arguments.strata.empty()) settings.groupings.clear();
  for (const std::string& one : arguments.strata) settings.groupings.push_back(ReadGrouping(one));
  return settings;
}

int Fit(const FitArguments& arguments, Session& session) {
  StudyTable input = ReadStudyTable("fit", arguments.source, arguments.data, session);
  const std::string title = (input.is_study ? "Fits of " : "Fits to ") + input.name;
  if (!arguments.laws.empty()) {
    std::vector<LawSpec> laws;
    for (const std::string& law : arguments.laws) {
      LawSpec read = LawFor(input, law, session);
      const auto taken = [&](const std::string& name) {
        return std::any_of(laws.begin(), laws.end(), [&](const LawSpec& one) { return one.name == name; });
      };
      // Formulas of the same letters: A * N and A + N.
      const std::string name = read.name;
      for (int number = 2; taken(read.name); ++number) read.name = name + "-" + std::to_string(number);
      laws.push_back(std::move(read));
    }
    input.laws = std::move(laws);
  }
  if (input.laws.empty()) throw Error(ErrorKind::kSpec, "fit: no law is named. Give --law FILE or --law NAME.");
  input.table = TableToFit(input, arguments.map, arguments.where);
  const std::vector<std::string>& notes = input.warnings;
  FitSettings settings = Settings(arguments, input);
  // Of laws that are not the study's, its own values hold what they name; those of the command line are meant for
  // these.
  std::vector<HeldValue> others = arguments.laws.empty() ? std::vector<HeldValue>() : settings.fix;
  std::vector<HeldValue> fix = arguments.laws.empty() ? settings.fix : std::vector<HeldValue>();
  for (const std::string& text : arguments.fixed) {
    fix.push_back(ParseHeldValue(text));
    settings.fix.push_back(fix.back());
  }
  const OpenedLaws opened = OpenStudyLaws(input.laws, session.plugins(), fix, others);
  if (!opened.faults.empty()) throw opened.faults.front().error;
  const std::vector<std::unique_ptr<Law>>& laws = opened.laws;
  FitReport report = FitLaws(laws, input.table, settings);
  ItemScores items;
  if (settings.bootstrap_unit == "items" && !input.output.empty())
    items = ReadItemScores(input.table, RecordStore(input.output));
  const AnalysisReport analysis = Analyze(laws, input.table, settings, report, items.tasks.empty() ? nullptr : &items);
  report.notes.insert(report.notes.begin(), notes.begin(), notes.end());

  const ReportDocument document = FitDocument(report, analysis, title, arguments.all_methods);
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

// The flag of one option of `fit:`, whose type, range, default and doc are the schema's.
void AddFitOption(CLI::App& verb, const FitOption& option, const std::shared_ptr<FitArguments>& arguments) {
  const OptionField& field = *FitSchema().Find(option.name);
  const std::string name = option.name;
  std::string doc = field.doc;
  if (name == "groupings") {
    verb.add_option(option.flag, arguments->strata, doc + " Repeatable");
    return;
  }
  if (name == "fix") {
    verb.add_option(option.flag, arguments->fixed, doc + " Repeatable");
    return;
  }
  const auto set = [arguments, name](Value value) { arguments->settings.Set(name, std::move(value)); };
  const Value& preset = field.default_value;
  if (!preset.is_null() && !preset.is_bool() && preset != Value("")) {
    doc += " Default: " + (preset.is_string() ? preset.AsString() : preset.Text());
  }
  switch (field.type) {
    case OptionType::kBool: {
      const bool opposite = !preset.AsBool();
      if (!opposite) doc = "Turns '" + name + "' off: " + doc;
      verb.add_flag_callback(option.flag, [set, opposite] { set(opposite); }, doc);
      return;
    }
    case OptionType::kInt:
      verb.add_option_function<int64_t>(option.flag, [set](int64_t value) { set(value); }, doc);
      return;
    case OptionType::kReal:
      verb.add_option_function<double>(option.flag, [set](double value) { set(value); }, doc);
      return;
    case OptionType::kList:
      verb.add_option_function<std::vector<std::string>>(
          option.flag, [set](const std::vector<std::string>& texts) { set(Value::List(texts.begin(), texts.end())); },
          doc + " Repeatable");
      return;
    default:
      verb.add_option_function<std::string>(option.flag, [set](const std::string& text) { set(text); }, doc);
  }
}

}  // namespace

void AddFitVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<FitArguments>();
  CLI::App* verb = app.add_subcommand("fit", "Fit scaling laws to a study's records or to any CSV table");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one");
  verb->add_option("--data", arguments->data, "A CSV table instead of a study");
  verb->add_option(
      "--law", arguments->laws,
      "A law of the study by its name, a law file, the name of one in configs/laws or of a loaded component, or a "
      "formula: 'A * N^-alpha', 'acc_adj = A * N^alpha'; may be repeated. Default: the study's");
  verb->add_option("--map", arguments->map,
                   "Column names for the law: N=params_b*1e9,B=bits (name=column or name=expression), read from left "
                   "to right; names with spaces or commas in backquotes: 'acc=`acc,none`'");
  verb->add_option("--where", arguments->where,
                   "Keep the rows for which this holds: \"quantizer == 'gptq' and B >= 3\"");
  for (const FitOption& option : FitOptions()) AddFitOption(*verb, option, arguments);
  verb->add_option("--tables", arguments->tables, "Write each table of the report as CSV into this folder");
  verb->add_option("--json", arguments->json, "Write everything to this file");
  verb->add_option("--csv", arguments->csv, "Write one row a law, stratum, method and parameter to this file");
  verb->add_option(
      "--predictions", arguments->predictions,
      "Write each row's prediction, interval, residual and leverage, by law, stratum and method, to this file");
  verb->add_flag("--all-methods", arguments->all_methods,
                 "Print every method by which a law was fitted, not the first of each stratum alone");
  verb->add_option("--markdown", arguments->markdown, "Write the report as Markdown to this file");
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Fit(*arguments, session); }; });
}

}  // namespace bitlaw
