#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/rng.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/uncertainty.h"
#include "support/planted_study.h"

namespace bitlaw {

/// Ways in which a study's rows are not independent draws about the law.
enum class StudyDesign {
  kIndependentRows,     ///< None: every row is off by 5 %, log-normal.
  kModelEffects,        ///< Each model is off by 10 % beside that.
  kModelSlopes,         ///< And its exponent of bits by 0.15.
  kHeteroscedastic,     ///< Model effects; rows are off by 20, 10 and 3 % at 3, 4 and 8 bits.
  kOverdispersedCounts  ///< Model effects; 400 items with chance 0.25, beta-binomial: three times a binomial's
                        ///< variance.
};
inline constexpr StudyDesign kDesigns[] = {StudyDesign::kIndependentRows, StudyDesign::kModelEffects,
                                           StudyDesign::kModelSlopes, StudyDesign::kHeteroscedastic,
                                           StudyDesign::kOverdispersedCounts};

inline const char* Name(StudyDesign design) {
  switch (design) {
    case StudyDesign::kIndependentRows: return "independent rows";
    case StudyDesign::kModelEffects: return "model effects";
    case StudyDesign::kModelSlopes: return "model effects and slopes";
    case StudyDesign::kHeteroscedastic: return "heteroscedastic rows";
    case StudyDesign::kOverdispersedCounts: return "overdispersed counts";
  }
  return "";
}

/// Of A, alpha, beta, gamma, delta in the four-factor law.
inline const std::vector<double> kClusteredTheta = {60, -.25, -1, -.05, .07};

/// A number of correct answers among n: the sum of n / 3 draws that are 3 equal items each has three times the
/// variance of the binomial.
inline double OverdispersedCount(double p, int items, Rng& rng) {
  double correct = 0;
  for (int i = 0; i < items / 3; ++i) correct += rng.Uniform() < p ? 3 : 0;
  return correct;
}

/// A study of `models` models between 0.135 and 140 billion parameters x 3 bits x 2 groups x 2 calibrations.
inline Table ClusteredStudy(const Law& law, StudyDesign design, int models, Rng& rng) {
  const double row_noise = design == StudyDesign::kOverdispersedCounts ? 0 : 0.05;
  std::vector<Configuration> rows;
  std::vector<std::string> model;
  std::vector<double> accuracy, correct, total;
  for (int m = 0; m < models; ++m) {
    // Unequal steps, as real families have them.
    const double step = (m + 0.3 * std::sin(5.0 * m)) / (models - 1);
    const double size = 1.35e8 * std::pow(1000, step);
    const double effect = design == StudyDesign::kIndependentRows ? 0 : 0.10 * rng.Normal();
    const double slope = design == StudyDesign::kModelSlopes ? 0.15 * rng.Normal() : 0;
    for (const Configuration& one : FullGrid({size}, {3, 4, 8}, {8, 128}, {32, 128})) {
      double noise = row_noise;
      if (design == StudyDesign::kHeteroscedastic) noise = one.bits == 3 ? 0.20 : one.bits == 4 ? 0.10 : 0.03;
      const double off = effect + slope * std::log(std::log2(one.bits) / 2) + noise * rng.Normal();
      double a = std::exp(-PredictAt(law, kClusteredTheta, one) * std::exp(off));
      if (design == StudyDesign::kOverdispersedCounts) {
        constexpr int kItems = 399;
        correct.push_back(OverdispersedCount(0.25 + 0.75 * a, kItems, rng));
        total.push_back(kItems);
        a = (correct.back() / kItems - 0.25) / 0.75;
      }
      rows.push_back(one);
      model.push_back("m" + std::to_string(m));
      accuracy.push_back(a);
    }
  }
  Table table("clustered");
  AddConfigurations(table, rows);
  table.AddTexts("model", model);
  table.AddNumbers("acc_adj", accuracy);
  if (!total.empty()) {
    table.AddNumbers("correct", correct);
    table.AddNumbers("total", total);
    table.AddNumbers("chance", std::vector<double>(total.size(), 0.25));
  }
  return table;
}

/// Shares of studies whose intervals hold the planted value, one a parameter.
struct Coverage {
  std::vector<double> headline, independent, percentile, bca;
  double failed = 0;  ///< Studies without a headline interval of every parameter.
};

/// Over `studies` studies, by the settings' defaults but for random starts, which a law with a linear form does not
/// need. `replicates` 0: no bootstrap.
inline Coverage CoverageOf(const Law& law, StudyDesign design, int models, int studies, int replicates) {
  const size_t k = kClusteredTheta.size();
  Coverage coverage;
  coverage.headline.assign(k, 0);
  coverage.independent = coverage.percentile = coverage.bca = coverage.headline;
  FitSettings settings;
  settings.random_starts = 0;
  settings.nulls = false;
  for (int study = 0; study < studies; ++study) {
    Rng rng(700000 + static_cast<uint64_t>(study));
    const Table table = ClusteredStudy(law, design, models, rng);
    const LawFit fit = FitLaw(law, table, settings);
    if (fit.Methods().empty()) {
      coverage.failed += 1.0 / studies;
      continue;
    }
    const MethodFit& method = *fit.Methods()[0];
    UncertaintyReport report = DeltaIntervals(law, method, settings.confidence);
    if (replicates > 0) {
      BootstrapOptions options;
      options.replicates = replicates;
      options.seed = static_cast<uint64_t>(study);
      report = Bootstrap(Refitter(law, table, settings, method), table, method, options);
    }
    bool all = true;
    for (size_t j = 0; j < k; ++j) {
      const Uncertainty& one = report.quantities[j];
      const auto holds = [&](const Interval& ends) {
        return ends.low <= kClusteredTheta[j] && kClusteredTheta[j] <= ends.high ? 1.0 / studies : 0;
      };
      all = all && std::isfinite(one.delta_error);
      coverage.headline[j] += holds(one.delta);
      coverage.independent[j] += holds(one.independent);
      coverage.percentile[j] += holds(one.percentile);
      coverage.bca[j] += holds(one.bca);
    }
    if (!all) coverage.failed += 1.0 / studies;
  }
  return coverage;
}

}  // namespace bitlaw
