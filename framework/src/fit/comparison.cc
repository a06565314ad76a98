#include "fit/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/linear_design.h"
#include "fit/restricted_law.h"

namespace bitlaw {

NestedTest NestedF(const FitQuality& small, const FitQuality& large) {
  NestedTest test;
  test.statistic = "F";
  test.df1 = static_cast<double>(large.parameters) - static_cast<double>(small.parameters);
  test.df2 = static_cast<double>(large.rows) - static_cast<double>(large.parameters);
  test.value = (small.ssr - large.ssr) / test.df1 / (large.ssr / test.df2);
  test.p = FisherP(test.value, test.df1, test.df2);
  test.small_adjusted_r2 = small.adjusted_r2;
  test.large_adjusted_r2 = large.adjusted_r2;
  return test;
}

NestedTest LikelihoodRatio(const FitQuality& small, const FitQuality& large, double dispersion) {
  NestedTest test;
  test.statistic = "chi2";
  test.df1 = static_cast<double>(large.parameters) - static_cast<double>(small.parameters);
  test.value = std::isnan(dispersion) ? static_cast<double>(large.rows) * std::log(small.ssr / large.ssr)
                                      : (small.ssr - large.ssr) / std::max(1.0, dispersion);
  test.p = ChiSquaredP(test.value, test.df1);
  test.small_adjusted_r2 = small.adjusted_r2;
  test.large_adjusted_r2 = large.adjusted_r2;
  return test;
}

NestedTest TestParameters(const Law& law, const Table& table, const FitSettings& settings,
                          const std::vector<double>& fixed) {
  const LawRows rows = SelectRows(law, table, {settings.chance_rule, false, settings.weights});
  const bool is_binomial = !rows.counted_index.empty();
  FitProcedure procedure;
  // As CompareLaws() does: scatter of such responses is relative, and squares of the response would refuse true nulls.
  const bool positive = std::all_of(rows.fit.y.begin(), rows.fit.y.end(), [](double y) { return y > 0; });
  if (is_binomial) {
    procedure.loss = FitProcedure::Loss::kBinomial;
  } else if (positive) {
    procedure.space = FitProcedure::Space::kLog;
  }
  const RestrictedLaw restricted(law, fixed);
  std::string why;
  const auto large = FitMethod(law, table, settings, procedure, why);
  const auto small = large ? FitMethod(restricted, table, settings, procedure, why) : std::nullopt;
  if (!small) throw Error(ErrorKind::kNumerical, "law '" + law.name() + "': " + why + ".");
  NestedTest test =
      LikelihoodRatio(small->quality, large->quality, is_binomial ? large->quality.residual_variance : kUnset);
  std::vector<double> contrasts, differences;
  for (size_t j = 0; j < fixed.size(); ++j) {
    if (std::isnan(fixed[j])) continue;
    contrasts.resize(contrasts.size() + fixed.size(), 0);
    contrasts[contrasts.size() - fixed.size() + j] = 1;
    differences.push_back(large->parameters[j].value - fixed[j]);
    test.small += (test.small.empty() ? "" : ", ") + law.parameters()[j].name + " = " + ShortestText(fixed[j]);
  }
  test.large = law.name();
  if (large->robust) {
    test.unit = large->unit;
    test.over_units = large->robust->AreZero(contrasts, differences);
  }
  return test;
}

namespace {

// That the coefficients of `added`, places in `columns`, are 0 in the fit of `columns`, over the units of the rows.
void TestOverUnits(const LinearDesign& design, const std::vector<size_t>& columns, const OlsResult& fit,
                   const std::vector<size_t>& added, const RowUnits& units, NestedTest& test) {
  if (!units.is_clustered()) return;
  test.unit = units.name;
  std::vector<double> contrasts(added.size() * columns.size(), 0), values;
  for (size_t s = 0; s < added.size(); ++s) {
    contrasts[s * columns.size() + added[s]] = 1;
    values.push_back(fit.coefficients[added[s]].value);
  }
  test.over_units = design.Robust(columns, fit, units).AreZero(contrasts, values);
}

// Places in `large` of the columns that `small` lacks.
std::vector<size_t> Added(const std::vector<size_t>& small, const std::vector<size_t>& large) {
  std::vector<size_t> places;
  for (size_t j = 0; j < large.size(); ++j) {
    if (std::find(small.begin(), small.end(), large[j]) == small.end()) places.push_back(j);
  }
  return places;
}

}  // namespace

std::vector<Ablation> Ablations(const Law& law, const Table& table, const FitSettings& settings) {
  std::vector<Ablation> steps;
  const LinearDesign design(law, table, settings);
  if (!design.why_none().empty()) return steps;
  std::vector<std::string> order;
  const auto covariates = law.covariates();
  for (const std::string name : {"N", "B", "G", "Cb"}) {
    if (std::find(covariates.begin(), covariates.end(), name) != covariates.end()) order.push_back(name);
  }
  for (const std::string& name : covariates) {
    if (std::find(order.begin(), order.end(), name) == order.end()) order.push_back(name);
  }
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, design.rows());
  std::set<std::string> within;
  std::vector<size_t> before;
  for (size_t i = 0; i < order.size(); ++i) {
    within.insert(order[i]);
    if (i == 0 && order.size() > 1 && order[0] == "N" && order[1] == "B") continue;
    std::vector<size_t> columns;
    for (size_t j = 0; j < design.columns(); ++j) {
      const auto& needs = design.covariates_of(j);
      if (std::all_of(needs.begin(), needs.end(), [&](const auto& name) { return within.contains(name); }))
        columns.push_back(j);
    }
    if (!steps.empty() && columns.size() == steps.back().quality.parameters) continue;
    if (columns.empty() || !design.ExplainColumns(columns).empty()) continue;
    Ablation step;
    for (const std::string& name : order) {
      if (within.contains(name)) step.factors += (step.factors.empty() ? "" : ", ") + name;
    }
    const OlsResult fit = design.Fit(columns);
    step.quality = fit.quality;
    if (!steps.empty()) {
      step.added = NestedF(steps.back().quality, step.quality);
      TestOverUnits(design, columns, fit, Added(before, columns), units, step.added);
      step.added.small = steps.back().factors;
      step.added.large = step.factors;
    }
    steps.push_back(std::move(step));
    before = columns;
  }
  return steps;
}

ChowTest Chow(const Law& law, const Table& table, const FitSettings& settings, const std::string& groups) {
  ChowTest test;
  test.groups = groups;
  const LinearDesign design(law, table, settings);
  test.why_none = design.why_none();
  if (!test.why_none.empty()) return test;
  const TableColumn& column = table.At(groups, "Chow test");
  std::vector<size_t> group_of_row;
  for (const size_t row : design.rows()) {
    const std::string name = table.CellText(column, row);
    const auto at = static_cast<size_t>(std::find(test.names.begin(), test.names.end(), name) - test.names.begin());
    if (at == test.names.size()) {
      test.names.push_back(name);
      test.sizes.push_back(0);
    }
    ++test.sizes[at];
    group_of_row.push_back(at);
  }
  if (test.names.size() < 2) {
    test.why_none = "'" + groups + "' has one value in the fitted rows";
    return test;
  }
  std::vector<size_t> all(design.columns());
  for (size_t j = 0; j < all.size(); ++j) all[j] = j;
  test.pooled = design.Fit(all).quality;
  test.separate = test.pooled;
  test.separate.ssr = 0;
  test.separate.parameters = 0;
  for (size_t g = 0; g < test.names.size(); ++g) {
    const std::string why = design.ExplainColumns(all, &group_of_row, g);
    if (!why.empty()) {
      test.why_none = test.names[g] + ": " + why;
      return test;
    }
    const FitQuality own = design.Fit(all, &group_of_row, g).quality;
    test.separate.ssr += own.ssr;
    test.separate.parameters += own.parameters;
  }
  const double tss = test.pooled.ssr / (1 - test.pooled.r2);
  test.separate = QualityOf(test.pooled.rows, test.separate.parameters, test.separate.ssr, tss);
  test.chow = NestedF(test.pooled, test.separate);
  test.chow.small = "pooled", test.chow.large = "separate";
  const OlsResult shared = design.FitWithIntercepts(group_of_row, test.names);
  test.shared = shared.quality;
  test.shared_coefficients = shared.coefficients;
  test.amplitudes = NestedF(test.pooled, test.shared);
  test.amplitudes.small = "pooled", test.amplitudes.large = "shared exponents";
  test.exponents = NestedF(test.shared, test.separate);
  test.exponents.small = "shared exponents", test.exponents.large = "separate";
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, design.rows());
  if (units.is_clustered()) {
    std::vector<size_t> exponents, intercepts;
    for (const size_t column : all) (design.covariates_of(column).empty() ? intercepts : exponents).push_back(column);
    const size_t groups_count = test.names.size();
    const auto over = [&](const std::vector<size_t>& own, const std::vector<size_t>& common,
                          const std::vector<size_t>& tested) {
      return design.GroupsAreEqual(own, common, tested, group_of_row, groups_count, units);
    };
    test.chow.unit = test.amplitudes.unit = test.exponents.unit = units.name;
    test.chow.over_units = over(all, {}, all);
    test.amplitudes.over_units = over(intercepts, exponents, intercepts);
    test.exponents.over_units = over(all, {}, exponents);
  }
  return test;
}

namespace {

// Every pair of laws whose linear forms contain each other, where the rows determine both.
std::vector<NestedTest> NestedPairs(std::span<const Law* const> laws, const Table& table, const FitSettings& settings) {
  std::vector<NestedTest> tests;
  const auto names_of = [](const Law& law) {
    std::set<std::string> names;
    const auto form = law.linear_form();
    if (form && form->of_log) {
      for (const auto& column : form->columns) names.insert(column.name);
    }
    return names;
  };
  for (const Law* large : laws) {
    const auto wide = names_of(*large);
    for (const Law* small : laws) {
      const auto narrow = names_of(*small);
      if (narrow.empty() || narrow.size() >= wide.size() || small->response() != large->response() ||
          !std::includes(wide.begin(), wide.end(), narrow.begin(), narrow.end()))
        continue;
      const LinearDesign design(*large, table, settings);
      if (!design.why_none().empty()) continue;
      std::vector<size_t> columns, all;
      for (size_t j = 0; j < design.columns(); ++j) {
        all.push_back(j);
        if (narrow.contains(design.name(j))) columns.push_back(j);
      }
      try {
        const OlsResult whole = design.Fit(all);
        NestedTest test = NestedF(design.Fit(columns).quality, whole.quality);
        TestOverUnits(design, all, whole, Added(columns, all), UnitsOf(table, settings.bootstrap_unit, design.rows()),
                      test);
        test.small = small->name();
        test.large = large->name();
        tests.push_back(std::move(test));
      } catch (const Error& error) {
        // These rows do not determine the larger law (a factor does not vary): its own fit says so.
        if (error.kind() != ErrorKind::kNumerical) throw;
      }
    }
  }
  return tests;
}

}  // namespace

LawComparison CompareLaws(std::span<const Law* const> laws, const Table& table, const FitSettings& settings) {
  LawComparison comparison;
  if (laws.empty()) return comparison;
  comparison.response = laws[0]->response();
  // The rows that every law can use.
  std::vector<size_t> times_fit(table.rows(), 0), times_counted(table.rows(), 0);
  std::vector<const Law*> usable;
  std::vector<ComparedLaw> unusable;
  bool counts = true, positive = true;
  for (const Law* law : laws) {
    if (law->response() != comparison.response) continue;
    LawRows rows;
    try {
      rows = SelectRows(*law, table, {settings.chance_rule, false, settings.weights});
    } catch (const Error& error) {
      ComparedLaw none;
      none.law = law->name();
      none.why_none = error.what();
      none.parameters = law->parameters().size();
      unusable.push_back(std::move(none));
      continue;
    }
    usable.push_back(law);
    for (const size_t row : rows.fit_index) ++times_fit[row];
    for (const size_t row : rows.counted_index) ++times_counted[row];
    for (const double y : rows.fit.y) positive = positive && y > 0;
    counts = counts && !rows.counted_index.empty();
  }
  const auto& times = counts ? times_counted : times_fit;
  std::vector<size_t> common;
  for (size_t row = 0; row < table.rows(); ++row) {
    if (times[row] == usable.size() && times[row] > 0) common.push_back(row);
    if (times[row] > 0 && times[row] < usable.size()) ++comparison.left_out;
  }
  comparison.rows = common.size();
  const Table shared = table.Rows(common);
  FitProcedure procedure;
  if (counts) {
    procedure.loss = FitProcedure::Loss::kBinomial;
  } else if (positive) {
    procedure.space = FitProcedure::Space::kLog;
  }
  comparison.method = Name(procedure.loss);
  comparison.space = counts ? "counts" : positive ? "log response" : "response";

  std::vector<int> folds;
  RowUnits units;
  for (const Law* law : usable) {
    ComparedLaw one;
    one.law = law->name();
    one.parameters = law->parameters().size();
    const auto method = common.empty() ? std::nullopt : FitMethod(*law, shared, settings, procedure, one.why_none);
    if (common.empty()) one.why_none = "no row has what all laws need";
    if (method) {
      one.adjusted_r2 = method->quality.adjusted_r2;
      one.aicc = method->quality.aicc;
      one.bic = method->quality.bic;
      const Refitter refitter(*law, shared, settings, *method);
      units = UnitsOf(shared, settings.bootstrap_unit, refitter.cases());
      if (folds.empty()) folds = RandomFolds(refitter, std::max(2, settings.k_fold), settings.seed, &units);
      const auto validate = [&](std::string scheme, const std::vector<int>& fold_of_row) {
        return Validate(refitter, std::move(scheme), fold_of_row, settings.confidence, settings.seed, settings.threads,
                        &units);
      };
      if (settings.k_fold > 1) one.folds = validate(FoldsName(settings.k_fold, units), folds);
      std::vector<std::string> conditions = UsualHoldOuts(refitter, shared);
      conditions.insert(conditions.end(), settings.hold_outs.begin(), settings.hold_outs.end());
      for (const std::string& condition : conditions) {
        one.hold_outs.push_back(validate("hold out " + condition, HoldOut(refitter, shared, condition)));
      }
    }
    comparison.laws.push_back(std::move(one));
  }
  double best = std::numeric_limits<double>::infinity(), sum = 0;
  for (const ComparedLaw& one : comparison.laws) best = std::isnan(one.aicc) ? best : std::min(best, one.aicc);
  for (ComparedLaw& one : comparison.laws) {
    one.delta_aicc = one.aicc - best;
    if (!std::isnan(one.aicc)) sum += std::exp(-one.delta_aicc / 2);
  }
  for (ComparedLaw& one : comparison.laws) one.weight = std::exp(-one.delta_aicc / 2) / sum;
  std::stable_sort(comparison.laws.begin(), comparison.laws.end(), [](const auto& a, const auto& b) {
    return std::isnan(b.aicc) ? !std::isnan(a.aicc) : a.aicc < b.aicc;
  });
  comparison.unit = units.name;
  comparison.units = units.size();
  comparison.is_clustered = units.is_clustered();
  comparison.laws.insert(comparison.laws.end(), unusable.begin(), unusable.end());
  if (!common.empty()) comparison.nested = NestedPairs(usable, shared, settings);
  return comparison;
}

}  // namespace bitlaw
