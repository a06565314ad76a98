#include "fit/examine/strata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "fit/estimate/linear_design.h"
#include "fit/refit/parallel.h"
#include "fit/solve/fit_problem.h"
#include "fit/solve/least_squares.h"

namespace bitlaw {

namespace {

std::vector<size_t> Exponents(const Law& law) {
  std::vector<size_t> exponents;
  const auto form = law.linear_form();
  if (!form) return exponents;
  for (const auto& column : form->columns) {
    if (!column.is_log && column.name != "1") exponents.push_back(column.parameter);
  }
  std::sort(exponents.begin(), exponents.end());
  return exponents;
}

FitProcedure LogSquares(const Law& law) {
  FitProcedure procedure;
  if (law.linear_form()->of_log) procedure.space = FitProcedure::Space::kLog;
  return procedure;
}

// A stratum ready to be refitted by the first of its methods.
struct FittedStratum {
  std::string name;
  const StratumData* data = nullptr;
  const MethodFit* method = nullptr;
  Refitter refitter;
  RowUnits units;                               // Of refitter.rows().
  std::shared_ptr<const ClusterRobust> robust;  // Over these units, one row each or not.
  UncertaintyReport headline;
  std::vector<size_t> common_units;  // Of refitter.rows(), among the units of all strata.
};

double Deviation(const std::vector<double>& values) {
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// The difference of two strata's exponents: by the errors over shared units where there are, else by that of the
// replicates. `differences` [replicates] are theirs.
SensitivityRanking::Pair Compare(const FittedStratum& a, const FittedStratum& b, size_t parameter,
                                 std::vector<double> differences, size_t units, double level) {
  SensitivityRanking::Pair pair;
  pair.a = a.name, pair.b = b.name;
  pair.difference = a.headline.quantities[parameter].value - b.headline.quantities[parameter].value;
  if (a.robust && b.robust) {
    const RobustError error = ClusterRobust::Difference(*a.robust, *b.robust, parameter);
    pair.standard_error = error.error;
    pair.degrees_of_freedom = error.degrees_of_freedom;
  }
  const size_t replicates = differences.size();
  if (replicates > 1) pair.bootstrap_error = Deviation(differences);
  if (!std::isnan(pair.standard_error)) {
    const double half = pair.standard_error * StudentQuantile(level, pair.degrees_of_freedom);
    pair.interval = {pair.difference - half, pair.difference + half};
    pair.p = StudentP(pair.difference / pair.standard_error, pair.degrees_of_freedom);
  } else if (replicates > 1) {
    const Interval levels = ExpandedLevels(level, units);
    std::sort(differences.begin(), differences.end());
    pair.interval = {Quantile(differences, levels.low), Quantile(differences, levels.high)};
    pair.degrees_of_freedom = static_cast<double>(units) - 1;
    pair.p = StudentP(pair.difference / pair.bootstrap_error, pair.degrees_of_freedom);
  }
  return pair;
}

SensitivityRanking Rank(const std::vector<FittedStratum>& strata, const Law& law, size_t parameter,
                        const std::vector<double>& values, size_t replicates, size_t units, double level) {
  const size_t s = strata.size(), k = law.parameters().size();
  SensitivityRanking ranking;
  ranking.parameter = law.parameters()[parameter].name;
  const auto replicate = [&](size_t b, size_t stratum) { return values[(b * s + stratum) * k + parameter]; };
  for (size_t i = 0; i < s; ++i) {
    const Uncertainty& headline = strata[i].headline.quantities[parameter];
    SensitivityRanking::Place place;
    place.stratum = strata[i].name;
    place.value = headline.value;
    place.standard_error = headline.delta_error;
    place.degrees_of_freedom = headline.degrees_of_freedom;
    place.interval = headline.delta;
    std::vector<double> draws;
    for (size_t b = 0; b < replicates; ++b) draws.push_back(replicate(b, i));
    if (replicates > 1) place.bootstrap_error = Deviation(draws);
    ranking.places.push_back(std::move(place));
    for (size_t j = i + 1; j < s; ++j) {
      std::vector<double> differences;
      for (size_t b = 0; b < replicates; ++b) differences.push_back(replicate(b, i) - replicate(b, j));
      ranking.pairs.push_back(Compare(strata[i], strata[j], parameter, std::move(differences), units, level));
    }
  }
  std::vector<double> p;
  for (const SensitivityRanking::Pair& pair : ranking.pairs) p.push_back(pair.p);
  const std::vector<double> adjusted = AdjustedByHolm(p);
  for (size_t i = 0; i < ranking.pairs.size(); ++i) ranking.pairs[i].p_holm = adjusted[i];
  std::stable_sort(ranking.places.begin(), ranking.places.end(),
                   [](const auto& a, const auto& b) { return std::fabs(a.value) > std::fabs(b.value); });
  return ranking;
}

// acc_adj of every trial and task, for trials that have all tasks of all strata.
struct TaskScores {
  std::vector<std::string> tasks;
  std::vector<size_t> stratum_of_task;
  std::vector<double> accuracy;  // [rows of the refitter, tasks]; NaN rows where a task is missing.
};

TaskScores ScoresOf(const Table& table, const std::vector<std::string>& strata, const Table& trials,
                    std::span<const size_t> rows) {
  TaskScores scores;
  std::map<std::string, size_t> task_index;
  std::map<std::pair<std::string, std::string>, double> value;
  const TableColumn &trial = table.At("trial"), &task = table.At("task"), &stratum = table.At("stratum");
  const std::vector<double>& accuracy = table.Numbers("acc_adj");
  const TableColumn* primary = table.Find("primary");
  for (size_t row = 0; row < table.rows(); ++row) {
    if (primary != nullptr && !table.Flag(*primary, row, true)) continue;
    const auto at = std::find(strata.begin(), strata.end(), table.CellText(stratum, row));
    if (at == strata.end() || std::isnan(accuracy[row])) continue;
    const std::string name = table.CellText(task, row);
    if (task_index.emplace(name, task_index.size()).second) {
      scores.tasks.push_back(name);
      scores.stratum_of_task.push_back(static_cast<size_t>(at - strata.begin()));
    }
    value[{table.CellText(trial, row), name}] = accuracy[row];
  }
  const TableColumn& names = trials.At("trial");
  for (const size_t row : rows) {
    for (const std::string& name : scores.tasks) {
      const auto found = value.find({trials.CellText(names, row), name});
      scores.accuracy.push_back(found == value.end() ? kUnset : found->second);
    }
  }
  return scores;
}

}  // namespace

void PermuteStrata(const Law& law, const Table& table, const StrataData& strata, const FitSettings& settings,
                   StrataTests& tests) {
  std::vector<std::string> names;
  for (const StratumData& stratum : strata.strata) {
    if (!stratum.is_pool) names.push_back(stratum.name);
  }
  if (settings.permutations <= 0) {
    tests.why_no_permutation = "no permutation was asked for";
    return;
  }
  if (table.Find("trial") == nullptr || table.Find("task") == nullptr || table.Find("stratum") == nullptr ||
      !ResponseInverse(law.response()).exists()) {
    tests.why_no_permutation = "it needs observations with columns trial, task and stratum, and a response of acc_adj";
    return;
  }
  const StratumData* general = nullptr;
  for (const StratumData& stratum : strata.strata) {
    if (stratum.is_pool && stratum.name == kGeneralStratum) general = &stratum;
  }
  if (general == nullptr) {
    tests.why_no_permutation = "there is no stratum '" + std::string(kGeneralStratum) + "'";
    return;
  }
  FitSettings plain = settings;
  plain.chance_rule = ChanceRule::kExclude;
  std::string why;
  const auto fit = FitMethod(law, general->table, plain, LogSquares(law), why);
  if (!fit) {
    tests.why_no_permutation = why;
    return;
  }
  const Refitter refitter(law, general->table, plain, *fit);
  const TaskScores scores = ScoresOf(WithAccuracy(table), names, general->table, refitter.rows());
  const size_t tasks = scores.tasks.size(), n = refitter.rows().size(), s = names.size();
  if (tasks < 3 || tasks <= s) {
    tests.why_no_permutation = fmt::format("{} tasks in {} strata have no other grouping", tasks, s);
    return;
  }
  const std::vector<std::string> scope = {"acc_adj"};
  const CompiledExpression response = Expression::Parse(law.response()).Compile(scope);
  const std::vector<size_t> exponents = Exponents(law);
  // The spread of each exponent over the groups; empty if a group cannot be fitted.
  const auto spreads = [&](const std::vector<size_t>& group_of_task) {
    std::vector<std::vector<double>> of_exponent(exponents.size());
    for (size_t g = 0; g < s; ++g) {
      std::vector<double> responses(n), theta(refitter.parameters());
      for (size_t i = 0; i < n; ++i) {
        StratumMean mean;
        for (size_t t = 0; t < tasks; ++t) {
          if (group_of_task[t] == g) mean.Add(scores.accuracy[i * tasks + t], 0);
        }
        const double accuracy = mean.acc_adj();
        responses[i] = accuracy > 0 && accuracy < 1 ? response.Number({&accuracy, 1}) : kUnset;
      }
      if (!refitter.RefitResponses(responses, {}, theta)) return std::vector<double>();
      for (size_t e = 0; e < exponents.size(); ++e) of_exponent[e].push_back(theta[exponents[e]]);
    }
    std::vector<double> spread;
    for (const auto& values : of_exponent) spread.push_back(Deviation(values));
    return spread;
  };
  const std::vector<double> observed = spreads(scores.stratum_of_task);
  if (observed.empty()) {
    tests.why_no_permutation = "a stratum cannot be fitted on the trials that have all tasks";
    return;
  }
  const auto rounds = static_cast<size_t>(settings.permutations);
  std::vector<std::vector<double>> drawn(rounds);
  const Rng seed(settings.seed);
  ParallelFor(rounds, settings.threads, [&](size_t b) {
    Rng rng = seed.Fork(b + (1ULL << 40));
    std::vector<size_t> groups = scores.stratum_of_task;
    rng.Shuffle(std::span<size_t>(groups));
    drawn[b] = spreads(groups);
  });
  for (size_t e = 0; e < exponents.size(); ++e) {
    PermutationTest one;
    one.parameter = law.parameters()[exponents[e]].name;
    one.spread = observed[e];
    std::vector<double> others;
    for (const auto& spread : drawn) {
      if (!spread.empty()) others.push_back(spread[e]);
    }
    // A grouping that only renames the strata has the same spread but for rounding.
    const auto reached = static_cast<double>(
        std::count_if(others.begin(), others.end(), [&](double spread) { return spread >= one.spread * (1 - 1e-9); }));
    one.p = (1 + reached) / (1 + static_cast<double>(others.size()));
    std::sort(others.begin(), others.end());
    one.typical_spread = Quantile(others, 0.5);
    tests.permutations = static_cast<int>(others.size());
    tests.permutation.push_back(std::move(one));
  }
}

StrataTests TestStrata(const Law& law, const Table& table, const StrataData& strata, const FitSettings& settings) {
  StrataTests tests = RankStrata(law, strata, settings);
  if (tests.why_none.empty()) PermuteStrata(law, table, strata, settings, tests);
  return tests;
}

namespace {

// Parameters of all strata, refitted to one draw of units (or of items) at a time: [kept, strata, parameters].
struct JointReplicates {
  std::vector<double> values;
  size_t kept = 0;  ///< Draws on which every stratum could be refitted; they come first.
};

JointReplicates RefitJointly(const std::vector<FittedStratum>& fitted, size_t k, size_t units,
                             const FitSettings& settings, const ItemScores* items) {
  const size_t s = fitted.size();
  const auto replicates = static_cast<size_t>(std::max(0, settings.bootstrap));
  JointReplicates joint;
  std::vector<double>& values = joint.values;
  values.assign(replicates * s * k, kUnset);
  std::vector<char> good(replicates, 0);
  const Rng seed(settings.seed);
  const bool by_items = settings.bootstrap_unit == "items";
  std::vector<std::unique_ptr<ItemSampler>> samplers(s);
  for (size_t i = 0; by_items && items != nullptr && i < s; ++i) {
    samplers[i] = std::make_unique<ItemSampler>(*items, *fitted[i].data);
    if (!samplers[i]->why_none().empty()) samplers[i].reset();
  }
  const auto draw_items = [&](size_t b, size_t i, std::span<double> theta) {
    const Refitter& refitter = fitted[i].refitter;
    Rng rng = seed.Fork(b * s + i + (1ULL << 42));
    if (!samplers[i]) return refitter.RefitNewItems(rng, theta);
    std::vector<double> accuracy(refitter.table_rows());
    samplers[i]->Draw(rng, accuracy);
    return refitter.RefitAccuracies(accuracy, theta);
  };
  ParallelFor(replicates, settings.threads, [&](size_t b) {
    Rng rng = seed.Fork(b + (1ULL << 41));
    std::vector<double> drawn(units, 0), multiplicity;
    for (size_t i = 0; i < units; ++i) ++drawn[rng.Below(units)];
    good[b] = 1;
    for (size_t i = 0; i < s && good[b]; ++i) {
      const std::span<double> theta(values.data() + (b * s + i) * k, k);
      if (by_items) {
        good[b] = draw_items(b, i, theta);
        continue;
      }
      multiplicity.assign(fitted[i].refitter.table_rows(), 0);
      for (size_t place = 0; place < fitted[i].common_units.size(); ++place)
        multiplicity[fitted[i].refitter.rows()[place]] = drawn[fitted[i].common_units[place]];
      good[b] = fitted[i].refitter.Refit(multiplicity, theta);
    }
  });
  for (size_t b = 0; b < replicates; ++b) {
    if (!good[b]) continue;
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(b * s * k), s * k,
                values.begin() + static_cast<std::ptrdiff_t>(joint.kept * s * k));
    ++joint.kept;
  }
  return joint;
}

}  // namespace

StrataTests RankStrata(const Law& law, const StrataData& strata, const FitSettings& settings,
                       std::span<const LawFit> fits, const ItemScores* items) {
  StrataTests tests;
  tests.law = law.name();
  if (!law.linear_form()) {
    tests.why_none = "the formula is not linear in its parameters, nor is its logarithm";
    return tests;
  }
  std::vector<std::unique_ptr<LawFit>> made;
  std::vector<FittedStratum> fitted;
  std::map<std::string, size_t> all_units;
  for (const StratumData& stratum : strata.strata) {
    if (stratum.is_pool) continue;
    const auto found = std::find_if(fits.begin(), fits.end(), [&](const LawFit& fit) {
      return fit.law == law.name() && fit.stratum == stratum.name;
    });
    const LawFit* fit = found == fits.end() ? nullptr : &*found;
    if (fit == nullptr) {
      made.push_back(std::make_unique<LawFit>(FitLaw(law, stratum.table, settings)));
      fit = made.back().get();
    }
    if (fit->Methods().empty()) {
      tests.why_none += (tests.why_none.empty() ? "" : "; ") + stratum.name + ": " + fit->why_no_least_squares;
      continue;
    }
    const MethodFit& method = *fit->Methods()[0];
    const FitProblem problem(law, stratum.table, settings, method.procedure);
    FittedStratum one{stratum.name, &stratum, &method, Refitter(problem, stratum.table, method), {}, {}, {}, {}};
    one.units = UnitsOf(stratum.table, settings.bootstrap_unit, one.refitter.rows(), settings.roles);
    // Rows without a trial of their own are nobody else's.
    if (one.units.name == "trials" && stratum.table.Find("trial") == nullptr) {
      for (std::string& label : one.units.labels) label = stratum.name + " " + label;
    }
    for (const size_t unit : one.units.unit_of_row)
      one.common_units.push_back(all_units.emplace(one.units.labels[unit], all_units.size()).first->second);
    // Over these units, be they single rows.
    std::string why;
    one.robust = method.robust ? method.robust : RobustOf(problem, one.units, method, why);
    one.headline = DeltaIntervals(law, method, settings.confidence);
    tests.methods.push_back({stratum.name, method.method(), method.title()});
    tests.unit = one.units.name;
    tests.note = one.units.note;
    fitted.push_back(std::move(one));
  }
  if (fitted.size() < 2) {
    if (tests.why_none.empty()) tests.why_none = "there are fewer than two strata";
    return tests;
  }
  tests.why_none.clear();
  tests.units = all_units.size();
  const JointReplicates joint = RefitJointly(fitted, law.parameters().size(), all_units.size(), settings, items);
  size_t kept = joint.kept;
  const int replicates = std::max(0, settings.bootstrap);
  tests.drawn = settings.bootstrap_unit == "items" ? "items" : tests.unit;
  tests.replicates = replicates;
  tests.failed = replicates - static_cast<int>(kept);
  // As in Bootstrap(): where so many resamples fail, those that are left are another population.
  if (kept < 20 || static_cast<double>(tests.failed) > 0.1 * static_cast<double>(replicates)) kept = 0;
  for (const size_t parameter : Exponents(law))
    tests.rankings.push_back(Rank(fitted, law, parameter, joint.values, kept, all_units.size(), settings.confidence));
  return tests;
}

}  // namespace bitlaw
