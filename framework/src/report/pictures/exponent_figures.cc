#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "report/pictures/axes.h"
#include "report/pictures/best_laws.h"
#include "report/pictures/study_figures.h"

namespace bitlaw {

namespace {

// Amplitudes have units and span decades: a forest of them shows nothing.
bool IsAmplitude(const LawFit& fit, const std::string& parameter) {
  for (const MethodFit* method : fit.Methods()) {
    for (const ParameterEstimate& one : method->parameters) {
      if (one.name == parameter && (one.note == kFromLogarithm || !one.unit.empty())) return true;
    }
  }
  return false;
}

const LawAnalysis* AnalysisOf(const StudyResults& results, const std::string& law, const std::string& stratum) {
  for (const LawAnalysis& one : results.analysis.laws) {
    if (one.law == law && one.stratum == stratum) return &one;
  }
  return nullptr;
}

// The strata that have an analysis of the law, with their fits.
std::vector<std::pair<const LawFit*, const LawAnalysis*>> FitsOf(const StudyResults& results, const std::string& law) {
  std::vector<std::pair<const LawFit*, const LawAnalysis*>> fits;
  for (const LawFit& fit : results.fits.fits) {
    const LawAnalysis* analysis = fit.law == law ? AnalysisOf(results, law, fit.stratum) : nullptr;
    if (analysis != nullptr) fits.emplace_back(&fit, analysis);
  }
  return fits;
}

void AddForest(const StudyResults& results, const std::string& law, StudyFigures& out) {
  Figure figure;
  figure.name = FigureOfLaw("exponents", law);
  figure.title = "Exponents of " + law + " with their intervals";
  const auto fits = FitsOf(results, law);
  std::vector<std::string> parameters;
  for (const auto& [fit, analysis] : fits) {
    for (const ParameterEstimate& one : fit->Methods().front()->parameters) {
      if (IsAmplitude(*fit, one.name)) continue;
      if (std::find(parameters.begin(), parameters.end(), one.name) == parameters.end()) parameters.push_back(one.name);
    }
  }
  for (const std::string& parameter : parameters) {
    FigurePanel panel;
    panel.title = parameter;
    panel.x.label = "estimate";
    FigureSeries estimates, zero;
    estimates.name = fmt::format("estimate and {:.3g} % interval", 100 * results.fits.settings.confidence);
    for (size_t i = 0; i < fits.size(); ++i) {
      // The first stratum stands on top.
      panel.y.names.insert(panel.y.names.begin(), fits[i].first->stratum);
      for (const Uncertainty& one : fits[i].second->uncertainty.quantities) {
        if (one.name != parameter || !std::isfinite(one.value)) continue;
        const Interval interval = ShownInterval(one);
        const bool has_interval = std::isfinite(interval.low) && std::isfinite(interval.high);
        estimates.x.push_back(one.value), estimates.y.push_back(static_cast<double>(fits.size() - i));
        estimates.x_low.push_back(has_interval ? interval.low : one.value);
        estimates.x_high.push_back(has_interval ? interval.high : one.value);
      }
    }
    if (estimates.x.empty()) continue;
    double low = 0, high = 0;  // The dashed line is there.
    for (const double x : estimates.x_low) low = std::min(low, x);
    for (const double x : estimates.x_high) high = std::max(high, x);
    if (low < high) SetLinearTicks(low, high, panel.x);
    zero.kind = FigureSeries::Kind::kLine, zero.colour = FigureSeries::kTextColour, zero.dashed = true;
    zero.x = {0, 0}, zero.y = {0.5, static_cast<double>(fits.size()) + 0.5};
    panel.series = {std::move(zero), std::move(estimates)};
    figure.panels.push_back(std::move(panel));
  }
  if (figure.panels.empty()) {
    out.left_out.push_back(fits.empty()
                               ? "Exponents: the fits of " + law + " were not examined, so there are no intervals."
                               : "Exponents: every parameter of " + law +
                                     " is an amplitude or has a unit; the table of its parameters has them.");
    return;
  }
  const UncertaintyReport& of = fits.front().second->uncertainty;
  figure.caption =
      fmt::format("{} = {}. Errors count each {} as one observation ({} of them). The dashed line is no effect.",
                  fits.front().first->response, fits.front().first->formula,
                  of.independent.empty()       ? "row"
                  : of.independent == "trials" ? "trial"
                                               : of.independent,
                  of.independent_units);
  out.figures.push_back(std::move(figure));
}

// Residuals stand at the values of a factor, the strata beside each other.
FigurePanel ResidualPanel(const StudyResults& results, const std::string& law, const std::string& column,
                          const std::set<double>& values, const std::vector<const StratumLaw*>& best,
                          bool of_accuracy) {
  FigurePanel panel;
  panel.title = column;
  panel.x.label = column;
  panel.x.unit = UnitOf(results, column);
  for (const double value : values) panel.x.names.push_back(AxisNumber(value));
  panel.y.label = of_accuracy ? "measured - predicted accuracy" : "measured - predicted response";
  FigureSeries zero;
  zero.kind = FigureSeries::Kind::kLine, zero.colour = FigureSeries::kTextColour, zero.dashed = true;
  zero.x = {0.5, static_cast<double>(values.size()) + 0.5}, zero.y = {0, 0};
  panel.series.push_back(std::move(zero));
  const double width = 0.7 / static_cast<double>(best.size());
  for (size_t s = 0; s < best.size(); ++s) {
    FigureSeries series;
    series.name = best[s]->stratum;
    series.colour = series.mark = static_cast<int>(s);
    for (size_t row = 0; row < results.predictions.rows(); ++row) {
      const Table& table = results.predictions;
      if (table.TextAt("law", row) != law || table.TextAt("stratum", row) != best[s]->stratum ||
          table.TextAt("method", row) != best[s]->fit->Methods().front()->method() || table.TextAt("set", row) != "fit")
        continue;
      const double residual = table.NumberAt(of_accuracy ? "residual_acc_adj" : "residual", row);
      const auto at = values.find(table.NumberAt(column, row));
      if (std::isnan(residual) || at == values.end()) continue;
      const double middle = (static_cast<double>(s) - (static_cast<double>(best.size()) - 1) / 2) * width;
      series.x.push_back(static_cast<double>(std::distance(values.begin(), at)) + 1 + middle);
      series.y.push_back(residual);
    }
    series.subdued = true;
    if (!series.x.empty()) panel.series.push_back(std::move(series));
  }
  return panel;
}

void AddResiduals(const StudyResults& results, const std::vector<StratumLaw>& all, const std::string& law,
                  StudyFigures& out) {
  constexpr size_t kMostValues = 12;
  Figure figure;
  figure.name = FigureOfLaw("residuals_by_factor", law);
  figure.title = "Residuals of " + law + " by factor";
  std::vector<const StratumLaw*> best;
  const LawPicture* picture = nullptr;
  for (const StratumLaw& one : all) {
    if (one.fit == nullptr || one.fit->law != law) continue;
    best.push_back(&one);
    if (one.picture != nullptr) picture = one.picture;
  }
  std::vector<std::string> columns;
  if (picture != nullptr) {
    for (const std::string& column : {picture->scale, picture->precision}) {
      if (!column.empty()) columns.push_back(column);
    }
    for (const auto& [column, value] : picture->reference) columns.push_back(column);
  }
  std::vector<std::string> many;
  for (const std::string& column : columns) {
    const TableColumn* found = results.predictions.Find(column);
    std::set<double> values;
    for (size_t row = 0; found != nullptr && !found->is_text && row < found->size(); ++row) {
      if (!std::isnan(found->numbers[row]) && results.predictions.TextAt("set", row) == "fit") values.insert(found->numbers[row]);
    }
    if (values.size() > kMostValues) many.push_back(column);
    if (values.size() < 2 || values.size() > kMostValues) continue;
    figure.panels.push_back(ResidualPanel(results, law, column, values, best, picture->of_accuracy));
  }
  if (figure.panels.empty()) {
    out.left_out.push_back("Residuals by factor: no factor of " + law + " has 2 to 12 values.");
    return;
  }
  figure.caption = "Each point is a fitted row; a law that misses nothing about a factor scatters evenly around the dashed line.";
  if (!many.empty()) figure.caption += fmt::format(" Not shown, for they have more than {} values: {}.", kMostValues, JoinNames(many));
  out.figures.push_back(std::move(figure));
}

void AddAmplification(const StudyResults& results, const std::string& law, StudyFigures& out) {
  Figure figure;
  figure.name = FigureOfLaw("few_bits", law);
  figure.title = "Exponents of " + law + " at few bits against all";
  const auto fits = FitsOf(results, law);
  std::vector<std::string> zones, parameters;
  for (const auto& [fit, analysis] : fits) {
    for (const Zone& zone : analysis->zones) {
      if (std::find(zones.begin(), zones.end(), zone.name) == zones.end()) zones.push_back(zone.name);
      for (const Zone::Exponent& one : zone.exponents) {
        if (std::isfinite(one.amplification) && !IsAmplitude(*fit, one.parameter) &&
            std::find(parameters.begin(), parameters.end(), one.parameter) == parameters.end())
          parameters.push_back(one.parameter);
      }
    }
  }
  const double width = 0.6 / static_cast<double>(std::max<size_t>(1, fits.size()));
  for (const std::string& parameter : parameters) {
    FigurePanel panel;
    panel.title = parameter;
    panel.x.names = zones;
    panel.x.label = "rows with";
    panel.y.label = parameter + " there";
    for (size_t s = 0; s < fits.size(); ++s) {
      FigureSeries series;
      series.name = fits[s].first->stratum;
      series.colour = series.mark = static_cast<int>(s);
      const double middle = (static_cast<double>(s) - (static_cast<double>(fits.size()) - 1) / 2) * width;
      for (size_t z = 0; z < zones.size(); ++z) {
        for (const Zone& zone : fits[s].second->zones) {
          if (zone.name != zones[z]) continue;
          for (const Zone::Exponent& one : zone.exponents) {
            if (one.parameter != parameter || !std::isfinite(one.value)) continue;
            series.x.push_back(static_cast<double>(z) + 1 + middle), series.y.push_back(one.value);
            const double error = std::isfinite(one.standard_error) ? one.standard_error : 0;
            series.y_low.push_back(one.value - error), series.y_high.push_back(one.value + error);
          }
        }
      }
      if (series.x.empty()) continue;
      // The estimate of all zones together, across the panel.
      for (const Uncertainty& one : fits[s].second->uncertainty.quantities) {
        if (one.name != parameter) continue;
        FigureSeries line;
        line.kind = FigureSeries::Kind::kLine, line.colour = series.colour, line.dashed = true;
        line.x = {0.5, static_cast<double>(zones.size()) + 0.5}, line.y = {one.value, one.value};
        panel.series.push_back(std::move(line));
      }
      panel.series.push_back(std::move(series));
    }
    figure.panels.push_back(std::move(panel));
  }
  if (zones.size() < 2 || figure.panels.empty()) {
    out.left_out.push_back("Exponents at few bits: " + law + " was fitted to fewer than two zones of precision.");
    return;
  }
  figure.caption =
      "The law fitted to each zone alone (by least squares on logarithms), with one standard error over units either way; "
      "dashed lines are the estimates of all zones together. An exponent further from zero at few bits is amplified there.";
  out.figures.push_back(std::move(figure));
}

}  // namespace

std::string FigureOfLaw(const std::string& figure, const std::string& law) {
  std::string name = figure + "_" + law;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') c = '-';
  }
  return name;
}

void AddExponentFigures(const StudyResults& results, const ShownLaws& shown, StudyFigures& figures) {
  const std::string law = HeadlineLaw(shown.laws);
  AddForest(results, law, figures);
  AddResiduals(results, shown.laws, law, figures);
  AddAmplification(results, law, figures);
}

}  // namespace bitlaw
