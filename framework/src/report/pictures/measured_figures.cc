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
  struct {
    double least = 0, most = 0;
    std::string where;
  } widest;
  for (const StratumData& stratum : strata.strata) {
    const Table& table = stratum.table;
    if (table.Find("B") == nullptr || table.Find("model") == nullptr || table.Find("baseline_acc_adj") == nullptr) continue;
    struct Cell {
      double kept = 0, count = 0, least = INFINITY, most = -INFINITY;
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
      const double share = value / baseline;
      cell.kept += share, cell.count += 1, cell.least = std::min(cell.least, share),
                                           cell.most = std::max(cell.most, share);
      if (cell.most - cell.least > widest.most - widest.least) {
        widest = {cell.least, cell.most, fmt::format("{} of {} at B = {}", model, stratum.name, AxisNumber(precision))};
      }
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
  constexpr double kWide = 0.2;
  if (widest.most - widest.least > kWide)
    figure.caption += fmt::format(" A mean hides settings that differ: of {} they keep from {:.2f} to {:.2f}.",
                                  widest.where, widest.least, widest.most);
  out.figures.push_back(std::move(figure));
}

void AddPareto(const StrataData& strata, StudyFigures& out) {
  Figure figure;
  figure.name = "size_accuracy";
  figure.title = "Size against accuracy";
  std::set<std::string> names;
  for (const StratumData& stratum : strata.strata) {
    for (size_t row = 0; row < stratum.table.rows(); ++row) names.insert(stratum.table.TextAt("quantizer", row));
  }
  for (const StratumData& stratum : strata.strata) {
    const Table& table = stratum.table;
    std::map<std::string, FigureSeries> by_quantizer;
    std::vector<size_t> rows;
    std::set<double> sizes;
    const auto size_of = [&](size_t row) { return table.NumberAt("size_bytes", row); };
    const auto value_of = [&](size_t row) { return table.NumberAt("acc_adj", row); };
    for (size_t row = 0; row < table.rows(); ++row) {
      if (!(size_of(row) > 0) || std::isnan(value_of(row))) continue;
      rows.push_back(row), sizes.insert(size_of(row));
    }
    if (sizes.size() < 2) continue;
    const auto [unit, axis] = BytesAxis("weights", sizes);
    for (const size_t row : rows) {
      const std::string quantizer = table.TextAt("quantizer", row);
      FigureSeries& series = by_quantizer[quantizer];
      const int place = static_cast<int>(std::distance(names.begin(), names.find(quantizer)));
      series.name = IsQuantizer(quantizer) ? quantizer : "unquantized";
      series.colour = IsQuantizer(quantizer) ? place : FigureSeries::kTextColour;
      series.mark = place, series.subdued = true;
      series.x.push_back(size_of(row) / unit), series.y.push_back(value_of(row));
    }
    // From the smallest on: what no smaller one reaches.
    std::sort(rows.begin(), rows.end(), [&](size_t a, size_t b) {
      return size_of(a) != size_of(b) ? size_of(a) < size_of(b) : value_of(a) > value_of(b);
    });
    FigureSeries front, errors;
    front.kind = FigureSeries::Kind::kLine, front.name = "no smaller one does better", front.colour = 1;
    errors.name = "on that line, one standard error either way", errors.colour = 1, errors.hollow = true;
    for (const size_t row : rows) {
      const double x = size_of(row) / unit, value = value_of(row), error = table.NumberAt("standard_error", row);
      if (!front.y.empty() && value <= front.y.back()) continue;
      if (!front.y.empty()) front.x.push_back(x), front.y.push_back(front.y.back());
      front.x.push_back(x), front.y.push_back(value);
      errors.x.push_back(x), errors.y.push_back(value);
      errors.y_low.push_back(value - (std::isnan(error) ? 0 : error));
      errors.y_high.push_back(value + (std::isnan(error) ? 0 : error));
    }
    front.x.push_back(*sizes.rbegin() / unit), front.y.push_back(front.y.back());
    FigurePanel panel;
    panel.title = stratum.name;
    panel.x = axis;
    panel.y.label = "accuracy, chance-adjusted";
    panel.series = {std::move(front), std::move(errors)};
    for (auto& [name, series] : by_quantizer) panel.series.push_back(std::move(series));
    figure.panels.push_back(std::move(panel));
  }
  if (figure.panels.empty()) {
    out.left_out.emplace_back("Size against accuracy: it needs accuracies and the column size_bytes.");
    return;
  }
  figure.caption =
      "One point a trial; size is that of all weights as stored, scales included (kB, MB and GB are powers of 1000). "
      "Errors are "
      "over items. The best of many noisy points is flattered: the line is an upper edge, not a forecast.";
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

StudyFigures MakeStudyFigures(const StudyResults& results, const std::vector<std::string>& laws) {
  StudyFigures figures;
  if (results.observations.rows() == 0) return figures;
  if (laws.empty()) AddLawFigures(results, "", figures);
  for (const std::string& law : laws) AddLawFigures(results, law, figures);
  AddMeasuredFigures(results, figures);
  AddOwnFigures(results, figures);
  return figures;
}

}  // namespace bitlaw
