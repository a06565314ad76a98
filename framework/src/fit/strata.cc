#include "fit/strata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/linear_design.h"
#include "fit/parallel.h"

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

// A stratum ready to be refitted, with the trial of each of its rows.
struct FittedStratum {
  std::string name;
  Refitter refitter;
  std::vector<size_t> trial_of_row;
};

double Deviation(const std::vector<double>& values) {
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

SensitivityRanking Rank(const std::vector<FittedStratum>& strata, const Law& law, size_t parameter,
                        const std::vector<double>& values, size_t replicates, double level) {
  const size_t s = strata.size(), k = law.parameters().size();
  SensitivityRanking ranking;
  ranking.parameter = law.parameters()[parameter].name;
  const auto replicate = [&](size_t b, size_t stratum) { return values[(b * s + stratum) * k + parameter]; };
  for (size_t i = 0; i < s; ++i) {
    SensitivityRanking::Place place;
    place.stratum = strata[i].name;
    place.value = strata[i].refitter.theta()[parameter];
    std::vector<double> draws;
    for (size_t b = 0; b < replicates; ++b) draws.push_back(replicate(b, i));
    place.standard_error = Deviation(draws);
    std::sort(draws.begin(), draws.end());
    place.interval = {Quantile(draws, (1 - level) / 2), Quantile(draws, (1 + level) / 2)};
    ranking.places.push_back(std::move(place));
    for (size_t j = i + 1; j < s; ++j) {
      SensitivityRanking::Pair pair;
      pair.a = strata[i].name, pair.b = strata[j].name;
      pair.difference = strata[i].refitter.theta()[parameter] - strata[j].refitter.theta()[parameter];
      std::vector<double> differences;
      for (size_t b = 0; b < replicates; ++b) differences.push_back(replicate(b, i) - replicate(b, j));
      pair.standard_error = Deviation(differences);
      pair.p = 2 * NormalCdf(-std::fabs(pair.difference) / pair.standard_error);
      std::sort(differences.begin(), differences.end());
      pair.interval = {Quantile(differences, (1 - level) / 2), Quantile(differences, (1 + level) / 2)};
      ranking.pairs.push_back(std::move(pair));
    }
  }
  // Holm: the i-th smallest p times the number of tests not smaller, made monotone.
  std::vector<size_t> order(ranking.pairs.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return ranking.pairs[a].p < ranking.pairs[b].p; });
  double largest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, ranking.pairs[order[i]].p * static_cast<double>(order.size() - i)));
    ranking.pairs[order[i]].p_holm = largest;
  }
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
    if (primary != nullptr && !primary->is_text && primary->numbers[row] == 0) continue;
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
    if (stratum.name != kGeneralStratum && stratum.name != "all") names.push_back(stratum.name);
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
    if (stratum.name == kGeneralStratum) general = &stratum;
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
        double sum = 0, count = 0;
        for (size_t t = 0; t < tasks; ++t) {
          if (group_of_task[t] != g) continue;
          sum += scores.accuracy[i * tasks + t];
          ++count;
        }
        const double accuracy = sum / count;
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

StrataTests RankStrata(const Law& law, const StrataData& strata, const FitSettings& settings) {
  StrataTests tests;
  tests.law = law.name();
  if (!law.linear_form()) {
    tests.why_none = "the formula is not linear in its parameters, nor is its logarithm";
    return tests;
  }
  std::vector<FittedStratum> fitted;
  std::map<std::string, size_t> trials;
  for (const StratumData& stratum : strata.strata) {
    if (stratum.name == kGeneralStratum || stratum.name == "all") continue;
    std::string why;
    const auto fit = FitMethod(law, stratum.table, settings, LogSquares(law), why);
    if (!fit) {
      tests.why_none += (tests.why_none.empty() ? "" : "; ") + stratum.name + ": " + why;
      continue;
    }
    FittedStratum one{stratum.name, Refitter(law, stratum.table, settings, *fit), {}};
    const TableColumn* trial = stratum.table.Find("trial");
    for (size_t row = 0; row < stratum.table.rows(); ++row) {
      const std::string key =
          trial != nullptr ? stratum.table.CellText(*trial, row) : stratum.name + " " + std::to_string(row);
      one.trial_of_row.push_back(trials.emplace(key, trials.size()).first->second);
    }
    fitted.push_back(std::move(one));
  }
  if (fitted.size() < 2) {
    if (tests.why_none.empty()) tests.why_none = "there are fewer than two strata";
    return tests;
  }
  tests.why_none.clear();
  const size_t k = law.parameters().size(), s = fitted.size();
  const auto replicates = static_cast<size_t>(std::max(0, settings.bootstrap));
  std::vector<double> values(replicates * s * k, kUnset);
  std::vector<char> good(replicates, 0);
  const Rng seed(settings.seed);
  ParallelFor(replicates, settings.threads, [&](size_t b) {
    Rng rng = seed.Fork(b + (1ULL << 41));
    std::vector<double> drawn(trials.size(), 0), multiplicity;
    for (size_t i = 0; i < trials.size(); ++i) ++drawn[rng.Below(trials.size())];
    good[b] = 1;
    for (size_t i = 0; i < s && good[b]; ++i) {
      multiplicity.clear();
      for (const size_t trial : fitted[i].trial_of_row) multiplicity.push_back(drawn[trial]);
      good[b] = fitted[i].refitter.Refit(multiplicity, {values.data() + (b * s + i) * k, k});
    }
  });
  size_t kept = 0;
  for (size_t b = 0; b < replicates; ++b) {
    if (!good[b]) continue;
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(b * s * k), s * k,
                values.begin() + static_cast<std::ptrdiff_t>(kept * s * k));
    ++kept;
  }
  tests.replicates = static_cast<int>(replicates);
  tests.failed = static_cast<int>(replicates - kept);
  if (kept >= 20) {
    for (const size_t parameter : Exponents(law))
      tests.rankings.push_back(Rank(fitted, law, parameter, values, kept, settings.confidence));
  }
  return tests;
}

std::vector<Zone> Regimes(const Law& law, const Table& table, const FitSettings& settings) {
  std::vector<Zone> zones;
  const LinearDesign design(law, table, settings);
  if (!design.why_none().empty()) return zones;
  std::vector<std::string> conditions = settings.zones;
  if (conditions.empty()) {
    const TableColumn* bits = table.Find("B");
    const auto covariates = law.covariates();
    if (bits == nullptr || bits->is_text || std::find(covariates.begin(), covariates.end(), "B") == covariates.end())
      return zones;
    std::set<double> values;
    for (const size_t row : design.rows()) values.insert(bits->numbers[row]);
    if (values.size() < 2) return zones;
    for (const double value : values) conditions.push_back("B == " + ShortestText(value));
  }
  std::vector<size_t> all(design.columns());
  for (size_t j = 0; j < all.size(); ++j) all[j] = j;
  std::vector<double> pooled(design.columns(), kUnset);
  if (design.ExplainColumns(all).empty()) {
    const OlsResult whole = design.Fit(all);
    for (size_t j = 0; j < all.size(); ++j) pooled[j] = whole.coefficients[j].value;
  }
  const TableColumn* accuracy = table.Find("acc_adj");
  const TableColumn* hold_out = table.Find("hold_out");
  for (const std::string& condition : conditions) {
    Zone zone;
    zone.name = condition;
    const std::vector<size_t> members = table.Where(Expression::Parse(condition));
    const std::set<size_t> within(members.begin(), members.end());
    for (const size_t row : members) {
      if (accuracy != nullptr && !accuracy->is_text && accuracy->numbers[row] <= 0 && !IsHeldOut(hold_out, table, row))
        ++zone.at_chance;
    }
    std::vector<size_t> group_of_row;
    for (const size_t row : design.rows()) {
      group_of_row.push_back(within.contains(row) ? 1 : 0);
      zone.rows += within.contains(row);
    }
    const std::vector<size_t> columns = design.VaryingColumns(group_of_row, 1);
    zone.why_none = zone.rows == 0 ? "no row is fitted in it" : design.ExplainColumns(columns, &group_of_row, 1);
    if (zone.why_none.empty()) {
      const OlsResult fit = design.Fit(columns, &group_of_row, 1);
      zone.adjusted_r2 = fit.quality.adjusted_r2;
      const double t = StudentQuantile(settings.confidence, static_cast<double>(fit.df_residual));
      bool flat = false;
      for (size_t j = 0; j < columns.size(); ++j) {
        if (design.covariates_of(columns[j]).empty()) continue;
        Zone::Exponent exponent;
        exponent.parameter = law.parameters()[design.parameter(columns[j])].name;
        exponent.value = fit.coefficients[j].value;
        exponent.standard_error = fit.coefficients[j].standard_error;
        exponent.interval = {exponent.value - t * exponent.standard_error,
                             exponent.value + t * exponent.standard_error};
        exponent.amplification = exponent.value / pooled[columns[j]];
        const auto& needs = design.covariates_of(columns[j]);
        if (needs.size() == 1 && needs[0] == "G") flat = exponent.interval.low <= 0 && exponent.interval.high >= 0;
        zone.exponents.push_back(std::move(exponent));
      }
      if (zone.adjusted_r2 < 0) {
        zone.flags.emplace_back("structural collapse");
      } else if (zone.adjusted_r2 < 0.9) {
        zone.flags.emplace_back("gap");
        if (flat) zone.flags.emplace_back("precision collapse");
      }
    }
    zones.push_back(std::move(zone));
  }
  return zones;
}

}  // namespace bitlaw
