#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bitlaw/sdk/expression/expression.h"
#include "report/pictures/axes.h"
#include "report/pictures/best_laws.h"
#include "report/pictures/study_figures.h"

namespace bitlaw {

namespace {

constexpr const char* kAccuracy = "accuracy, chance-adjusted";

bool IsSame(double a, double b) { return std::fabs(a - b) <= 1e-9 * std::max(std::fabs(a), std::fabs(b)); }

// The measured values of a law's response, or of the accuracy that follows from it.
std::vector<double> MeasuredOf(const Table& table, const LawPicture& picture, const std::string& response) {
  if (picture.of_accuracy) return table.Numbers("acc_adj");
  return table.Evaluate(Expression::Parse(response));
}

bool IsAtReference(const Table& table, const LawPicture& picture, size_t row) {
  return std::all_of(picture.reference.begin(), picture.reference.end(), [&](const auto& one) {
    return table.Find(one.first) == nullptr || IsSame(table.NumberAt(one.first, row), one.second);
  });
}

std::string ReferenceText(const LawPicture& picture) {
  std::string text;
  for (const auto& [column, value] : picture.reference)
    text += fmt::format("{}{} = {:.6g}", text.empty() ? "" : ", ", column, value);
  return text;
}

// The quantizer with most of the rows that are at the reference: a curve is of one law, points of several mislead.
std::string MainQuantizer(const Table& table, const LawPicture& picture) {
  std::map<std::string, size_t> times;
  for (size_t row = 0; row < table.rows(); ++row) {
    const std::string quantizer = table.TextAt("quantizer", row);
    if (IsQuantizer(quantizer) && IsAtReference(table, picture, row)) ++times[quantizer];
  }
  std::string most;
  for (const auto& [name, count] : times) {
    if (most.empty() || count > times[most]) most = name;
  }
  return most;
}

// From size to size, the mean where several models have one.
FigureSeries BaselineLine(const FigureSeries& points) {
  std::map<double, std::pair<double, size_t>> sums;
  for (size_t i = 0; i < points.x.size(); ++i) sums[points.x[i]].first += points.y[i], sums[points.x[i]].second += 1;
  FigureSeries line;
  line.kind = FigureSeries::Kind::kLine, line.colour = points.colour, line.dashed = line.subdued = true;
  for (const auto& [x, sum] : sums) line.x.push_back(x), line.y.push_back(sum.first / static_cast<double>(sum.second));
  return line;
}

FigurePanel AccuracyPanel(const StudyResults& results, const StratumLaw& best, const Table& table,
                          const std::map<double, int>& place_of, const std::string& quantizer) {
  const LawPicture& picture = *best.picture;
  FigurePanel panel;
  panel.title = best.stratum + ", " + picture.law;
  const std::vector<double> measured = MeasuredOf(table, picture, best.fit->response);
  std::set<double> sizes;
  std::map<std::pair<double, bool>, FigureSeries> points;  // By precision and whether it is held out.
  FigureSeries baseline, held_out_name;
  baseline.name = "unquantized", baseline.colour = FigureSeries::kTextColour, baseline.mark = 4,
  baseline.subdued = true;
  held_out_name.name = "hollow: held out of the fit", held_out_name.colour = FigureSeries::kTextColour,
  held_out_name.hollow = true;
  const TableColumn* hold_out = table.Find("hold_out");
  const auto add = [&](FigureSeries& to, size_t row) {
    const double error = picture.of_accuracy ? table.NumberAt("standard_error", row) : kUnset;
    to.x.push_back(table.NumberAt(picture.scale, row)), to.y.push_back(measured[row]);
    to.y_low.push_back(measured[row] - (std::isnan(error) ? 0 : error));
    to.y_high.push_back(measured[row] + (std::isnan(error) ? 0 : error));
  };
  for (size_t row = 0; row < table.rows(); ++row) {
    const double size = table.NumberAt(picture.scale, row), precision = table.NumberAt(picture.precision, row);
    if (std::isnan(size) || std::isnan(measured[row])) continue;
    const bool has_quantizer = table.Find("quantizer") != nullptr;
    if (has_quantizer && !IsQuantizer(table.TextAt("quantizer", row))) {
      sizes.insert(size);
      add(baseline, row);
      continue;
    }
    const auto at = place_of.find(precision);
    if (at == place_of.end() || !IsAtReference(table, picture, row)) continue;
    if (has_quantizer && table.TextAt("quantizer", row) != quantizer) continue;
    sizes.insert(size);
    const bool is_held_out = IsHeldOut(hold_out, table, row);
    FigureSeries& series = points[{precision, is_held_out}];
    if (!is_held_out) series.name = fmt::format("{} = {:.6g}", picture.precision, precision);
    series.colour = series.mark = at->second;
    series.hollow = is_held_out;
    add(series, row);
  }
  for (const LawCurve& curve : picture.curves) {
    const auto at = place_of.find(curve.precision);
    FigureSeries line;
    line.kind = FigureSeries::Kind::kLine;
    line.colour = at == place_of.end() ? 0 : at->second;
    line.x = curve.x, line.y = curve.value;
    if (&curve == &picture.curves.front() && std::none_of(curve.low.begin(), curve.low.end(), [](double v) { return std::isnan(v); })) {
      FigureSeries band = line;
      band.kind = FigureSeries::Kind::kBand;
      band.name = fmt::format("{:.3g} % prediction interval of the lowest curve", 100 * results.fits.settings.confidence);
      band.y.clear(), band.y_low = curve.low, band.y_high = curve.high;
      panel.series.push_back(std::move(band));
    }
    panel.series.push_back(std::move(line));
  }
  // The unquantized models below all others: at many bits both are at one place, and the dashed line shows them.
  if (!baseline.x.empty()) {
    panel.series.push_back(BaselineLine(baseline));
    panel.series.push_back(std::move(baseline));
  }
  const bool any_held_out = std::any_of(points.begin(), points.end(), [](const auto& one) { return one.first.second; });
  for (auto& [key, series] : points) panel.series.push_back(std::move(series));
  if (any_held_out) panel.series.push_back(std::move(held_out_name));
  panel.x = AxisOf(results, picture.scale, sizes);
  panel.y.label = picture.of_accuracy ? kAccuracy : best.fit->response;
  return panel;
}

void AddAccuracy(const StudyResults& results, const ShownLaws& shown, const StrataData& strata, StudyFigures& out) {
  Figure figure;
  figure.name = shown.Named("accuracy_by_size");
  figure.title = "Accuracy over model size by bits";
  std::map<double, int> place_of;
  for (const StratumLaw& one : shown.laws) {
    if (one.picture == nullptr) continue;
    for (const LawCurve& curve : one.picture->curves) place_of.emplace(curve.precision, 0);
  }
  int next = 0;
  for (auto& [precision, place] : place_of) place = next++;
  std::string reference, quantizer;
  for (const StratumLaw& one : shown.laws) {
    if (one.picture == nullptr || one.picture->curves.empty()) continue;
    for (const StratumData& stratum : strata.strata) {
      if (stratum.name != one.stratum) continue;
      quantizer = MainQuantizer(stratum.table, *one.picture);
      figure.panels.push_back(AccuracyPanel(results, one, stratum.table, place_of, quantizer));
      reference = ReferenceText(*one.picture);
    }
  }
  if (figure.panels.empty()) {
    out.left_out.push_back("Accuracy over model size: " + shown.Who() + " no factor of scale with two values or more.");
    return;
  }
  figure.caption = fmt::format(
      "Points are measured, with one standard error over items either way; curves are the law's{}. {}The dashed line "
      "joins the "
      "unquantized models.",
      reference.empty() ? "" : " at " + reference,
      quantizer.empty() ? "" : "Quantized points are those of " + quantizer + " at the same settings. ");
  out.figures.push_back(std::move(figure));
}

// Whether a row of the predictions is of this fit.
bool IsOf(const Table& predictions, size_t row, const StratumLaw& best) {
  return predictions.TextAt("law", row) == best.fit->law && predictions.TextAt("stratum", row) == best.stratum &&
         predictions.TextAt("method", row) == best.fit->Methods().front()->method();
}

void AddPredicted(const StudyResults& results, const ShownLaws& shown, StudyFigures& out) {
  Figure figure;
  figure.name = shown.Named("measured_against_predicted");
  figure.title = "Measured against predicted";
  for (const StratumLaw& one : shown.laws) {
    if (one.fit == nullptr) continue;
    const bool of_accuracy = one.picture != nullptr && one.picture->of_accuracy;
    FigurePanel panel;
    panel.title = one.stratum + ", " + one.fit->law;
    FigureSeries fitted, held_out, others, diagonal;
    fitted.name = "fitted", fitted.colour = 0;
    others.name = "at or below chance, or not fitted", others.colour = 3, others.mark = 2;
    held_out.name = "held out, with its prediction interval", held_out.colour = 1, held_out.mark = 1, held_out.hollow = true;
    double low = INFINITY, high = -INFINITY;
    for (size_t row = 0; row < results.predictions.rows(); ++row) {
      if (!IsOf(results.predictions, row, one)) continue;
      const double x = results.predictions.NumberAt(of_accuracy ? "predicted_acc_adj" : "predicted", row);
      const double y = results.predictions.NumberAt(of_accuracy ? "acc_adj" : "response", row);
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      const std::string set = results.predictions.TextAt("set", row);
      FigureSeries& to = set == "fit" ? fitted : set == "held out" ? held_out : others;
      to.x.push_back(x), to.y.push_back(y);
      if (&to == &held_out) {
        const double from = results.predictions.NumberAt("low", row), until = results.predictions.NumberAt("high", row);
        to.x_low.push_back(std::isnan(from) ? x : from), to.x_high.push_back(std::isnan(until) ? x : until);
        low = std::min(low, to.x_low.back()), high = std::max(high, to.x_high.back());
      }
      low = std::min({low, x, y}), high = std::max({high, x, y});
    }
    if (!(low < high)) continue;
    diagonal.kind = FigureSeries::Kind::kLine, diagonal.name = "measured = predicted";
    diagonal.colour = FigureSeries::kTextColour, diagonal.dashed = true;
    diagonal.x = diagonal.y = {low, high};
    panel.series.push_back(std::move(diagonal));
    for (FigureSeries* series : {&fitted, &others, &held_out}) {
      if (!series->x.empty()) panel.series.push_back(std::move(*series));
    }
    // Both axes alike, so that the diagonal is one.
    const double margin = 0.03 * (high - low);
    panel.x.low = panel.y.low = low - margin, panel.x.high = panel.y.high = high + margin;
    panel.x.label = of_accuracy ? "predicted accuracy, chance-adjusted" : "predicted " + one.fit->response;
    panel.y.label = of_accuracy ? "measured accuracy, chance-adjusted" : "measured " + one.fit->response;
    figure.panels.push_back(std::move(panel));
  }
  if (figure.panels.empty()) {
    out.left_out.emplace_back("Measured against predicted: no law was fitted.");
    return;
  }
  figure.caption = fmt::format(
      "{} by itself, without what is known of single models. Bars are {:.3g} % prediction "
      "intervals of a model that the law does not know.",
      shown.law.empty() ? "The best law of each stratum" : "The law", 100 * results.fits.settings.confidence);
  out.figures.push_back(std::move(figure));
}

// A few round levels within the values.
std::vector<double> LevelsWithin(const std::vector<double>& values) {
  double low = INFINITY, high = -INFINITY;
  for (const double value : values) {
    if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
  }
  std::vector<double> levels;
  if (!(low < high)) return levels;
  for (const double step : {0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001}) {
    levels.clear();
    for (double level = std::ceil(low / step + 1e-9) * step; level < high && levels.size() < 40; level += step)
      levels.push_back(level);
    if (levels.size() >= 4) break;
  }
  return levels.size() > 30 ? std::vector<double>() : levels;
}

void AddContours(const StudyResults& results, const ShownLaws& shown, bool of_size, StudyFigures& out) {
  Figure figure;
  figure.name = shown.Named(of_size ? "equal_accuracy_bits_size" : "equal_accuracy_group_calibration");
  figure.title = of_size ? "Equal accuracy over bits and model size" : "Equal accuracy over group size and calibration";
  std::string where;
  for (const StratumLaw& one : shown.laws) {
    if (one.picture == nullptr || !one.picture->of_accuracy) continue;
    for (const LawSurface& surface : one.picture->surfaces) {
      if ((surface.y_column == one.picture->scale) != of_size) continue;
      FigurePanel panel;
      panel.title = one.stratum + ", " + one.fit->law;
      panel.grid.emplace();
      panel.grid->label = kAccuracy, panel.grid->is_contour = true;
      panel.grid->x = surface.x, panel.grid->y = surface.y, panel.grid->z = surface.value;
      panel.grid->levels = LevelsWithin(surface.value);
      if (panel.grid->levels.empty()) continue;
      panel.x = AxisOf(results, surface.x_column, ValuesOf(results, surface.x_column));
      panel.y = AxisOf(results, surface.y_column, ValuesOf(results, surface.y_column));
      // A tick at the very end of an axis is lost to rounding.
      constexpr double kBeyond = 1.001;
      panel.x.low = surface.x.front() / kBeyond, panel.x.high = surface.x.back() * kBeyond;
      panel.y.low = surface.y.front() / kBeyond, panel.y.high = surface.y.back() * kBeyond;
      where = of_size ? ReferenceText(*one.picture) : "";
      for (const auto& [column, value] : surface.at)
        where += fmt::format("{}{} = {:.6g}", where.empty() ? "" : ", ", column, value);
      figure.panels.push_back(std::move(panel));
    }
  }
  if (figure.panels.empty()) {
    out.left_out.push_back(figure.title + ": " + shown.Who() + " not both factors with two values or more.");
    return;
  }
  figure.caption = "Lines of equal chance-adjusted accuracy by the law, within the ranges that were measured" +
                   (where.empty() ? std::string(".") : ", at " + where + ".");
  out.figures.push_back(std::move(figure));
}

}  // namespace

void AddLawFigures(const StudyResults& results, const std::string& law, StudyFigures& figures) {
  ShownLaws shown;
  shown.law = law;
  shown.laws = law.empty() ? BestLaws(results) : LawInStrata(results, law);
  if (HeadlineLaw(shown.laws).empty()) {
    figures.left_out.push_back(law.empty() ? "Figures of laws: no law was fitted."
                                           : "Figures of " + law + ": it was not fitted.");
    return;
  }
  AddAccuracy(results, shown, MappedStrata(results), figures);
  AddPredicted(results, shown, figures);
  AddExponentFigures(results, shown, figures);
  AddContours(results, shown, true, figures);
  AddContours(results, shown, false, figures);
}

}  // namespace bitlaw
