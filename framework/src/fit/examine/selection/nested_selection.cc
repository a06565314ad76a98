#include "fit/examine/selection/nested_selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "base/text/counted.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/nested_tests.h"
#include "fit/examine/selection/common_rows.h"
#include "fit/refit/parallel.h"
#include "fit/solve/fit_problem.h"

namespace bitlaw {

namespace {

// One hold-out: its rows, and those that predict them.
struct Split {
  std::string scheme;
  std::vector<size_t> train, test;
};

// An outer hold-out and the inner ones of what is left.
struct Target {
  NestedSelection selection;
  Split outer;
  std::vector<Split> inner;
};

class TargetFinder {
 public:
  TargetFinder(const AccuracyRows& rows, const Table& table, const FactorRoles& roles)
      : rows_(rows), table_(table), roles_(roles) {}

  std::vector<Target> Find() const {
    std::vector<Target> targets;
    const std::vector<std::string> scale = FactorsOf(FactorRole::kScale), precision = FactorsOf(FactorRole::kPrecision);
    if (!rows_.declared.empty()) {
      Target target = Begin("rows of hold_out", scale.empty() ? "" : scale[0], rows_.fitted, rows_.declared);
      if (scale.empty()) target.selection.why_none = "no law has a factor of scale in which they could be predicted";
      targets.push_back(std::move(target));
    }
    for (const auto& [names, is_largest] : {std::pair(scale, true), std::pair(precision, false)}) {
      for (const std::string& name : names) {
        const std::vector<double> values = ValuesOf(name, rows_.fitted, is_largest);
        if (values.size() < (is_largest ? 4u : 3u)) continue;
        const std::vector<double>& column = table_.Numbers(name);
        std::vector<size_t> train, test;
        for (const size_t row : rows_.fitted) (column[row] == values[0] ? test : train).push_back(row);
        targets.push_back(Begin(Condition(name, values[0]), name, train, test));
      }
    }
    for (Target& target : targets) {
      if (target.selection.why_none.empty()) AddInner(target, IsLargest(target.selection.factor));
    }
    return targets;
  }

 private:
  static std::string Condition(const std::string& name, double value) { return name + " == " + ShortestText(value); }
  bool IsLargest(const std::string& name) const { return roles_.Of(name) != FactorRole::kPrecision; }

  // Of any of the laws.
  std::vector<std::string> FactorsOf(FactorRole role) const {
    std::vector<std::string> names;
    for (const Law* law : rows_.usable) {
      for (const std::string& name : roles_.CovariatesOf(*law, role)) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
    }
    return names;
  }

  std::vector<double> ValuesOf(const std::string& name, const std::vector<size_t>& rows, bool is_largest) const {
    std::set<double> values;
    for (const size_t row : rows) values.insert(table_.Numbers(name)[row]);
    std::vector<double> sorted(values.begin(), values.end());
    if (is_largest) std::reverse(sorted.begin(), sorted.end());
    return sorted;
  }

  static Target Begin(const std::string& outer, const std::string& factor, std::vector<size_t> train,
                      std::vector<size_t> test) {
    Target target;
    target.selection.outer = outer;
    target.selection.factor = factor;
    target.selection.rows = train.size();
    target.selection.outer_rows = test.size();
    target.outer = {outer, std::move(train), std::move(test)};
    return target;
  }

  void AddInner(Target& target, bool is_largest) const {
    const std::string& name = target.selection.factor;
    const std::vector<double>& column = table_.Numbers(name);
    const std::vector<double> values = ValuesOf(name, target.outer.train, is_largest);
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t left = values.size() - i - 1;
      if (left < 2 || 2 * left < values.size()) break;
      Split split;
      split.scheme = Condition(name, values[i]);
      for (const size_t row : target.outer.train) {
        if (column[row] == values[i]) split.test.push_back(row);
        if (is_largest ? column[row] < values[i] : column[row] > values[i]) split.train.push_back(row);
      }
      target.selection.inner.push_back(split.scheme);
      target.inner.push_back(std::move(split));
    }
    if (target.inner.empty()) {
      target.selection.why_none =
          fmt::format("{} left of {}, and an inner hold-out needs three",
                      Counted(values.size(), "value is", "values are"), name);
    }
  }

  const AccuracyRows& rows_;
  const Table& table_;
  const FactorRoles& roles_;
};

// The errors of a law on the rows of a split that are not fitted.
ValidationResult Predict(const Law& law, const Table& table, const Split& split, const FitSettings& settings) {
  ValidationResult result;
  result.scheme = split.scheme;
  const Table fitted = table.Rows(split.train);
  FitSettings of_fit = settings;
  of_fit.bootstrap_unit = "trials";  // Nothing is said of the errors of its parameters.
  std::vector<size_t> used;
  const FitProblem problem(law, fitted, of_fit, ComparisonProcedure(law, fitted, of_fit, used));
  const auto method = FitMethod(problem, fitted, of_fit, result.why_none);
  return method ? ErrorsOn(problem, *method, table, split.test, split.scheme, settings) : result;
}

SelectionCandidate Judge(const Law& law, const Table& table, const Target& target, const FitSettings& settings) {
  SelectionCandidate candidate;
  candidate.law = law.name();
  for (const Split& split : target.inner) {
    candidate.inner.push_back(Predict(law, table, split, settings));
    // A law without a value for some of the rows would be judged by the others alone.
    ValidationResult& one = candidate.inner.back();
    if (one.why_none.empty() && one.accuracy_rows != split.test.size())
      one.why_none = "it has no value for some of the rows";
  }
  candidate.outer = Predict(law, table, target.outer, settings);
  return candidate;
}

// Takes away the inner hold-outs that no candidate predicts. Factors may not vary beyond a value: then they disqualify
// every law alike, and the others can still choose.
void DropUnpredicted(NestedSelection& selection) {
  std::vector<SelectionCandidate>& candidates = selection.candidates;
  for (size_t i = selection.inner.size(); i-- > 0;) {
    if (std::any_of(candidates.begin(), candidates.end(), [&](const auto& one) { return one.inner[i].why_none.empty(); }))
      continue;
    selection.unpredicted.insert(selection.unpredicted.begin(),
                                 selection.inner[i] + ": " + candidates[0].inner[i].why_none);
    const auto at = static_cast<std::ptrdiff_t>(i);
    selection.inner.erase(selection.inner.begin() + at);
    for (SelectionCandidate& one : candidates) one.inner.erase(one.inner.begin() + at);
  }
  if (selection.inner.empty()) selection.why_none = "no law can predict an inner hold-out (" + selection.unpredicted[0] + ")";
}

// The mean error over the rows of all inner hold-outs, or why there is none.
void Score(SelectionCandidate& candidate) {
  double sum = 0;
  size_t rows = 0;
  for (const ValidationResult& one : candidate.inner) {
    if (!one.why_none.empty() && candidate.why_none.empty()) candidate.why_none = one.scheme + ": " + one.why_none;
    sum += one.accuracy_mae * static_cast<double>(one.accuracy_rows);
    rows += one.accuracy_rows;
  }
  if (candidate.inner.empty()) candidate.why_none = "no law can predict an inner hold-out";
  if (candidate.why_none.empty()) candidate.inner_mae = sum / static_cast<double>(rows);
}

void Order(std::vector<SelectionCandidate>& candidates) {
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    return std::isnan(b.inner_mae) ? !std::isnan(a.inner_mae) : a.inner_mae < b.inner_mae;
  });
}

}  // namespace

const SelectionCandidate* NestedSelection::chosen() const {
  return candidates.empty() || std::isnan(candidates[0].inner_mae) ? nullptr : &candidates[0];
}

const SelectionCandidate* NestedSelection::best_afterwards() const {
  const SelectionCandidate* best = nullptr;
  for (const SelectionCandidate& one : candidates) {
    const double error = one.outer.accuracy_mae;
    if (!std::isnan(error) && (best == nullptr || error < best->outer.accuracy_mae)) best = &one;
  }
  return best;
}

std::vector<NestedSelection> SelectNested(std::span<const Law* const> laws, const StratumData& stratum,
                                          const FitSettings& settings) {
  const Table& table = stratum.table;
  std::vector<NestedSelection> selections;
  const AccuracyRows rows = CommonInAccuracy(laws, table, settings);
  if (rows.usable.size() < 2) return selections;
  for (Target& target : TargetFinder(rows, table, settings.roles).Find()) {
    NestedSelection& selection = target.selection;
    selection.stratum = stratum.name;
    if (selection.why_none.empty()) {
      selection.candidates.resize(rows.usable.size());
      ParallelFor(rows.usable.size(), settings.threads, [&](size_t i) {
        selection.candidates[i] = Judge(*rows.usable[i], table, target, settings);
      });
      DropUnpredicted(selection);
      for (SelectionCandidate& one : selection.candidates) Score(one);
      Order(selection.candidates);
    }
    for (const auto& [law, why] : rows.unusable) {
      selection.candidates.emplace_back();
      selection.candidates.back().law = law->name();
      selection.candidates.back().why_none = why;
    }
    selections.push_back(std::move(selection));
  }
  return selections;
}

std::vector<NestedSelection> SelectForAll(std::span<const NestedSelection> strata) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<const NestedSelection*>> by_outer;
  std::vector<std::string> outers;
  for (const NestedSelection& one : strata) {
    if (std::find(names.begin(), names.end(), one.stratum) == names.end()) names.push_back(one.stratum);
    if (by_outer[one.outer].empty()) outers.push_back(one.outer);
    by_outer[one.outer].push_back(&one);
  }
  std::vector<NestedSelection> selections;
  for (const std::string& outer : outers) {
    const std::vector<const NestedSelection*>& each = by_outer[outer];
    const bool all = each.size() == names.size() && std::all_of(each.begin(), each.end(), [&](const auto* one) {
                       return one->why_none.empty() && one->inner == each[0]->inner;
                     });
    if (names.size() < 2 || !all) continue;
    NestedSelection shared = *each[0];
    shared.stratum = kAllStrata;
    shared.rows = shared.outer_rows = 0;
    for (const NestedSelection* one : each) shared.rows += one->rows, shared.outer_rows += one->outer_rows;
    for (SelectionCandidate& candidate : shared.candidates) {
      double inner = 0, error = 0;
      size_t rows = 0;
      for (const NestedSelection* one : each) {
        for (const SelectionCandidate& own : one->candidates) {
          if (own.law != candidate.law) continue;
          inner += own.inner_mae / static_cast<double>(each.size());
          error += own.outer.accuracy_mae / static_cast<double>(each.size());
          rows += own.outer.accuracy_rows;
          if (candidate.why_none.empty() && !own.why_none.empty()) candidate.why_none = own.why_none;
        }
      }
      candidate.inner.clear();
      candidate.inner_mae = inner;
      candidate.outer = ValidationResult();
      candidate.outer.scheme = outer;
      candidate.outer.accuracy_mae = error;
      candidate.outer.accuracy_rows = rows;
    }
    Order(shared.candidates);
    selections.push_back(std::move(shared));
  }
  return selections;
}

}  // namespace bitlaw
