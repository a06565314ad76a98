#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/results/study_table.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "fit/study/study_results.h"
#include "recommend/recommend.h"
#include "recommend/recommend_output.h"
#include "report/figure/draw_figures.h"
#include "report/pictures/recommend_figure.h"
#include "report/recommend_table.h"

namespace bitlaw {
namespace {

struct RecommendArguments {
  std::string source, data, law, map, json, figure, format = "text";
  std::string weights, cache, memory, need, stratum_weights, order;
  std::vector<std::string> floors, models, points;
  double bits = std::numeric_limits<double>::infinity(), context = 0, batch = 1;
  double confidence = kUnset;
  size_t top = 10;
  bool sure = false, front = false, check = false;
};

Constraints ReadConstraints(const RecommendArguments& arguments) {
  Constraints c;
  if (!arguments.weights.empty()) c.most_weight_bytes = ParseSize(arguments.weights, "--max-weights");
  if (!arguments.cache.empty()) c.most_cache_bytes = ParseSize(arguments.cache, "--max-cache");
  if (!arguments.memory.empty()) c.most_memory_bytes = ParseSize(arguments.memory, "--max-memory");
  c.most_bits = arguments.bits;
  c.context_tokens = arguments.context;
  c.batch = arguments.batch;
  if (c.needs_cache() && !(c.context_tokens > 0)) {
    throw Error(ErrorKind::kSpec,
                "recommend: the size of the cache depends on the context. Give --context TOKENS (and --batch N).");
  }
  c.models = arguments.models;
  c.need = arguments.need;
  for (const std::string& text : arguments.floors) c.floors.push_back(ParseFloor(text));
  if (!arguments.stratum_weights.empty()) c.weights = ParseStratumWeights(arguments.stratum_weights);
  c.is_sure = arguments.sure;
  // Who gives floors and no limit asks for the cheapest that keeps them.
  const bool has_cap = std::isfinite(c.most_weight_bytes) || c.needs_cache() || std::isfinite(c.most_bits);
  const std::string order = !arguments.order.empty()      ? arguments.order
                            : c.floors.empty() || has_cap ? "accuracy"
                            : arguments.context > 0       ? "memory"
                                                          : "weights";
  c.order = order == "weights"  ? Constraints::Order::kWeights
            : order == "memory" ? Constraints::Order::kMemory
                                : Constraints::Order::kAccuracy;
  return c;
}

ReportTable CheckTable(const std::vector<CheckedStratum>& strata) {
  ReportTable table;
  table.name = "check";
  table.header = {"stratum", "measured", "predicted", "low", "high", "inside"};
  for (const CheckedStratum& one : strata) {
    table.rows.push_back({one.stratum, Fixed(one.measured, 3), Fixed(one.predicted, 3), Fixed(one.interval.low, 3),
                          Fixed(one.interval.high, 3), one.is_inside ? "yes" : "no"});
  }
  if (table.rows.empty())
    table.notes.push_back("the law's fit does not have it (a factor is missing), so there is nothing to check");
  return table;
}

// By the ending of its name; asked before anything is computed.
std::string FigureForm(const std::string& file) {
  const std::string ending = std::filesystem::path(file).extension();
  if (ending != ".svg" && ending != ".pdf" && ending != ".csv")
    throw Error(ErrorKind::kSpec,
                "recommend: --figure " + file + ": its name ends with .svg, .pdf or .csv (the points).");
  return ending;
}

void WriteFigure(const Recommendation& recommendation, const std::string& file) {
  const Figure figure = RecommendFigure(recommendation);
  if (figure.panels.empty())
    throw Error(ErrorKind::kSpec, "recommend: --figure " + file + ": no configuration has a size and an accuracy.");
  const std::string form = FigureForm(file);
  if (form == ".csv") {
    WriteDurably(file, WriteCsv(FigureTable(figure)));
    return;
  }
  const DrawnFigures drawn = DrawFigures(std::span(&figure, 1));
  const auto at = drawn.files.find(figure.name + form);
  if (at == drawn.files.end())
    throw Error(ErrorKind::kUnsupported, "recommend: --figure " + file + " is not drawn: " + drawn.why_none +
                                             ". --figure FILE.csv writes its points.");
  WriteDurably(file, at->second);
}

int ShowRecommendation(const RecommendArguments& arguments, Session& session) {
  const Constraints constraints = ReadConstraints(arguments);
  if (!arguments.figure.empty()) FigureForm(arguments.figure);
  std::vector<LawPoint> points;
  for (const std::string& text : arguments.points) {
    for (LawPoint& point : ParsePoints(text)) points.push_back(std::move(point));
  }
  StudyTable input = ReadStudyTable("recommend", arguments.source, arguments.data, session);
  CandidateTable candidates = CollectCandidates(input.table, input.plan.get(), input.map, arguments.map);
  AddPoints(points, candidates);
  Value given = input.settings;
  if (!std::isnan(arguments.confidence)) given.Set("confidence", arguments.confidence);
  const FitSettings settings = StudyFitSettings(given, input.columns, input.map);
  const Table table = TableToFit(input, arguments.map, "");
  std::optional<PredictedStudy> study;
  const bool needs_law = candidates.table.rows() > candidates.recorded || arguments.check;
  if (needs_law && (!arguments.law.empty() || !input.laws.empty()))
    study.emplace(OneLaw(input, arguments.law, settings, session), table, settings, true);
  if (needs_law && !study && (!points.empty() || arguments.check))
    throw Error(ErrorKind::kSpec, "recommend: what was not measured needs a law. Give --law FILE or --law NAME.");
  for (size_t i = 0; study && i < study->strata().size(); ++i) {
    const StratumPredictor& one = study->strata()[i];
    if (!one.why_none().empty() || one.predictor().scale().of_accuracy()) continue;
    throw Error(ErrorKind::kSpec, "recommend: law '" + study->law().name() + "' is of " + study->law().response() +
                                      ", from which no accuracy follows, and configurations are compared by theirs. "
                                      "Give a law of acc_adj.");
  }
  ItemScores items;
  const bool has_records = !input.output.empty();
  if (has_records) items = ReadItemScores(input.table, RecordStore(input.output));
  Recommendation recommendation = Recommend(
      {candidates, table, study ? &*study : nullptr, has_records ? &items : nullptr, settings.confidence}, constraints);
  for (const std::string& warning : input.warnings) recommendation.notes.push_back(warning);
  const bool checks = arguments.check && !recommendation.measured.empty();
  if (checks) recommendation.check = CheckFirst(recommendation, *study);

  if (arguments.format == "csv") {
    PrintReportTable(RecommendTable(recommendation), arguments.format);
  } else {
    ReportDocument document = RecommendDocument(recommendation, arguments.top, arguments.front);
    if (checks) {
      ReportSection& section = document.sections.emplace_back();
      section.title = "The first choice, left out and predicted by law '" + study->law().name() + "'";
      section.tables.push_back(CheckTable(recommendation.check));
    }
    std::fputs((arguments.format == "markdown" ? RenderMarkdown(document) : RenderText(document)).c_str(), stdout);
  }
  if (!arguments.json.empty()) WriteDurably(arguments.json, PrettyJson(RecommendationJson(recommendation)));
  if (!arguments.figure.empty()) WriteFigure(recommendation, arguments.figure);
  return 0;
}

}  // namespace

void AddRecommendVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<RecommendArguments>();
  CLI::App* verb = app.add_subcommand(
      "recommend", "Say which configuration to take, of those recorded and of those a law can predict");
  verb->add_option("study", arguments->source,
                   "A study file (its trials without a record are predicted), or the output folder of one");
  verb->add_option("--data", arguments->data, "Its observations.csv instead");
  verb->add_option("--max-weights", arguments->weights, "Bytes of weights: 400kB, 8GiB");
  verb->add_option("--max-memory", arguments->memory, "Bytes of weights and cache of keys and values; needs --context");
  verb->add_option("--max-cache", arguments->cache, "Bytes of the cache alone; needs --context");
  verb->add_option("--context", arguments->context, "Tokens in the cache, of each sequence")
      ->check(NumberAbove(0));
  verb->add_option("--batch", arguments->batch, "Sequences in the cache")
      ->check(NumberAbove(0))
      ->capture_default_str();
  verb->add_option("--max-bits", arguments->bits, "Bits a weight, with scales and zero points (bits_effective)")
      ->check(NumberAbove(0));
  verb->add_option("--model", arguments->models, "A model; * and ? stand for any letters. Repeatable")
      ->allow_extra_args(false);
  verb->add_option("--need", arguments->need,
                   "A condition over the columns of observations.csv: \"quantizer == 'gptq' and G >= 64\"");
  verb->add_option("--floor", arguments->floors,
                   "What a stratum must keep: 'KR >= 95% of 16-bit' (of the same model's), 'of best', 'of MODEL' (of "
                   "that model's at "
                   "16 bits), or an adjusted accuracy, 'KM >= 0.4'. Repeatable")
      ->allow_extra_args(false);
  verb->add_flag("--sure", arguments->sure, "Floors are met by the lower end of the interval");
  verb->add_option("--weight", arguments->stratum_weights, "What strata count: 'KR=2, KM=1'. Default: all alike");
  verb->add_option(
          "--by", arguments->order,
          "accuracy, weights or memory: what comes first. Default: accuracy; with floors and no limit, the smallest")
      ->check(OneOf({"accuracy", "weights", "memory"}));
  verb->add_option("--at", arguments->points,
                   "Configurations that were not measured: 'model=NAME, B=3, G=32|64, Cb=128', as of 'bitlaw predict'. "
                   "Repeatable")
      ->allow_extra_args(false);
  verb->add_option("--law", arguments->law,
                   "The law for those: a name, a file or a formula, as of 'bitlaw predict'. Default: the study's first");
  verb->add_option("--map", arguments->map, "Column names for the law, as of 'bitlaw fit'");
  verb->add_option("--confidence", arguments->confidence, "Level of the intervals. Default: 0.9, or the study's")
      ->check(Number(0.5, 0.9999));
  verb->add_option("--top", arguments->top, "How many are shown")->capture_default_str()->check(WholeNumber(1));
  verb->add_flag("--front", arguments->front, "Show the front of size against accuracy");
  verb->add_flag("--check", arguments->check, "Leave the first choice out, predict it by the law, and compare");
  verb->add_option("--figure", arguments->figure,
                   "Draw size against accuracy into this file: .svg or .pdf (by gnuplot), or .csv (the points)");
  verb->add_option("--json", arguments->json, "Write everything to this file");
  verb->add_option("--format", arguments->format, "text, markdown or csv")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
  verb->callback([arguments, &session] {
    session.action = [arguments, &session] { return ShowRecommendation(*arguments, session); };
  });
}

}  // namespace bitlaw
