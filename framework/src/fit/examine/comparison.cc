#include "fit/examine/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <set>

#include "fit/estimate/law_fit.h"
#include "fit/examine/selection/common_rows.h"
#include "fit/refit/refitter.h"
#include "fit/solve/fit_problem.h"

namespace bitlaw {

namespace {

ComparedLaw Named(const Law& law) {
  ComparedLaw one;
  one.law = law.name();
  one.response = law.response();
  one.parameters = law.parameters().size();
  return one;
}

// The rows that laws are compared on, and how each is judged there.
class Arena {
 public:
  Arena(const Table& table, const std::vector<size_t>& fitted, const std::vector<size_t>& declared,
        const FitSettings& settings)
      : fitted_(table.Rows(fitted)), declared_(table.Rows(declared)), settings_(settings) {}

  const Table& fitted() const { return fitted_; }
  const RowUnits& units() const { return units_; }

  // Fits the law and fills in what is said of it. Empty, with one.why_none, where it cannot be fitted.
  std::optional<MethodFit> Judge(const Law& law, const FitProcedure& procedure, ComparedLaw& one) {
    if (fitted_.rows() == 0) {
      one.why_none = "no row has what all laws need";
      return std::nullopt;
    }
    const FitProblem problem(law, fitted_, settings_, procedure);
    auto method = FitMethod(problem, fitted_, settings_, one.why_none);
    if (!method) return method;
    one.method = method->title();
    const Refitter refitter(problem, fitted_, *method);
    units_ = UnitsOf(fitted_, settings_.bootstrap_unit, refitter.cases(), settings_.roles);
    if (folds_.empty()) folds_ = RandomFolds(refitter, std::max(2, settings_.k_fold), settings_.seed, &units_);
    const auto validate = [&](std::string scheme, const std::vector<int>& fold_of_row) {
      return Validate(refitter, std::move(scheme), fold_of_row, settings_.confidence, settings_.seed, settings_.threads,
                      &units_);
    };
    one.in_sample = ErrorsOn(problem, *method, fitted_, refitter.cases(), "in sample", settings_);
    if (settings_.k_fold > 1) one.folds = validate(FoldsName(settings_.k_fold, units_), folds_);
    std::vector<std::string> conditions = UsualHoldOuts(refitter, fitted_, settings_.roles);
    conditions.insert(conditions.end(), settings_.hold_outs.begin(), settings_.hold_outs.end());
    for (const std::string& condition : conditions)
      one.hold_outs.push_back(validate("hold out " + condition, HoldOut(refitter, fitted_, condition)));
    if (declared_.rows() > 0) {
      std::vector<size_t> all(declared_.rows());
      for (size_t row = 0; row < all.size(); ++row) all[row] = row;
      one.declared = ErrorsOn(problem, *method, declared_, all, "rows of hold_out", settings_);
    }
    return method;
  }

 private:
  Table fitted_, declared_;
  const FitSettings& settings_;
  std::vector<int> folds_;  // The same for all laws.
  RowUnits units_;
};

// Scatter beyond the binomial's as the law with most parameters sees it (Burnham and Anderson 2002, ch. 2.5).
void AddOverdispersion(LawComparison& comparison) {
  size_t most = 0;
  for (const ComparedLaw& one : comparison.laws) {
    if (std::isnan(one.dispersion) || one.parameters < most) continue;
    if (one.parameters > most || !(one.dispersion >= comparison.dispersion)) comparison.dispersion = one.dispersion;
    most = one.parameters;
  }
  comparison.dispersion = std::max(1.0, comparison.dispersion);
  for (ComparedLaw& one : comparison.laws) {
    const double n = static_cast<double>(comparison.rows), count = static_cast<double>(one.parameters) + 1;
    if (comparison.dispersion > 1 && n > count + 1)
      one.qaicc = 2 * count * n / (n - count - 1) - 2 * one.log_likelihood / comparison.dispersion;
  }
}

// Akaike's weights, best law first.
void Weigh(LawComparison& comparison) {
  const auto criterion = [&](const ComparedLaw& one) { return comparison.dispersion > 1 ? one.qaicc : one.aicc; };
  double best = std::numeric_limits<double>::infinity(), sum = 0;
  for (const ComparedLaw& one : comparison.laws) {
    if (!std::isnan(criterion(one))) best = std::min(best, criterion(one));
  }
  for (ComparedLaw& one : comparison.laws) {
    one.delta_aicc = criterion(one) - best;
    if (!std::isnan(one.delta_aicc)) sum += std::exp(-one.delta_aicc / 2);
  }
  for (ComparedLaw& one : comparison.laws) one.weight = std::exp(-one.delta_aicc / 2) / sum;
  std::stable_sort(comparison.laws.begin(), comparison.laws.end(), [](const auto& a, const auto& b) {
    return std::isnan(b.delta_aicc) ? !std::isnan(a.delta_aicc) : a.delta_aicc < b.delta_aicc;
  });
}

void Finish(const Arena& arena, const std::vector<ComparedLaw>& unusable, LawComparison& comparison) {
  comparison.unit = arena.units().name;
  comparison.units = arena.units().size();
  comparison.is_clustered = arena.units().is_clustered();
  comparison.laws.insert(comparison.laws.end(), unusable.begin(), unusable.end());
}

}  // namespace

LawComparison CompareLaws(std::span<const Law* const> laws, const Table& table, const FitSettings& settings) {
  LawComparison comparison;
  if (laws.empty()) return comparison;
  comparison.response = laws[0]->response();
  RowCounts fitted(table.rows()), counted(table.rows()), held_out(table.rows());
  std::vector<const Law*> usable;
  std::vector<ComparedLaw> unusable;
  bool counts = true;
  std::set<size_t> not_positive;
  for (const Law* law : laws) {
    if (law->response() != comparison.response) continue;
    ComparedLaw none = Named(*law);
    const std::optional<FitProblem> problem = ProblemOf(*law, table, settings, none.why_none);
    if (!problem) {
      unusable.push_back(std::move(none));
      continue;
    }
    usable.push_back(law);
    const LawRows& rows = problem->selected();
    fitted.Add(rows.fit_index);
    counted.Add(rows.counted_index);
    held_out.Add(HeldOutOf(*problem, table));
    for (size_t i = 0; i < rows.fit.size(); ++i) {
      if (!(rows.fit.y[i] > 0)) not_positive.insert(rows.fit_index[i]);
    }
    counts = counts && !rows.counted_index.empty();
  }
  size_t ignored = 0;
  const std::vector<size_t> common = (counts ? counted : fitted).Common(usable.size(), comparison.left_out);
  const std::vector<size_t> declared = held_out.Common(usable.size(), ignored);
  comparison.rows = common.size();
  comparison.declared_rows = declared.size();
  if (counts) {
    comparison.procedure.loss = FitProcedure::Loss::kBinomial;
  } else if (std::none_of(common.begin(), common.end(), [&](size_t row) { return not_positive.contains(row); })) {
    comparison.procedure.space = FitProcedure::Space::kLog;
  }
  Arena arena(table, common, declared, settings);
  for (const Law* law : usable) {
    ComparedLaw one = Named(*law);
    if (const auto method = arena.Judge(*law, comparison.procedure, one)) {
      one.adjusted_r2 = method->quality.adjusted_r2;
      one.aicc = method->quality.aicc;
      one.bic = method->quality.bic;
      one.log_likelihood = method->quality.log_likelihood;
      if (counts) one.dispersion = method->quality.residual_variance;
    }
    comparison.laws.push_back(std::move(one));
  }
  if (counts) AddOverdispersion(comparison);
  Weigh(comparison);
  Finish(arena, unusable, comparison);
  if (!common.empty()) comparison.nested = NestedPairs(usable, arena.fitted(), settings);
  return comparison;
}

LawComparison CompareInAccuracy(std::span<const Law* const> laws, const Table& table, const FitSettings& settings) {
  LawComparison comparison;
  comparison.has_several_responses = true;
  const AccuracyRows common = CommonInAccuracy(laws, table, settings);
  std::vector<ComparedLaw> unusable;
  for (const auto& [law, why] : common.unusable) {
    unusable.push_back(Named(*law));
    unusable.back().why_none = why;
  }
  comparison.left_out = common.left_out;
  comparison.rows = common.fitted.size();
  comparison.declared_rows = common.declared.size();
  Arena arena(table, common.fitted, common.declared, settings);
  for (const Law* law : common.usable) {
    ComparedLaw one = Named(*law);
    std::vector<size_t> rows;
    arena.Judge(*law, ComparisonProcedure(*law, arena.fitted(), settings, rows), one);
    comparison.laws.push_back(std::move(one));
  }
  const auto error = [](const ComparedLaw& one) { return one.judged_in_accuracy().accuracy_rmse; };
  std::stable_sort(comparison.laws.begin(), comparison.laws.end(), [&](const auto& a, const auto& b) {
    return std::isnan(error(b)) ? !std::isnan(error(a)) : error(a) < error(b);
  });
  Finish(arena, unusable, comparison);
  return comparison;
}

}  // namespace bitlaw
