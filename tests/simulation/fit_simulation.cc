// Speed of resampling, coverage of intervals, and type I errors of tests, on simulated studies.
//
//     fit_simulation speed [CSV]     2,000 bootstrap refits of the four-factor law on 293 rows x 4 strata
//     fit_simulation formula         a formula against the same law in C++
//     fit_simulation families        12 families x 4 strata x 5 folds
//     fit_simulation coverage [N]    how often 90 % intervals hold the planted exponents, over N studies (1000)
//     fit_simulation tests [N]       how often each test refuses a true null at 5 %
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "bitlaw/base/rng.h"
#include "fit/analysis.h"
#include "formula_law.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

std::unique_ptr<FormulaLaw> Shipped(const std::string& name) {
  const Value file = ReadYamlFile(std::string(BITLAW_SOURCE_DIR) + "/configs/laws/" + name + ".yaml");
  return std::make_unique<FormulaLaw>(name, FormulaLaw::Schema().Resolve(file, "law 'formula'"));
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const std::vector<std::vector<double>> kThetas = {{900, -.315, -.964, -.04, .064},
                                                  {6000, -.40, -1.1, -.03, .075},
                                                  {1100, -.32, -1.356, -.025, .087},
                                                  {2600, -.359, -1.067, -.032, .073}};

// 293 configurations: 6 sizes x (2, 3, 4 bits x 4 x 4) and 8 bits at 5 of the sizes.
Table Study(const Law& law, const std::vector<double>& theta, double noise, Rng& rng) {
  std::vector<double> n, b, g, cb, a;
  std::vector<std::string> family;
  const auto add = [&](double size, double bits, double group, double samples) {
    n.push_back(size), b.push_back(bits), g.push_back(group), cb.push_back(samples);
    family.push_back(n.size() % 2 == 0 ? "one" : "two");
    std::vector<double> x;
    for (const std::string& name : law.covariates())
      x.push_back(name == "N" ? size : name == "B" ? bits : name == "G" ? group : samples);
    a.push_back(std::exp(-law.Predict(theta, x, {}) * std::exp(noise * rng.Normal())));
  };
  for (const double size : {6e8, 1.7e9, 4e9, 8e9, 1.4e10, 3.2e10}) {
    for (const double bits : {2.0, 3.0, 4.0}) {
      for (const double group : {32.0, 64.0, 128.0, 1024.0}) {
        for (const double samples : {8.0, 32.0, 128.0, 1024.0}) add(size, bits, group, samples);
      }
    }
    if (size != 8e9) add(size, 8, 128, 128);
  }
  Table table("study");
  table.AddNumbers("N", n);
  table.AddNumbers("B", b);
  table.AddNumbers("G", g);
  table.AddNumbers("Cb", cb);
  table.AddNumbers("acc_adj", a);
  table.AddTexts("family", family);
  return table;
}

void Speed(const char* csv) {
  const auto law = Shipped("stratified_power");
  Rng rng(1);
  std::vector<Table> strata;
  for (const auto& theta : kThetas) strata.push_back(Study(*law, theta, 0.1, rng));
  if (csv != nullptr) std::ofstream(csv) << WriteCsv(strata[0]);
  FitSettings settings;
  for (const int threads : {1, 2}) {
    for (const bool is_ols : {true, false}) {
      double seconds = 0;
      int failed = 0;
      for (const Table& table : strata) {
        const LawFit fit = FitLaw(*law, table, settings);
        const MethodFit& method = is_ols ? *fit.ols : *fit.least_squares;
        const double begin = Now();
        const Refitter refitter(*law, table, settings, method);
        BootstrapOptions options;
        options.replicates = 2000;
        options.threads = threads;
        failed += Bootstrap(refitter, table, method, options).failed;
        seconds += Now() - begin;
      }
      fmt::print("{} {} thread(s): 2000 refits x 4 strata x 293 rows, with BCa: {:.3f} s, {} failed\n",
                 is_ols ? "OLS" : "Ceres", threads, seconds, failed);
    }
  }
}

void Formula() {
  const auto law = Shipped("stratified_power");
  const std::vector<double> theta = kThetas[0];
  std::vector<double> x(4 * 1000), gradient(5);
  Rng rng(2);
  for (double& value : x) value = 2 + 1000 * rng.Uniform();
  const auto by_hand = [](const double* t, const double* row, double* slopes) {
    const double log_n = std::log(row[0]), log_b = std::log(std::log2(row[1])), log_c = std::log(std::log2(row[2])),
                 log_g = std::log(row[3]);
    const double product = std::pow(row[0], t[1]) * std::pow(std::log2(row[1]), t[2]) *
                           std::pow(std::log2(row[2]), t[3]) * std::pow(row[3], t[4]);
    slopes[0] = product;
    const double f = t[0] * product;
    slopes[1] = f * log_n, slopes[2] = f * log_b, slopes[3] = f * log_c, slopes[4] = f * log_g;
    return f;
  };
  double sum = 0;
  for (const bool with_gradient : {false, true}) {
    double best_formula = 1e9, best_code = 1e9;
    for (int round = 0; round < 20; ++round) {
      double begin = Now();
      for (size_t i = 0; i < 1000; ++i) {
        const std::span<double> slopes = with_gradient ? std::span<double>(gradient) : std::span<double>();
        sum += law->Predict(theta, {x.data() + 4 * i, 4}, slopes);
      }
      best_formula = std::min(best_formula, Now() - begin);
      begin = Now();
      for (size_t i = 0; i < 1000; ++i) {
        const double* row = x.data() + 4 * i;
        sum += with_gradient ? by_hand(theta.data(), row, gradient.data())
                             : theta[0] * std::pow(row[0], theta[1]) * std::pow(std::log2(row[1]), theta[2]) *
                                   std::pow(std::log2(row[2]), theta[3]) * std::pow(row[3], theta[4]);
      }
      best_code = std::min(best_code, Now() - begin);
    }
    fmt::print("{}: formula {:.0f} ns, C++ {:.0f} ns, ratio {:.2f}\n", with_gradient ? "value and gradient" : "value",
               best_formula * 1e6, best_code * 1e6, best_formula / best_code);
  }
  if (sum == 0) std::puts("");
}

void Families() {
  const std::vector<std::string> names = {"stratified_power", "power_n",      "power_n_b",  "power_n_b_g",
                                          "exponential_bits", "inverse_bits", "additive",   "effective_capacity",
                                          "log_group",        "broken_power", "within_model", "sigmoid_threshold"};
  const auto law = Shipped("stratified_power");
  Rng rng(3);
  std::vector<std::unique_ptr<Law>> laws;
  for (const std::string& name : names) laws.push_back(Shipped(name));
  const double begin = Now();
  size_t fits = 0, failed = 0;
  for (const auto& theta : kThetas) {
    const Table table = Study(*law, theta, 0.1, rng);
    FitSettings settings;
    settings.threads = 2;
    for (const auto& one : laws) {
      const Law* single = one.get();
      const LawComparison comparison = CompareLaws({&single, 1}, table, settings);
      fits += comparison.laws[0].folds.fits;
      failed += comparison.laws[0].folds.failed + !comparison.laws[0].why_none.empty();
    }
  }
  fmt::print("12 families x 4 strata x 5 folds (and hold-outs): {:.1f} s, {} fold fits, {} failed\n", Now() - begin,
             fits, failed);
}

void Coverage(int studies) {
  const auto law = Shipped("stratified_power");
  const std::vector<double>& theta = kThetas[3];
  struct Count {
    int delta = 0, percentile = 0, bca = 0;
  };
  std::vector<Count> counts(5);
  std::vector<double> sums(5, 0);
  FitSettings settings;
  settings.random_starts = 0;
  for (int study = 0; study < studies; ++study) {
    Rng rng(1000 + static_cast<uint64_t>(study));
    const Table table = Study(*law, theta, 0.1, rng);
    std::string why;
    FitProcedure procedure;
    procedure.space = FitProcedure::Space::kLog;
    const auto fit = FitMethod(*law, table, settings, procedure, why);
    const Refitter refitter(*law, table, settings, *fit);
    BootstrapOptions options;
    options.replicates = 1000;
    options.seed = static_cast<uint64_t>(study);
    const auto report = Bootstrap(refitter, table, *fit, options);
    for (size_t j = 0; j < 5; ++j) {
      const Uncertainty& one = report.quantities[j];
      const auto holds = [&](const Interval& ends) { return ends.low <= theta[j] && theta[j] <= ends.high; };
      counts[j].delta += holds(one.delta);
      counts[j].percentile += holds(one.percentile);
      counts[j].bca += holds(one.bca);
      sums[j] += one.value / studies;
    }
  }
  for (size_t j = 0; j < 5; ++j) {
    fmt::print("{:6} planted {:9.4f} mean {:9.4f}  delta {:.3f}  percentile {:.3f}  BCa {:.3f}\n",
               law->parameters()[j].name, theta[j], sums[j], counts[j].delta / static_cast<double>(studies),
               counts[j].percentile / static_cast<double>(studies), counts[j].bca / static_cast<double>(studies));
  }
}

// Observations of three strata of four tasks each with one and the same law.
Table NullObservations(const Law& law, Rng& rng) {
  std::vector<std::string> trial, task, stratum;
  std::vector<double> n, b, g, cb, a;
  int index = 0;
  for (const double size : {6e8, 1.7e9, 4e9, 1.4e10}) {
    for (const double bits : {3.0, 4.0, 8.0}) {
      for (const double group : {32.0, 128.0}) {
        for (const double samples : {8.0, 128.0}) {
          ++index;
          std::vector<double> x;
          for (const std::string& name : law.covariates())
            x.push_back(name == "N" ? size : name == "B" ? bits : name == "G" ? group : samples);
          const double shared = 0.05 * rng.Normal();
          for (int t = 0; t < 12; ++t) {
            trial.push_back(std::to_string(index));
            task.push_back(std::to_string(t));
            stratum.push_back(t < 4 ? "A" : t < 8 ? "B" : "C");
            n.push_back(size), b.push_back(bits), g.push_back(group), cb.push_back(samples);
            a.push_back(std::exp(-law.Predict(kThetas[3], x, {}) * std::exp(shared + 0.1 * rng.Normal())));
          }
        }
      }
    }
  }
  Table table("null");
  table.AddTexts("trial", trial);
  table.AddTexts("task", task);
  table.AddTexts("stratum", stratum);
  table.AddNumbers("N", n);
  table.AddNumbers("B", b);
  table.AddNumbers("G", g);
  table.AddNumbers("Cb", cb);
  table.AddNumbers("acc_adj", a);
  return table;
}

void Tests(int studies) {
  const auto law = Shipped("stratified_power");
  FitSettings settings;
  settings.random_starts = 0;
  settings.bootstrap = 400;
  settings.permutations = 199;
  int chow = 0, nested = 0, ratio = 0, pairs = 0, permutation = 0;
  for (int study = 0; study < studies; ++study) {
    Rng rng(50000 + static_cast<uint64_t>(study));
    std::vector<double> without_calibration = kThetas[3];
    without_calibration[3] = 0;
    const Table table = Study(*law, without_calibration, 0.1, rng);
    chow += Chow(*law, table, settings, "family").chow.p < 0.05;
    nested += Ablations(*law, table, settings).back().added.p < 0.05;
    const double unset = kUnset;
    ratio += TestParameters(*law, table, settings, {unset, unset, unset, 0, unset}).p < 0.05;
    settings.seed = static_cast<uint64_t>(study);
    const Table observations = NullObservations(*law, rng);
    const StrataTests tests = TestStrata(*law, observations, SplitStrata(observations), settings);
    pairs += tests.rankings[1].pairs[0].p < 0.05;
    permutation += tests.permutation[1].p < 0.05;
  }
  const double all = studies;
  fmt::print("refused at 5 %, of {} true nulls: Chow {:.3f}, nested F {:.3f}, likelihood ratio {:.3f}, pair of strata "
             "(beta) {:.3f}, permutation (beta) {:.3f}\n",
             studies, chow / all, nested / all, ratio / all, pairs / all, permutation / all);
}

}  // namespace
}  // namespace bitlaw

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int studies = argc > 2 ? std::atoi(argv[2]) : 1000;
  if (what == "speed") {
    bitlaw::Speed(argc > 2 ? argv[2] : nullptr);
  } else if (what == "formula") {
    bitlaw::Formula();
  } else if (what == "families") {
    bitlaw::Families();
  } else if (what == "coverage") {
    bitlaw::Coverage(studies);
  } else if (what == "tests") {
    bitlaw::Tests(studies);
  } else {
    std::fputs("fit_simulation speed|formula|families|coverage|tests\n", stderr);
    return 2;
  }
  return 0;
}
