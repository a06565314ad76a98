#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/rng.h"
#include "records/table.h"

namespace bitlaw {

/// One quantization of one model.
struct Configuration {
  double size, bits, samples, group;
};

/// Every combination, sizes outermost, groups innermost.
inline std::vector<Configuration> FullGrid(const std::vector<double>& sizes, const std::vector<double>& bits,
                                           const std::vector<double>& samples, const std::vector<double>& groups) {
  std::vector<Configuration> grid;
  for (const double n : sizes) {
    for (const double b : bits) {
      for (const double cb : samples) {
        for (const double g : groups) grid.push_back({n, b, cb, g});
      }
    }
  }
  return grid;
}

/// The 293 configurations of the four-factor study: 6 sizes x (2, 3, 4 bits x 4 x 4), and 8 bits at 5 of the sizes.
inline std::vector<Configuration> FourFactorGrid() {
  std::vector<Configuration> grid;
  for (const double n : {6e8, 1.7e9, 4e9, 8e9, 1.4e10, 3.2e10}) {
    for (const double b : {2.0, 3.0, 4.0}) {
      for (const double g : {32.0, 64.0, 128.0, 1024.0}) {
        for (const double cb : {8.0, 32.0, 128.0, 1024.0}) grid.push_back({n, b, cb, g});
      }
    }
    if (n != 8e9) grid.push_back({n, 8, 128, 128});
  }
  return grid;
}

/// f(x; theta) of a law whose covariates are among N, B, Cb, G.
inline double PredictAt(const Law& law, const std::vector<double>& theta, const Configuration& at) {
  std::vector<double> x;
  for (const std::string& name : law.covariates())
    x.push_back(name == "N" ? at.size : name == "B" ? at.bits : name == "Cb" ? at.samples : at.group);
  return law.Predict(theta, x, {});
}

inline void AddConfigurations(Table& table, const std::vector<Configuration>& rows) {
  std::vector<double> n, b, cb, g;
  for (const Configuration& one : rows) {
    n.push_back(one.size), b.push_back(one.bits), cb.push_back(one.samples), g.push_back(one.group);
  }
  table.AddNumbers("N", n);
  table.AddNumbers("B", b);
  table.AddNumbers("Cb", cb);
  table.AddNumbers("G", g);
}

/// A table of one row a configuration: N, B, Cb, G and acc_adj of a law of -log(acc_adj), whose logarithm has normal
/// noise.
inline Table PlantedTable(const Law& law, const std::vector<double>& theta, const std::vector<Configuration>& grid,
                          double noise, Rng& rng) {
  Table table("planted");
  AddConfigurations(table, grid);
  std::vector<double> accuracy;
  for (const Configuration& one : grid)
    accuracy.push_back(std::exp(-PredictAt(law, theta, one) * std::exp(noise * rng.Normal())));
  table.AddNumbers("acc_adj", accuracy);
  return table;
}

struct PlantedStratum {
  std::string name;
  int tasks;
  std::vector<double> theta;
};

struct PlantedObservations {
  double noise = 0;         ///< Of each score, on the logarithm of the response.
  double shared_noise = 0;  ///< Of a trial, in all of its scores.
  double chance = 0.25, items = 1000, baseline = 0.9;
};

/// Observations of strata: a row a trial and task, named t1.. and <stratum>0.., family "even" and "odd" by fives.
inline Table ObservationsOf(const Law& law, const std::vector<PlantedStratum>& strata,
                            const std::vector<Configuration>& grid, const PlantedObservations& planted, Rng& rng) {
  std::vector<Configuration> rows;
  std::vector<std::string> trial, task, stratum, family;
  std::vector<double> value, error, accuracy;
  for (size_t i = 0; i < grid.size(); ++i) {
    const double shared = planted.shared_noise > 0 ? planted.shared_noise * rng.Normal() : 0;
    for (const PlantedStratum& one : strata) {
      for (int t = 0; t < one.tasks; ++t) {
        trial.push_back("t" + std::to_string(i + 1));
        task.push_back(one.name + std::to_string(t));
        stratum.push_back(one.name);
        family.push_back((i + 1) / 5 % 2 == 0 ? "even" : "odd");
        rows.push_back(grid[i]);
        const double a =
            std::exp(-PredictAt(law, one.theta, grid[i]) * std::exp(shared + planted.noise * rng.Normal()));
        const double p = planted.chance + (1 - planted.chance) * a;
        accuracy.push_back(a), value.push_back(p);
        error.push_back(std::sqrt(p * (1 - p) / planted.items));
      }
    }
  }
  Table table("observations");
  table.AddTexts("trial", trial);
  table.AddTexts("task", task);
  table.AddTexts("stratum", stratum);
  table.AddTexts("family", family);
  table.AddTexts("metric_kind", std::vector<std::string>(trial.size(), "accuracy"));
  AddConfigurations(table, rows);
  const auto constant = [&](const char* name, double number) {
    table.AddNumbers(name, std::vector<double>(trial.size(), number));
  };
  table.AddNumbers("value", value);
  table.AddNumbers("standard_error", error);
  constant("items", planted.items);
  constant("chance", planted.chance);
  table.AddNumbers("acc_adj", accuracy);
  constant("baseline_value", planted.baseline);
  return table;
}

}  // namespace bitlaw
