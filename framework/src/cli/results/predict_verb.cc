#include <memory>
#include <string>
#include <vector>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/results/study_table.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "fit/output/prediction_output.h"
#include "fit/predict/point_answer.h"
#include "fit/study/study_results.h"
#include "report/prediction_table.h"

namespace bitlaw {
namespace {

struct PredictArguments {
  std::string source, data, law, map, where, json, format = "text";
  std::vector<std::string> points;
  Value settings;  ///< Over those of the study's `fit:`.
  bool coverage = false, with_held_out = false;
};

int Predict(const PredictArguments& arguments, Session& session) {
  if (arguments.points.empty() && !arguments.coverage) {
    throw Error(ErrorKind::kSpec, "predict: no point is given. Give --at 'N=1.7e9, B=3, G=64, Cb=128', or --coverage.");
  }
  std::vector<LawPoint> points;
  for (const std::string& text : arguments.points) {
    for (LawPoint& point : ParsePoints(text)) points.push_back(std::move(point));
  }
  StudyTable input = ReadStudyTable("predict", arguments.source, arguments.data, session);
  Value given = input.settings;
  if (arguments.settings.is_map()) {
    for (const auto& [name, value] : arguments.settings.AsMap()) given.Set(name, value);
  }
  const FitSettings settings = StudyFitSettings(given, input.columns, input.map);
  std::unique_ptr<Law> law = OneLaw(input, arguments.law, settings, session);
  const PredictedStudy study(std::move(law), TableToFit(input, arguments.map, arguments.where), settings,
                             arguments.with_held_out);
  std::vector<PointAnswer> answers;
  for (const LawPoint& point : points) answers.push_back(AnswerPoint(study, point));

  if (!answers.empty()) {
    ReportTable table = PredictionTable(study, answers, settings.confidence);
    for (const std::string& warning : input.warnings) table.notes.push_back(warning);
    if (arguments.format == "csv") table.notes.clear();
    PrintReportTable(table, arguments.format);
  }
  if (arguments.coverage) {
    ReportTable table = CoverageTable(study, settings.confidence);
    if (arguments.format == "csv") table.notes.clear();
    PrintReportTable(table, arguments.format);
  }
  if (!arguments.json.empty())
    WriteDurably(arguments.json, PrettyJson(PredictionsJson(study, answers, settings.confidence)));
  std::string reasons;
  for (const StratumPredictor& stratum : study.strata()) {
    if (stratum.why_none().empty()) return 0;
    reasons += " " + stratum.stratum() + ": " + stratum.why_none() + ".";
  }
  throw Error(ErrorKind::kNumerical,
              "predict: law '" + study.law().name() + "' could not be fitted to any stratum." + reasons);
}

}  // namespace

void AddPredictVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PredictArguments>();
  CLI::App* verb =
      app.add_subcommand("predict", "Say what a law expects of configurations, measured or not, and how sure");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one");
  verb->add_option("--data", arguments->data, "A CSV table instead of a study");
  verb->add_option("--law", arguments->law,
                   "A law of the study by its name, a law file, the name of one in configs/laws or of a loaded "
                   "component, or a formula. Default: the study's first");
  verb->add_option(
          "--at", arguments->points,
          "A point: 'N=1.7e9, B=3, G=64, Cb=128'. Lists 2|3|4 and ranges 2..8, 1..2..0.5, 32..128*2 make several; "
          "model=NAME gives what is known of that model. Repeatable")
      ->allow_extra_args(false);
  verb->add_option("--map", arguments->map, "Column names for the law, as of 'bitlaw fit'");
  verb->add_option("--where", arguments->where, "Fit the rows for which this holds: \"quantizer == 'gptq'\"");
  verb->add_option_function<double>(
          "--confidence", [arguments](double level) { arguments->settings.Set("confidence", level); },
          "Level of the intervals. Default: 0.9, or the study's")
      ->check(Number(0.5, 0.9999));
  verb->add_option_function<std::string>(
      "--unit", [arguments](const std::string& unit) { arguments->settings.Set("bootstrap_unit", unit); },
      "What counts as independent, as of 'bitlaw fit'. Default: model where there is such a column");
  verb->add_flag("--with-held-out", arguments->with_held_out, "Fit the rows that the study holds out, too");
  verb->add_flag(
      "--coverage", arguments->coverage,
      "Show how often the intervals hold what was measured: each configuration, bits of a model, and model is "
      "left out and predicted");
  verb->add_option("--json", arguments->json, "Write everything to this file");
  verb->add_option("--format", arguments->format, "text, markdown or csv")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Predict(*arguments, session); }; });
}

}  // namespace bitlaw
