// Speed of resampling, coverage of intervals, and type I errors of tests, on simulated studies.
//
//     fit_simulation speed [FOLDER]  2,000 bootstrap refits of the four-factor law on 293 rows x 4 strata
//     fit_simulation formula         a formula against the same law in C++
//     fit_simulation families        12 families x 4 strata x 5 folds
//     fit_simulation coverage [N]    how often 90 % intervals hold the planted exponents, over N studies (1000)
//     fit_simulation units [N]       the same where rows of a model belong together, with 5, 8 and 12 models
//     fit_simulation tests [N]       how often each test refuses a true null at 5 %
//     fit_simulation projection      random starts with and without variable projection
//     fit_simulation anchored [N]    coverage for an anchored law, whose 16-bit accuracies are measured
//     fit_simulation nested [N]      the same of nested F and likelihood ratio alone
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "anchored_studies.h"
#include "bitlaw/base/rng.h"
#include "clustered_studies.h"
#include "fit/examine/analysis.h"
#include "fit/refit/resample.h"
#include "support/planted_study.h"
#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

const std::vector<std::vector<double>> kThetas = {{900, -.315, -.964, -.04, .064},
                                                  {6000, -.40, -1.1, -.03, .075},
                                                  {1100, -.32, -1.356, -.025, .087},
                                                  {2600, -.359, -1.067, -.032, .073}};

// 293 configurations, half of them of each family.
Table Study(const Law& law, const std::vector<double>& theta, double noise, Rng& rng) {
  const auto grid = FourFactorGrid();
  Table table = PlantedTable(law, theta, grid, noise, rng);
  std::vector<std::string> family;
  for (size_t i = 0; i < grid.size(); ++i) family.push_back(i % 2 == 1 ? "one" : "two");
  table.AddTexts("family", family);
  return table;
}

double ProcessorSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// The rows of each stratum, its first resamples (the rows drawn) and what they give: for peer_benchmark.py, whose
// libraries fit the same ones.
void WriteResamples(const Law& law, const std::vector<Table>& strata, const FitSettings& settings,
                    const std::string& folder) {
  constexpr uint64_t kWritten = 400;
  for (size_t s = 0; s < strata.size(); ++s) {
    const std::string at = folder + "/" + std::to_string(s) + "_";
    std::ofstream(at + "rows.csv") << WriteCsv(strata[s]);
    std::ofstream draws(at + "resamples.csv");
    for (uint64_t b = 0; b < kWritten; ++b) {
      Rng rng = Rng(0).Fork(b);
      std::string line;
      DrawUnits(rng, static_cast<uint32_t>(strata[s].rows()),
                [&](uint32_t row) { line += (line.empty() ? "" : ",") + std::to_string(row); });
      draws << line << "\n";
    }
    const LawFit fit = FitLaw(law, strata[s], settings);
    for (const MethodFit* method : {&*fit.ols, &*fit.least_squares}) {
      BootstrapOptions options;
      options.replicates = kWritten;
      const auto report = Bootstrap(Refitter(law, strata[s], settings, *method), strata[s], *method, options);
      std::ofstream thetas(at + method->method() + ".csv");
      for (size_t i = 0; i < report.replicate_values.size(); ++i)
        thetas << fmt::format("{:.17g}{}", report.replicate_values[i], i % 5 == 4 ? "\n" : ",");
    }
  }
}

void Speed(const std::string& folder) {
  const auto law = ShippedLaw("stratified_power");
  Rng rng(1);
  std::vector<Table> strata;
  for (const auto& theta : kThetas) strata.push_back(Study(*law, theta, 0.1, rng));
  FitSettings settings;
  if (!folder.empty()) WriteResamples(*law, strata, settings, folder);
  std::vector<LawFit> fits;
  for (const Table& table : strata) fits.push_back(FitLaw(*law, table, settings));
  for (const bool is_ols : {true, false}) {
    for (const int threads : {1, 2}) {
      // The least of some rounds: other programs only add.
      double wall = 1e9, processor = 1e9;
      int failed = 0;
      for (int round = 0; round < 7; ++round) {
        failed = 0;
        const double begin = Now(), processor_begin = ProcessorSeconds();
        for (size_t s = 0; s < strata.size(); ++s) {
          const MethodFit& method = is_ols ? *fits[s].ols : *fits[s].least_squares;
          const Refitter refitter(*law, strata[s], settings, method);
          BootstrapOptions options;
          options.replicates = 2000;
          options.threads = threads;
          failed += Bootstrap(refitter, strata[s], method, options).failed;
        }
        wall = std::min(wall, Now() - begin);
        processor = std::min(processor, ProcessorSeconds() - processor_begin);
      }
      // Beside 2,000 resamples in each of 4 strata the time has 293 jackknife refits for BCa, and the intervals.
      fmt::print("{} threads={} refits={} wall_s={:.5f} processor_s={:.5f} failed={}\n",
                 is_ols ? "ols" : "least_squares", threads, 4 * 2000, wall, processor, failed);
    }
  }
}

void Formula() {
  const auto law = ShippedLaw("stratified_power");
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
  const std::vector<std::string> names = {"stratified_power", "power_n",      "power_n_b",    "power_n_b_g",
                                          "exponential_bits", "inverse_bits", "additive",     "effective_capacity",
                                          "log_group",        "broken_power", "within_model", "sigmoid_threshold"};
  const auto law = ShippedLaw("stratified_power");
  Rng rng(3);
  std::vector<std::unique_ptr<Law>> laws;
  for (const std::string& name : names) laws.push_back(ShippedLaw(name));
  const double begin = Now();
  size_t fits = 0, failed = 0;
  for (const auto& theta : kThetas) {
    const Table table = Study(*law, theta, 0.1, rng);
    FitSettings settings;
    settings.threads = 2;
    for (const auto& one : laws) {
      const Law* single = one.get();
      const LawComparison comparison = CompareLaws({&single, 1}, table, settings);
      const ComparedLaw& compared = comparison.laws[0];
      fits += compared.folds.fits;
      failed += compared.folds.failed + !compared.why_none.empty();
      size_t held_out_failed = 0;
      for (const ValidationResult& held : compared.hold_outs) held_out_failed += held.failed;
      if (compared.folds.failed + held_out_failed > 0 || !compared.why_none.empty()) {
        fmt::print("{}: {} folds and {} hold-outs failed {}\n", compared.law, compared.folds.failed, held_out_failed,
                   compared.why_none);
      }
    }
  }
  fmt::print("12 families x 4 strata x 5 folds (and hold-outs): {:.1f} s, {} fold fits, {} failed\n", Now() - begin,
             fits, failed);
}

void PlainCoverage(int studies) {
  const auto law = ShippedLaw("stratified_power");
  const std::vector<double>& theta = kThetas[3];
  struct Held {
    int delta = 0, percentile = 0, bca = 0;
  };
  std::vector<Held> counts(5);
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

// Coverage of 90 % intervals by the defaults, where rows of one model are not independent.
void Units(int studies) {
  const auto law = ShippedLaw("stratified_power");
  for (const int models : {5, 8, 12}) {
    for (const StudyDesign design : kDesigns) {
      const Coverage coverage = CoverageOf(*law, design, models, studies, 500);
      fmt::print("{} models, {}: {:.3f} of studies without an interval\n", models, Name(design), coverage.failed);
      const auto line = [](const char* what, const std::vector<double>& shares) {
        fmt::print("  {:18}", what);
        for (const double share : shares) fmt::print(" {:.3f}", share);
        fmt::print("\n");
      };
      line("headline (CR2, t)", coverage.headline);
      line("independent rows", coverage.independent);
      line("percentile", coverage.percentile);
      line("BCa", coverage.bca);
      std::fflush(stdout);
    }
  }
}

void Anchored(int studies) {
  const auto law = ShippedLaw("anchored_logistic");
  for (const double effect : {0.15, 0.0}) {
    const AnchoredCoverage coverage = CoverageOfAnchored(*law, 8, 400, effect, studies, 200);
    fmt::print("noise of a model off by {}: {:.3f} of studies without a fit\n", effect, coverage.failed);
    const auto line = [](const char* what, const std::vector<double>& shares) {
      fmt::print("  {:34}", what);
      for (const double share : shares) fmt::print(" {:.3f}", share);
      fmt::print("\n");
    };
    line("over models (CR2, t)", coverage.over_models);
    line("items of all rows", coverage.over_items);
    line("items, 16-bit accuracies held", coverage.held);
    std::fflush(stdout);
  }
}

// Observations of three strata of four tasks each with one and the same law.
Table NullObservations(const Law& law, Rng& rng) {
  PlantedObservations planted;
  planted.noise = 0.1;
  planted.shared_noise = 0.05;
  planted.chance = 0;
  const std::vector<double>& theta = kThetas[3];
  return ObservationsOf(law, {{"A", 4, theta}, {"B", 4, theta}, {"C", 4, theta}},
                        FullGrid({6e8, 1.7e9, 4e9, 1.4e10}, {3, 4, 8}, {8, 128}, {32, 128}), planted, rng);
}

// Iterations and ends of the same random starts with and without variable projection.
void Projection() {
  struct Problem {
    std::string law;
    std::vector<double> theta;
    double noise;
  };
  const std::vector<Problem> problems = {{"stratified_power", kThetas[3], 0.1},
                                         {"chinchilla", {1.8172, 482.01, 0.3478, 2085.43, 0.3658}, 0.01},
                                         {"additive", {900, 0.35, 40, 0.05, 0.8}, 0.05}};
  for (const Problem& problem : problems) {
    const auto law = ShippedLaw(problem.law);
    Rng rng(11);
    FitRows rows;
    for (const Configuration& one : FourFactorGrid()) {
      std::vector<double> x;
      for (const std::string& name : law->covariates()) {
        const double tokens = one.size * one.samples;
        x.push_back(name == "N"   ? one.size
                    : name == "B" ? one.bits
                    : name == "G" ? one.group
                    : name == "D" ? tokens
                                  : one.samples);
      }
      rows.y.push_back(law->Predict(problem.theta, x, {}) * std::exp(problem.noise * rng.Normal()));
      rows.x.insert(rows.x.end(), x.begin(), x.end());
    }
    for (const bool project : {false, true}) {
      NonlinearOptions options;
      options.random_starts = 200;
      options.project = project;
      const double begin = ProcessorSeconds();
      const NonlinearResult fit = FitNonlinear(*law, rows, options);
      double iterations = 0;
      for (const StartStatus& start : fit.starts) iterations += start.iterations;
      const auto starts = static_cast<double>(fit.starts.size());
      fmt::print("{:16} {}: {} of {} starts agree, {:.1f} iterations a start, {:.2f} ms a start, objective {:.10g}\n",
                 problem.law, project ? "projected  " : "all at once", fit.agreeing, fit.starts.size(),
                 iterations / starts, 1e3 * (ProcessorSeconds() - begin) / starts, fit.objective);
    }
  }
}

// Shares of true nulls that F and the likelihood ratio refuse at 5 %, alone: OLS on rows that keep its assumptions to
// the letter, where F is exact and the ratio is larger by about F's own correction for k parameters in n rows.
void NestedTests(int studies) {
  const auto law = ShippedLaw("stratified_power");
  FitSettings settings;
  settings.random_starts = 0;
  std::vector<double> theta = kThetas[3];
  theta[3] = 0;
  int nested = 0, ratio = 0;
  const double unset = kUnset;
  for (int study = 0; study < studies; ++study) {
    Rng rng(900000 + static_cast<uint64_t>(study));
    const Table table = Study(*law, theta, 0.1, rng);
    nested += Ablations(*law, table, settings).back().added.p < 0.05;
    ratio += TestParameters(*law, table, settings, {unset, unset, unset, 0, unset}).p < 0.05;
  }
  const double all = studies, error = std::sqrt(0.05 * 0.95 / all);
  fmt::print("refused at 5 %, of {} true nulls (standard error {:.4f}): nested F {:.4f}, likelihood ratio {:.4f}\n",
             studies, error, nested / all, ratio / all);
}

void Tests(int studies) {
  const auto law = ShippedLaw("stratified_power");
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
  fmt::print(
      "refused at 5 %, of {} true nulls: Chow {:.3f}, nested F {:.3f}, likelihood ratio {:.3f}, pair of strata "
      "(beta) {:.3f}, permutation (beta) {:.3f}\n",
      studies, chow / all, nested / all, ratio / all, pairs / all, permutation / all);
}

}  // namespace
}  // namespace bitlaw

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int studies = argc > 2 ? std::atoi(argv[2]) : 1000;
  if (what == "speed") {
    bitlaw::Speed(argc > 2 ? argv[2] : "");
  } else if (what == "formula") {
    bitlaw::Formula();
  } else if (what == "families") {
    bitlaw::Families();
  } else if (what == "coverage") {
    bitlaw::PlainCoverage(studies);
  } else if (what == "units") {
    bitlaw::Units(studies);
  } else if (what == "anchored") {
    bitlaw::Anchored(studies);
  } else if (what == "tests") {
    bitlaw::Tests(studies);
  } else if (what == "projection") {
    bitlaw::Projection();
  } else if (what == "nested") {
    bitlaw::NestedTests(studies);
  } else {
    std::fputs("fit_simulation speed|formula|families|coverage|units|anchored|tests|nested|projection\n", stderr);
    return 2;
  }
  return 0;
}
