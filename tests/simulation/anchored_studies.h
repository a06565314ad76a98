#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/rng.h"
#include "fit/data/item_scores.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/uncertainty.h"
#include "fit/refit/refitter.h"
#include "fit/table/baseline.h"
#include "support/planted_study.h"

namespace bitlaw {

/// Of c, a, k, g, d in anchored_logistic.
inline const std::vector<double> kAnchoredTheta = {9, -0.5, 2.2, -0.5, 0.5};

/// A study of an anchored law whose unquantized accuracies are measured too.
struct AnchoredStudy {
  StratumData stratum;  ///< A row a trial, unquantized ones among them, of one task.
  ItemScores items;
};

/// `models` models x 3 bits x 2 calibrations x 2 groups and each unquantized, on the same `count` items. Item i of a model is
/// right where one number of the model and item is below the trial's accuracy, so that a trial and its unquantized model
/// differ in the items that were lost and in no other: the pairing of a real study. `effect`: each model's noise is off by so
/// much, log-normal.
inline AnchoredStudy SimulateAnchored(const Law& law, int models, size_t count, double effect, Rng& rng) {
  AnchoredStudy study;
  std::vector<Configuration> rows;
  std::vector<std::string> model, quantizer, trial;
  std::vector<double> accuracy, baseline;
  study.items.tasks["task"].chance.assign(count, 0);
  ItemScores::Task& task = study.items.tasks["task"];
  for (size_t i = 0; i < count; ++i) task.ids.push_back(std::to_string(i));
  for (int m = 0; m < models; ++m) {
    const double size = 1.35e8 * std::pow(1000, static_cast<double>(m) / (models - 1));
    const double sixteen = 0.35 + 0.5 * m / (models - 1), off = effect * rng.Normal();
    std::vector<double> hard(count);
    for (double& one : hard) one = rng.Uniform();
    std::vector<Configuration> own = FullGrid({size}, {2, 3, 4}, {8, 128}, {32, 128});
    own.insert(own.begin(), Configuration{size, 16, 128, 64});
    double measured_sixteen = 0;
    for (const Configuration& one : own) {
      double p = sixteen;
      if (one.bits < 16) {
        std::vector<double> x, theta = kAnchoredTheta;
        theta[0] += off;
        for (const std::string& name : law.covariates()) {
          x.push_back(name == kBaselineAccuracy ? sixteen
                      : name == "N"             ? one.size
                      : name == "B"             ? one.bits
                      : name == "Cb"            ? one.samples
                                                : one.group);
        }
        p = law.Predict(theta, x, {});
      }
      const std::string name = "t" + std::to_string(trial.size());
      std::vector<float>& scores = task.of_trial[name];
      double right = 0;
      for (const double u : hard) {
        scores.push_back(u < p ? 1 : 0);
        right += u < p ? 1 : 0;
      }
      if (one.bits == 16) measured_sixteen = right / static_cast<double>(count);
      rows.push_back(one);
      trial.push_back(name), model.push_back("m" + std::to_string(m));
      quantizer.push_back(one.bits == 16 ? "none" : "gptq");
      accuracy.push_back(right / static_cast<double>(count));
      baseline.push_back(measured_sixteen);
    }
  }
  Table& table = study.stratum.table;
  study.stratum.name = "KM";
  study.stratum.tasks = {"task"};
  table = Table("anchored");
  AddConfigurations(table, rows);
  table.AddTexts("trial", trial);
  table.AddTexts("model", model);
  table.AddTexts("quantizer", quantizer);
  table.AddNumbers("acc_adj", accuracy);
  table.AddNumbers(kBaselineAccuracy, baseline);
  std::vector<double> correct;
  for (const double one : accuracy) correct.push_back(one * static_cast<double>(count));
  table.AddNumbers("correct", correct);
  table.AddNumbers("total", std::vector<double>(correct.size(), static_cast<double>(count)));
  table.AddNumbers("chance", std::vector<double>(correct.size(), 0));
  return study;
}

/// Shares of studies whose nominal 90 % intervals hold the planted c, a, k, g, d.
struct AnchoredCoverage {
  std::vector<double> over_models;  ///< CR2 with t, the headline.
  std::vector<double> over_items;   ///< Bootstrap percentile; items are drawn for all rows, unquantized ones too.
  std::vector<double> held;         ///< The same with the unquantized accuracies held as they were measured.
  double failed = 0;
};

inline AnchoredCoverage CoverageOfAnchored(const Law& law, int models, size_t count, double effect, int studies,
                                           int replicates) {
  const size_t k = kAnchoredTheta.size();
  AnchoredCoverage coverage;
  coverage.over_models.assign(k, 0);
  coverage.over_items = coverage.held = coverage.over_models;
  FitSettings settings;
  settings.random_starts = 4;
  settings.nulls = false;
  for (int study = 0; study < studies; ++study) {
    Rng rng(810000 + static_cast<uint64_t>(study));
    const AnchoredStudy drawn = SimulateAnchored(law, models, count, effect, rng);
    const Table& table = drawn.stratum.table;
    const LawFit fit = FitLaw(law, table, settings);
    if (!fit.binomial) {
      coverage.failed += 1.0 / studies;
      continue;
    }
    const auto add = [&](const UncertaintyReport& report, Interval Uncertainty::* of, std::vector<double>& shares) {
      for (size_t j = 0; j < k; ++j) {
        const Interval& ends = report.quantities[j].*of;
        if (ends.low <= kAnchoredTheta[j] && kAnchoredTheta[j] <= ends.high) shares[j] += 1.0 / studies;
      }
    };
    add(DeltaIntervals(law, *fit.binomial, settings.confidence), &Uncertainty::delta, coverage.over_models);
    if (replicates == 0) continue;
    BootstrapOptions options;
    options.replicates = replicates;
    options.unit = "items";
    options.seed = static_cast<uint64_t>(study);
    const ItemSampler sampler(drawn.items, drawn.stratum);
    options.items = &sampler;
    add(Bootstrap(Refitter(law, table, settings, *fit.binomial), table, *fit.binomial, options),
        &Uncertainty::percentile, coverage.over_items);
    // Rows of quantized trials alone leave nothing to draw an unquantized accuracy from.
    StratumData quantized = drawn.stratum;
    std::vector<size_t> rows;
    for (size_t row = 0; row < table.rows(); ++row) {
      if (table.TextAt("quantizer", row) != "none") rows.push_back(row);
    }
    quantized.table = table.Rows(rows);
    const ItemSampler fixed(drawn.items, quantized);
    options.items = &fixed;
    add(Bootstrap(Refitter(law, quantized.table, settings, *fit.binomial), quantized.table, *fit.binomial, options),
        &Uncertainty::percentile, coverage.held);
  }
  return coverage;
}

}  // namespace bitlaw
