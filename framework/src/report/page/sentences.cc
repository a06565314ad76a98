#include "report/page/sentences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "bitlaw/base/error.h"
#include "report/figure/figure.h"

namespace bitlaw {

std::string Named(const std::string& stratum) {
  const std::string spelled = SpelledStratum(stratum);
  return spelled.empty() ? stratum : fmt::format("{} ({})", stratum, spelled);
}

std::string ConditionText(const StudyResults& results, const std::string& condition) {
  constexpr std::string_view kBegin = "hold out ", kEquals = " == ";
  const std::string text = condition.starts_with(kBegin) ? condition.substr(kBegin.size()) : condition;
  const size_t at = text.find(kEquals);
  if (at == std::string::npos) return text;
  const std::string column = text.substr(0, at), value = text.substr(at + kEquals.size());
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0') return text;
  const std::string unit = UnitOf(results, column);
  return fmt::format("{} = {}{}", column, AxisNumber(number), unit.empty() ? "" : " " + unit);
}

std::vector<std::string> ColumnsOf(const StratumLaw& best) {
  std::vector<std::string> columns;
  if (best.picture == nullptr) return columns;
  for (const std::string& column : {best.picture->scale, best.picture->precision}) {
    if (!column.empty()) columns.push_back(column);
  }
  for (const auto& [column, value] : best.picture->reference) {
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
  }
  return columns;
}

double R2Of(const ValidationResult& held_out) {
  return held_out.accuracy_rows > 0 ? held_out.accuracy_r2 : held_out.r2;
}

std::vector<HeldOutError> ErrorsOf(const StudyResults& results, const StratumLaw& best) {
  std::vector<HeldOutError> errors;
  const auto add = [&](double accuracy_mae, size_t accuracy_rows, double mae, const std::string& on,
                       const std::string& which) {
    HeldOutError error{mae, false, on, which};
    if (accuracy_rows > 0 && std::isfinite(accuracy_mae)) error.value = 100 * accuracy_mae, error.of_accuracy = true;
    if (std::isfinite(error.value)) errors.push_back(std::move(error));
  };
  for (const auto& [held_out, on] :
       {std::pair{best.sizes, "the largest size"}, std::pair{best.bits, "the fewest bits"}}) {
    if (held_out != nullptr)
      add(held_out->accuracy_mae, held_out->accuracy_rows, held_out->mae, on, ConditionText(results, held_out->scheme));
  }
  const PredictionErrors declared = best.declared();
  std::vector<std::string> models;
  for (const StudyDescription::Model& model : results.description.models) {
    if (model.hold_out) models.push_back(model.name);
  }
  constexpr size_t kMostNamed = 4;
  if (declared.rows + declared.accuracy_rows > 0)
    add(declared.accuracy_mae, declared.accuracy_rows, declared.mae, "what is kept out of all fits",
        models.size() <= kMostNamed ? JoinNames(models) : Counted(models.size(), "model"));
  return errors;
}

std::string ChoiceText(const StratumLaw& best) {
  if (best.across.empty()) return best.within.empty() ? "" : " by " + best.within;
  const std::string within = best.within.empty() ? "" : " by " + best.within + " among laws of its response and";
  return within + " by " + best.across + ", against the best of other responses";
}

std::string WhyNotFitted(const LawFit& fit) {
  if (!fit.Methods().empty()) return "";
  for (const std::string* why :
       {&fit.unusable, &fit.why_no_own, &fit.why_no_binomial, &fit.why_no_least_squares, &fit.why_no_ols}) {
    if (!why->empty()) return *why;
  }
  return "";
}

std::string BaselinesAtChance(const StudyResults& results) {
  constexpr size_t kMostTasks = 6, kMostModels = 3;
  const Table& table = results.observations;
  if (table.Find("chance") == nullptr || table.Find("metric_kind") == nullptr) return "";
  const TableColumn* primary = table.Find("primary");
  std::vector<std::pair<std::string, std::vector<std::string>>> tasks;  // With the models at chance.
  std::map<std::string, size_t> baselines;                              // Of a task.
  for (size_t row = 0; row < table.rows(); ++row) {
    if (IsQuantizer(table.TextAt("quantizer", row)) || table.TextAt("metric_kind", row) != "accuracy") continue;
    if (primary != nullptr && !table.Flag(*primary, row, true)) continue;
    const std::string task = table.TextAt("task", row);
    ++baselines[task];
    const double error = table.NumberAt("standard_error", row);
    // False where any of them is missing.
    if (!(table.NumberAt("value", row) <= table.NumberAt("chance", row) + (std::isnan(error) ? 0 : error))) continue;
    auto at = std::find_if(tasks.begin(), tasks.end(), [&](const auto& one) { return one.first == task; });
    if (at == tasks.end()) at = tasks.insert(tasks.end(), {task, {}});
    at->second.push_back(table.TextAt("model", row));
  }
  if (tasks.empty()) return "";
  std::string list;
  for (size_t i = 0; i < std::min(kMostTasks, tasks.size()); ++i) {
    const auto& [task, models] = tasks[i];
    const bool all = models.size() == baselines[task] && models.size() > 1;
    list += fmt::format("{}{} ({})", i == 0 ? "" : ", ", task,
                        all                           ? "every model"
                        : models.size() > kMostModels ? fmt::format("{} of {} models", models.size(), baselines[task])
                                                      : JoinNames(models));
  }
  if (tasks.size() > kMostTasks) list += " and " + Counted(tasks.size() - kMostTasks, "more task");
  return "Unquantized, within one standard error of chance or below it: " + list +
         ". What quantization costs cannot be seen there.";
}

std::vector<std::string> VerdictSentences(const StudyResults& results) {
  size_t degraded = 0, judged = 0;
  double open = 0;
  struct Cell {
    size_t degraded = 0, all = 0;
  };
  std::map<double, Cell> by_bits;
  std::map<std::string, double> bits_of;
  const TableColumn* bits = results.observations.Find("B");
  for (size_t row = 0; bits != nullptr && !bits->is_text && row < results.observations.rows(); ++row)
    bits_of.emplace(results.observations.TextAt("trial", row), bits->numbers[row]);
  for (const DegradationVerdict& one : results.verdicts) {
    if (one.benchmarks == 0) continue;
    ++judged;
    degraded += one.degraded ? 1 : 0;
    if (!one.degraded) open = std::max(open, one.loss_at_most);
    const auto at = bits_of.find(one.trial);
    Cell& cell = by_bits[at == bits_of.end() || std::isnan(at->second) ? -1 : at->second];
    cell.degraded += one.degraded ? 1 : 0, cell.all += 1;
  }
  if (judged == 0) return {};
  const DegradationSettings settings;
  constexpr size_t kMostBits = 8;
  std::string where;
  if (by_bits.size() > 1 && by_bits.size() <= kMostBits && !by_bits.contains(-1)) {
    for (const auto& [precision, cell] : by_bits)
      where += fmt::format("{}{} of {} at B = {}", where.empty() ? ": " : ", ", cell.degraded, cell.all,
                           AxisNumber(precision));
  }
  std::string text = fmt::format(
      "{} of {} quantized trials {} got worse than the unquantized model by more than chance, over all benchmarks "
      "together{}. "
      "The chance that one or more of these verdicts is a false alarm is at most {:.3g} % (exact McNemar tests, Holm "
      "over trials).",
      degraded, judged, degraded == 1 ? "has" : "have", where, 100 * (1 - settings.confidence));
  if (degraded < judged)
    text += fmt::format(
        " Of the other {} no loss is shown, which is no proof that there is none: up to {:.1f} % of the items "
        "may be lost (one-sided, {:.3g} %, each trial by itself).",
        judged - degraded, 100 * open, 100 * settings.confidence);
  return {text};
}

}  // namespace bitlaw
