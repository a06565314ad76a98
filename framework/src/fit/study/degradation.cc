#include "fit/study/degradation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "fit/solve/least_squares.h"

namespace bitlaw {
namespace {

double TaskP(const BenchmarkFlips& flips) { return CoinTail(flips.lost, flips.lost + flips.gained); }

// The largest of the p-values CoinTail(k, flips) that is not above x; 0 if there is none. Equal but for rounding is equal.
double LargestPossibleP(double x, int64_t flips) {
  const double reach = x * (1 + 1e-9);
  int64_t low = 0, high = flips + 1;  // CoinTail(low) >= CoinTail(high) = 0.
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (CoinTail(middle, flips) <= reach) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return CoinTail(low, flips);
}

}  // namespace

std::vector<std::string> CombineBenchmarksNames() { return {"pooled", "worst", "fisher", "any"}; }

CombineBenchmarks ParseCombineBenchmarks(std::string_view name) {
  const std::vector<std::string> names = CombineBenchmarksNames();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error(ErrorKind::kSpec, "combine '" + std::string(name) + "' is not known." + DidYouMean(name, names) +
                                      " Known: " + JoinNames(names) + ".");
  }
  return static_cast<CombineBenchmarks>(found - names.begin());
}

double DegradationTest::Combined(CombineBenchmarks how) const {
  switch (how) {
    case CombineBenchmarks::kPooled: return pooled_p;
    case CombineBenchmarks::kWorst: return worst_p;
    case CombineBenchmarks::kFisher: return fisher_p;
    case CombineBenchmarks::kAny: return std::min(1.0, 2 * std::min(pooled_p, worst_p));
  }
  throw InternalError("CombineBenchmarks out of range");
}

DegradationTest TestDegradation(std::span<const BenchmarkFlips> benchmarks) {
  DegradationTest test;
  if (benchmarks.empty()) return test;
  int64_t lost = 0, flips = 0;
  double smallest = 1, logs = 0;
  for (const BenchmarkFlips& one : benchmarks) {
    const double p = TaskP(one);
    lost += one.lost;
    flips += one.lost + one.gained;
    logs += std::log(p);
    if (p < smallest) {
      smallest = p;
      test.worst_task = one.task;
    }
  }
  test.pooled_p = CoinTail(lost, flips);
  // In logarithms: 1 - prod (1 - F) loses every digit of a small p.
  double none = 0;
  for (const BenchmarkFlips& one : benchmarks) none += std::log1p(-LargestPossibleP(smallest, one.lost + one.gained));
  test.worst_p = -std::expm1(none);
  test.fisher_p = ChiSquaredP(-2 * logs, 2 * static_cast<double>(benchmarks.size()));
  return test;
}

double LossAtMost(int64_t items, int64_t lost, int64_t gained, double confidence) {
  if (items == 0) return std::numeric_limits<double>::quiet_NaN();
  const double n = static_cast<double>(items) + 2, b = static_cast<double>(lost) + 0.5,
               c = static_cast<double>(gained) + 0.5;
  const double loss = (b - c) / n, error = std::sqrt((b + c) - (b - c) * (b - c) / n) / n;
  return std::clamp(loss + NormalQuantile(confidence) * error, 0.0, 1.0);
}

std::vector<DegradationVerdict> JudgeDegradation(std::span<const TrialFlips> trials,
                                                 const DegradationSettings& settings) {
  std::vector<DegradationVerdict> verdicts;
  std::vector<double> p;
  for (const TrialFlips& trial : trials) {
    DegradationVerdict verdict;
    verdict.trial = trial.trial;
    verdict.label = trial.label;
    verdict.model = trial.model;
    verdict.benchmarks = static_cast<int64_t>(trial.benchmarks.size());
    for (const BenchmarkFlips& one : trial.benchmarks) {
      verdict.items += one.items;
      verdict.lost += one.lost;
      verdict.gained += one.gained;
    }
    if (verdict.items > 0)
      verdict.change = static_cast<double>(verdict.gained - verdict.lost) / static_cast<double>(verdict.items);
    verdict.loss_at_most = LossAtMost(verdict.items, verdict.lost, verdict.gained, settings.confidence);
    verdict.test = TestDegradation(trial.benchmarks);
    verdict.p = trial.benchmarks.empty() ? verdict.p : verdict.test.Combined(settings.combine);
    p.push_back(verdict.p);
    verdicts.push_back(std::move(verdict));
  }
  const std::vector<double> adjusted = AdjustedByHolm(p);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    verdicts[i].p_holm = adjusted[i];
    verdicts[i].degraded = adjusted[i] <= 1 - settings.confidence;
  }
  return verdicts;
}

namespace {

// One row of observations that is a task's first metric, an accuracy.
struct Result {
  std::string trial, label, model, quantizer, task, stratum, digest;
};

std::vector<Result> Accuracies(const Table& observations) {
  std::vector<Result> results;
  const TableColumn *primary = observations.Find("primary"), *kind = observations.Find("metric_kind");
  const auto text = [&](const char* name, size_t row) {
    return observations.CellText(observations.At(name, "the observations"), row);
  };
  for (size_t row = 0; row < observations.rows(); ++row) {
    if (primary != nullptr && !observations.Flag(*primary, row, true)) continue;
    if (kind != nullptr && observations.CellText(*kind, row) != "accuracy") continue;
    results.push_back({text("trial", row), text("label", row), text("model", row), text("quantizer", row),
                       text("task", row), text("stratum", row), text("record", row)});
  }
  return results;
}

// At most so many quantized trials, evenly spread over their order.
std::set<std::string> ChosenTrials(const std::vector<Result>& results, size_t most) {
  std::vector<std::string> order;
  std::set<std::string> known;
  for (const Result& result : results) {
    if (result.quantizer != "none" && known.insert(result.trial).second) order.push_back(result.trial);
  }
  if (order.size() <= most) return known;
  std::set<std::string> chosen;
  for (size_t i = 0; i < most; ++i) chosen.insert(order[i * order.size() / most]);
  return chosen;
}

}  // namespace

StudyFlips ReadStudyFlips(const Table& observations, const RecordStore& store, size_t most_trials) {
  StudyFlips flips;
  std::map<std::pair<std::string, std::string>, std::vector<ItemScore>> before;  // By model and task.
  size_t without = 0, unreadable = 0;
  std::string first_fault;
  const auto items_of = [&](const Result& result) -> std::vector<ItemScore> {
    std::vector<std::string> faults;
    try {
      const auto record = store.FindTask(result.digest, faults);
      if (record) return store.Items(*record);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kIo) throw;
      faults.emplace_back(error.what());
    }
    ++unreadable;
    if (first_fault.empty()) first_fault = faults.empty() ? "record " + result.digest + " is not there" : faults.front();
    return {};
  };
  const std::vector<Result> results = Accuracies(observations);
  const std::set<std::string> chosen = ChosenTrials(results, most_trials);
  for (const Result& result : results) {
    const auto key = std::make_pair(result.model, result.task);
    if (result.quantizer == "none" && !before.contains(key)) before.emplace(key, items_of(result));
  }
  std::map<std::string, size_t> places;  // Of trials among flips.trials.
  PairedSettings no_interval;
  no_interval.resamples = 0;
  for (const Result& result : results) {
    if (result.quantizer == "none" || !chosen.contains(result.trial)) continue;
    const auto baseline = before.find({result.model, result.task});
    if (baseline == before.end()) {
      ++without;
      continue;
    }
    const std::vector<ItemScore> after = items_of(result);
    if (baseline->second.empty() || after.empty()) continue;
    const PairedDifference paired =
        ComparePaired({"", MetricKind::kAccuracy, true}, 0, baseline->second, after, no_interval);
    const auto [place, is_new] = places.try_emplace(result.trial, flips.trials.size());
    if (is_new) flips.trials.push_back({result.trial, result.label, result.model, result.quantizer, {}});
    flips.trials[place->second].benchmarks.push_back(
        {result.task, result.stratum, paired.items, paired.only_first, paired.only_second});
  }
  if (without > 0)
    flips.notes.push_back(
        fmt::format("{} no unquantized model to compare with", Counted(without, "result has", "results have")));
  if (unreadable > 0)
    flips.notes.push_back(
        fmt::format("{} could not be read; the first: {}", Counted(unreadable, "record"), first_fault));
  return flips;
}

}  // namespace bitlaw
