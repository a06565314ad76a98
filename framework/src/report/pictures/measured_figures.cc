#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "report/pictures/axes.h"
#include "report/pictures/best_laws.h"
#include "report/pictures/study_figures.h"

namespace bitlaw {

namespace {

bool IsUnquantized(const Table& table, size_t row) {
  return table.Find("quantizer") != nullptr && !IsQuantizer(table.TextAt("quantizer", row));
}

// The share of the unquantized model's accuracy that is left, by model and bits.
void AddCollapse(const StrataData& strata, StudyFigures& out) {
  Figure figure;
  figure.name = "kept_accuracy";
  figure.title = "What is kept of the unquantized accuracy";
  for (const StratumData& stratum : strata.strata) {
    const Table& table = stratum.table;
    if (table.Find("B") == nullptr || table.Find("model") == nullptr || table.Find("baseline_acc_adj") == nullptr) continue;
    struct Cell {
      double kept = 0, count = 0;
    };
    std::map<std::pair<std::string, double>, Cell> cells;
    std::set<double> bits;
    std::vector<std::pair<double, std::string>> models;
    for (size_t row = 0; row < table.rows(); ++row) {
      const double baseline = table.NumberAt("baseline_acc_adj", row), value = table.NumberAt("acc_adj", row);
      const double precision = table.NumberAt("B", row);
      if (IsUnquantized(table, row) || !(baseline > 0) || std::isnan(value) || std::isnan(precision)) continue;
      const std::string model = table.TextAt("model", row);
      const std::pair<double, std::string> sized(table.NumberAt("N", row), model);
      if (std::find(models.begin(), models.end(), sized) == models.end()) models.push_back(sized);
      bits.insert(precision);
      Cell& cell = cells[{model, precision}];
      cell.kept += value / baseline, cell.count += 1;
    }
    constexpr size_t kMost = 12;
    if (bits.size() < 2 || bits.size() > kMost || models.size() > kMost) continue;
    std::stable_sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    FigurePanel panel;
    panel.title = stratum.name;
    panel.x.label = "B", panel.x.unit = "bits", panel.y.label = "";
    panel.grid.emplace();
    panel.grid->label = "kept share";
    for (const double precision : bits) {
      panel.x.names.push_back(AxisNumber(precision));
      panel.grid->x.push_back(static_cast<double>(panel.x.names.size()));
    }
    for (const auto& [size, model] : models) {
      panel.y.names.push_back(model);
      panel.grid->y.push_back(static_cast<double>(panel.y.names.size()));
      for (const double precision : bits) {
        const auto at = cells.find({model, precision});
        panel.grid->z.push_back(at == cells.end() ? kUnset : at->second.kept / at->second.count);
      }
    }
    figure.panels.push_back(std::move(panel));
  }
  if (figure.panels.empty()) {
    out.left_out.emplace_back(
        "What is kept of the unquantized accuracy: it needs accuracies of the unquantized models and 2 to 12 bit-widths of "
        "at most 12 models.");
    return;
  }
  figure.caption =
      "Chance-adjusted accuracy over that of the same model unquantized, the mean over all settings of these bits: 1 is no "
      "loss, 0 is guessing. Small models that know little unquantized have noisy cells.";
  out.figures.push_back(std::move(figure));
}

FigureAxis SizeAxis(const std::set<double>& sizes) {
  FigureAxis axis;
  axis.label = "weights", axis.unit = "MB";
  axis.scale = FigureAxis::Scale::kLog10;
  const double margin = std::pow(*sizes.rbegin() / *sizes.begin(), 0.05);
  axis.low = *sizes.begin() / margin, axis.high = *sizes.rbegin() * margin;
  constexpr double kSteps[] = {1, 2, 5};
  for (double decade = std::pow(10, std::floor(std::log10(axis.low))); decade <= axis.high; decade *= 10) {
    for (const double step : kSteps) {
      const double tick = step * decade;
      if (tick >= axis.low && tick <= axis.high) axis.ticks.push_back(tick);
    }
  }
  return axis;
}

void AddPareto(const StrataData& strata, StudyFigures& out) {
  Figure figure;
  figure.name = "size_accuracy";
  figure.title = "Size against accuracy";
  constexpr double kMegabyte = 1e6;
  std::set<std::string> names;
  for (const StratumData& stratum : strata.strata) {
    for (size_t row = 0; row < stratum.table.rows(); ++row) names.insert(stratum.table.TextAt("quantizer", row));
  }
  for (const StratumData& stratum : strata.strata) {
    const Table& table = stratum.table;
    std::map<std::string, FigureSeries> by_quantizer;
    std::vector<std::pair<double, double>> all;
    std::set<double> sizes;
    for (size_t row = 0; row < table.rows(); ++row) {
      const double size = table.NumberAt("size_bytes", row) / kMegabyte, value = table.NumberAt("acc_adj", row);
      if (!(size > 0) || std::isnan(value)) continue;
      const std::string quantizer = table.TextAt("quantizer", row);
      FigureSeries& series = by_quantizer[quantizer];
      const int place = static_cast<int>(std::distance(names.begin(), names.find(quantizer)));
      series.name = IsQuantizer(quantizer) ? quantizer : "unquantized";
      series.colour = IsQuantizer(quantizer) ? place : FigureSeries::kTextColour;
      series.mark = place;
      series.x.push_back(size), series.y.push_back(value);
      all.emplace_back(size, value), sizes.insert(size);
    }
    if (sizes.size() < 2) continue;
    // From the smallest on: what no smaller one reaches.
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    });
    FigureSeries front;
    front.kind = FigureSeries::Kind::kLine, front.name = "no smaller one does better", front.colour = 1;
    for (const auto& [size, value] : all) {
      if (!front.y.empty() && value <= front.y.back()) continue;
      if (!front.y.empty()) front.x.push_back(size), front.y.push_back(front.y.back());
      front.x.push_back(size), front.y.push_back(value);
    }
    front.x.push_back(*sizes.rbegin()), front.y.push_back(front.y.back());
    FigurePanel panel;
    panel.title = stratum.name;
    panel.x = SizeAxis(sizes);
    panel.y.label = "accuracy, chance-adjusted";
    panel.series.push_back(std::move(front));
    for (auto& [name, series] : by_quantizer) panel.series.push_back(std::move(series));
    figure.panels.push_back(std::move(panel));
  }
  if (figure.panels.empty()) {
    out.left_out.emplace_back("Size against accuracy: it needs accuracies and the column size_bytes.");
    return;
  }
  figure.caption = "One point a trial; size is that of all weights as stored, scales included. The best of many noisy points is "
                   "flattered: the line is an upper edge, not a forecast.";
  out.figures.push_back(std::move(figure));
}

void AddCosts(const StudyResults& results, StudyFigures& out) {
  Figure figure;
  figure.name = "cost";
  figure.title = "Time";
  std::map<std::string, size_t> row_of;
  for (size_t row = results.observations.rows(); row-- > 0;) row_of[results.observations.TextAt("trial", row)] = row;
  std::set<std::string> names;
  std::set<double> sizes;
  for (const auto& [trial, row] : row_of) {
    names.insert(results.observations.TextAt("quantizer", row));
    if (results.observations.NumberAt("N", row) > 0) sizes.insert(results.observations.NumberAt("N", row));
  }
  for (const auto& [column, title] : {std::pair{"quantize_s", "quantization"}, std::pair{"evaluate_s", "evaluation, all tasks"}}) {
    std::map<std::string, FigureSeries> by_quantizer;
    for (size_t i = 0; i < results.costs.rows(); ++i) {
      const auto at = row_of.find(results.costs.TextAt("trial", i));
      const double seconds = results.costs.NumberAt(column, i);
      if (at == row_of.end() || !(seconds > 0)) continue;
      const double size = results.observations.NumberAt("N", at->second);
      if (!(size > 0)) continue;
      const std::string quantizer = results.observations.TextAt("quantizer", at->second);
      FigureSeries& series = by_quantizer[quantizer];
      const int place = static_cast<int>(std::distance(names.begin(), names.find(quantizer)));
      series.name = IsQuantizer(quantizer) ? quantizer : "unquantized";
      series.colour = IsQuantizer(quantizer) ? place : FigureSeries::kTextColour;
      series.mark = place, series.hollow = true;
      series.x.push_back(size), series.y.push_back(seconds);
    }
    if (by_quantizer.empty()) continue;
    FigurePanel panel;
    panel.title = title;
    panel.x = AxisOf(results, "N", sizes);
    panel.y.label = "time", panel.y.unit = "s", panel.y.scale = FigureAxis::Scale::kLog10;
    for (auto& [name, series] : by_quantizer) panel.series.push_back(std::move(series));
    figure.panels.push_back(std::move(panel));
  }
  if (figure.panels.empty()) {
    out.left_out.emplace_back("Time: the folder has no timings of its records (it may be a copy without them).");
    return;
  }
  figure.caption = "Seconds of a trial as recorded, whatever machine and load it ran under; several workers share a machine.";
  out.figures.push_back(std::move(figure));
}

}  // namespace

void AddMeasuredFigures(const StudyResults& results, StudyFigures& figures) {
  const StrataData strata = MappedStrata(results);
  AddCollapse(strata, figures);
  AddPareto(strata, figures);
  AddCosts(results, figures);
}

StudyFigures MakeStudyFigures(const StudyResults& results) {
  StudyFigures figures;
  if (results.observations.rows() == 0) return figures;
  AddLawFigures(results, figures);
  AddMeasuredFigures(results, figures);
  AddOwnFigures(results, figures);
  return figures;
}

}  // namespace bitlaw
