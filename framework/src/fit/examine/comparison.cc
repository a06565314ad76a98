#include "fit/examine/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/estimate/linear_design.h"
#include "fit/law/restricted_law.h"
#include "fit/solve/objective.h"

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
  // As CompareLaws() does: scatter of such responses is relative, and squares of the response would refuse true nulls.
  std::vector<size_t> rows;
  FitProcedure procedure = ComparisonProcedure(law, table, settings, rows);
  const bool is_likelihood = law.procedure().loss == FitProcedure::Loss::kHuberLikelihood &&
                             (procedure.space == FitProcedure::Space::kLog || law.procedure().space == procedure.space);
  if (is_likelihood) procedure = law.procedure();
  const bool is_binomial = procedure.loss == FitProcedure::Loss::kBinomial;
  std::string why;
  const auto large = FitMethod(law, table, settings, procedure, why);
  if (!large) throw Error(ErrorKind::kNumerical, "law '" + law.name() + "': " + why + ".");
  FitQuality small;
  double objective = kUnset;
  if (std::none_of(fixed.begin(), fixed.end(), [](double value) { return std::isnan(value); })) {
    const LawRows selected = SelectRows(law, table,
                                        {settings.chance_rule, procedure.space == FitProcedure::Space::kLog,
                                         settings.weights});
    const ResponseInverse inverse(law.response());
    objective = Objective(law, is_binomial ? selected.counted : selected.fit, procedure, &inverse).Value(fixed);
    small = QualityOf(large->quality.rows, 0, objective, large->quality.ssr / (1 - large->quality.r2));
    if (is_likelihood) small.log_likelihood = -objective;
  } else {
    const auto fit = FitMethod(RestrictedLaw(law, fixed), table, settings, procedure, why);
    if (!fit) throw Error(ErrorKind::kNumerical, "law '" + law.name() + "': " + why + ".");
    small = fit->quality;
    objective = fit->objective;
  }
  NestedTest test = LikelihoodRatio(small, large->quality, is_binomial ? large->quality.residual_variance : kUnset);
  if (is_likelihood) {
    test.value = 2 * (large->quality.log_likelihood - small.log_likelihood);
    test.p = ChiSquaredP(test.value, test.df1);
  }
  test.small_objective = objective;
  test.large_objective = large->objective;
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

namespace {

// Groups of these rows of the table, by first occurrence.
std::vector<size_t> GroupRows(const Table& table, const std::vector<size_t>& rows, ChowTest& test) {
  const TableColumn& column = table.At(test.groups, "Chow test");
  std::vector<size_t> group_of_row;
  for (const size_t row : rows) {
    const std::string name = table.CellText(column, row);
    const auto at = static_cast<size_t>(std::find(test.names.begin(), test.names.end(), name) - test.names.begin());
    if (at == test.names.size()) {
      test.names.push_back(name);
      test.sizes.push_back(0);
    }
    ++test.sizes[at];
    group_of_row.push_back(at);
  }
  if (test.names.size() < 2) test.why_none = "'" + test.groups + "' has one value in the fitted rows";
  return group_of_row;
}

NestedTest Named(NestedTest test, const char* small, const char* large) {
  test.small = small;
  test.large = large;
  return test;
}

// A law that is not linear: pooled against separate.
void ChowByIteration(const Law& law, const Table& table, const FitSettings& settings, ChowTest& test) {
  std::vector<size_t> rows;
  const FitProcedure procedure = ComparisonProcedure(law, table, settings, rows);
  const std::vector<size_t> group_of_row = GroupRows(table, rows, test);
  if (!test.why_none.empty()) return;
  test.why_no_shared = "the formula is not linear in its parameters, nor is its logarithm";
  const auto pooled = FitMethod(law, table.Rows(rows), settings, procedure, test.why_none);
  if (!pooled) return;
  test.pooled = pooled->quality;
  double ssr = 0, log_likelihood = 0;
  for (size_t g = 0; g < test.names.size(); ++g) {
    std::vector<size_t> own;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (group_of_row[i] == g) own.push_back(rows[i]);
    }
    std::string why;
    const auto fit = FitMethod(law, table.Rows(own), settings, procedure, why);
    if (!fit) {
      test.why_no_separate = test.names[g] + ": " + why;
      test.why_none = test.why_no_separate;
      return;
    }
    ssr += fit->quality.ssr;
    log_likelihood += fit->quality.log_likelihood;
  }
  const size_t k = law.parameters().size() * test.names.size();
  if (test.pooled.rows <= k) {
    test.why_none = fmt::format("{} rows for {} parameters of the separate fits", test.pooled.rows, k);
    return;
  }
  test.separate = QualityOf(test.pooled.rows, k, ssr, test.pooled.ssr / (1 - test.pooled.r2));
  NestedTest chow = NestedF(test.pooled, test.separate);
  if (procedure.loss == FitProcedure::Loss::kBinomial) {
    // The deviance in F's place: its ratio allows for scatter beyond the binomial's.
    const double dispersion = std::max(1.0, ssr / static_cast<double>(test.pooled.rows - k));
    test.separate.log_likelihood = log_likelihood;
    chow.value = (test.pooled.ssr - ssr) / chow.df1 / dispersion;
    chow.p = FisherP(chow.value, chow.df1, chow.df2);
  }
  test.chow = Named(chow, "pooled", "separate");
}

}  // namespace

FitProcedure ComparisonProcedure(const Law& law, const Table& table, const FitSettings& settings,
                                 std::vector<size_t>& rows) {
  const LawRows selected = SelectRows(law, table, {settings.chance_rule, TakesLog(law), settings.weights});
  FitProcedure procedure;
  rows = selected.fit_index;
  if (!selected.counted_index.empty()) {
    procedure.loss = FitProcedure::Loss::kBinomial;
    rows = selected.counted_index;
  } else if (std::all_of(selected.fit.y.begin(), selected.fit.y.end(), [](double y) { return y > 0; })) {
    procedure.space = FitProcedure::Space::kLog;
  }
  return procedure;
}

ChowTest Chow(const Law& law, const Table& table, const FitSettings& settings, const std::string& groups) {
  ChowTest test;
  test.groups = groups;
  const LinearDesign design(law, table, settings);
  if (!law.linear_form()) {
    ChowByIteration(law, table, settings, test);
    return test;
  }
  test.why_none = design.why_none();
  if (!test.why_none.empty()) return test;
  const std::vector<size_t> group_of_row = GroupRows(table, design.rows(), test);
  if (!test.why_none.empty()) return test;
  std::vector<size_t> all(design.columns());
  for (size_t j = 0; j < all.size(); ++j) all[j] = j;
  const std::string why_no_pooled = design.ExplainColumns(all);
  if (why_no_pooled.empty()) test.pooled = design.Fit(all).quality;
  const auto shared = design.FitWithIntercepts(group_of_row, test.names, test.dropped, test.why_no_shared);
  if (shared) {
    test.shared = shared->quality;
    test.shared_coefficients = shared->coefficients;
  }
  double ssr = 0;
  size_t parameters = 0;
  for (size_t g = 0; g < test.names.size() && test.why_no_separate.empty(); ++g) {
    const std::string why = design.ExplainColumns(all, &group_of_row, g);
    if (!why.empty()) {
      test.why_no_separate = test.names[g] + ": " + why;
      break;
    }
    const FitQuality own = design.Fit(all, &group_of_row, g).quality;
    ssr += own.ssr;
    parameters += own.parameters;
  }
  if (!shared && !test.why_no_separate.empty()) {
    test.why_none = test.why_no_separate;
    return test;
  }
  if (!why_no_pooled.empty()) test.why_no_separate = "all groups: " + why_no_pooled;
  if (shared && why_no_pooled.empty() && test.shared.parameters > test.pooled.parameters)
    test.amplitudes = Named(NestedF(test.pooled, test.shared), "pooled", "shared exponents");
  const bool has_amplitudes = shared && !std::isnan(test.amplitudes.value);
  if (test.why_no_separate.empty()) {
    const double tss = test.pooled.ssr / (1 - test.pooled.r2);
    test.separate = QualityOf(test.pooled.rows, parameters, ssr, tss);
    test.chow = Named(NestedF(test.pooled, test.separate), "pooled", "separate");
    if (shared) test.exponents = Named(NestedF(test.shared, test.separate), "shared exponents", "separate");
  }
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, design.rows());
  if (units.is_clustered()) {
    std::vector<size_t> exponents, intercepts;
    for (const size_t column : all) {
      if (design.covariates_of(column).empty()) {
        intercepts.push_back(column);
      } else if (std::find(test.dropped.begin(), test.dropped.end(), design.name(column)) == test.dropped.end()) {
        exponents.push_back(column);
      }
    }
    const size_t groups_count = test.names.size();
    const auto over = [&](const std::vector<size_t>& own, const std::vector<size_t>& common,
                          const std::vector<size_t>& tested) {
      return design.GroupsAreEqual(own, common, tested, group_of_row, groups_count, units);
    };
    test.chow.unit = test.amplitudes.unit = test.exponents.unit = units.name;
    if (has_amplitudes) test.amplitudes.over_units = over(intercepts, exponents, intercepts);
    if (!test.why_no_separate.empty()) return test;
    test.chow.over_units = over(all, {}, all);
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
  bool counts = true;
  std::set<size_t> not_positive;
  for (const Law* law : laws) {
    if (law->response() != comparison.response) continue;
    LawRows rows;
    try {
      rows = SelectRows(*law, table, {settings.chance_rule, TakesLog(*law), settings.weights});
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
    for (size_t i = 0; i < rows.fit.size(); ++i) {
      if (!(rows.fit.y[i] > 0)) not_positive.insert(rows.fit_index[i]);
    }
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
  const bool positive =
      std::none_of(common.begin(), common.end(), [&](size_t row) { return not_positive.contains(row); });
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
      one.log_likelihood = method->quality.log_likelihood;
      if (counts) one.dispersion = method->quality.residual_variance;
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
  if (counts) {
    // Scatter beyond the binomial's as the law with most parameters sees it (Burnham and Anderson 2002, ch. 2.5).
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
  const auto criterion = [&](const ComparedLaw& one) { return comparison.dispersion > 1 ? one.qaicc : one.aicc; };
  double best = std::numeric_limits<double>::infinity(), sum = 0;
  for (const ComparedLaw& one : comparison.laws) best = std::isnan(criterion(one)) ? best : std::min(best, criterion(one));
  for (ComparedLaw& one : comparison.laws) {
    one.delta_aicc = criterion(one) - best;
    if (!std::isnan(one.delta_aicc)) sum += std::exp(-one.delta_aicc / 2);
  }
  for (ComparedLaw& one : comparison.laws) one.weight = std::exp(-one.delta_aicc / 2) / sum;
  std::stable_sort(comparison.laws.begin(), comparison.laws.end(), [](const auto& a, const auto& b) {
    return std::isnan(b.delta_aicc) ? !std::isnan(a.delta_aicc) : a.delta_aicc < b.delta_aicc;
  });
  comparison.unit = units.name;
  comparison.units = units.size();
  comparison.is_clustered = units.is_clustered();
  comparison.laws.insert(comparison.laws.end(), unusable.begin(), unusable.end());
  if (!common.empty()) comparison.nested = NestedPairs(usable, shared, settings);
  return comparison;
}

}  // namespace bitlaw
