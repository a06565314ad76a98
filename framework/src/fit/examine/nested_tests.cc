#include "fit/examine/nested_tests.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/estimate/law_fit.h"
#include "fit/estimate/linear_design.h"
#include "fit/law/restricted_law.h"
#include "fit/solve/fit_problem.h"

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
  const FitProblem problem(law, table, settings, procedure);
  const auto large = FitMethod(problem, table, settings, why);
  if (!large) throw Error(ErrorKind::kNumerical, "law '" + law.name() + "': " + why + ".");
  FitQuality small;
  double objective = kUnset;
  if (std::none_of(fixed.begin(), fixed.end(), [](double value) { return std::isnan(value); })) {
    objective = problem.objective().Value(fixed);
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
  size_t scales = 0;
  using enum FactorRole;
  for (const FactorRole role : {kScale, kPrecision, kGranularity, kCalibration}) {
    for (std::string& name : settings.roles.CovariatesOf(law, role)) order.push_back(std::move(name));
    if (role == kScale) scales = order.size();
  }
  const bool begins_with_both = scales == 1 && order.size() > 1 && settings.roles.Of(order[1]) == kPrecision;
  for (const std::string& name : covariates) {
    if (std::find(order.begin(), order.end(), name) == order.end()) order.push_back(name);
  }
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, design.rows(), settings.roles);
  std::set<std::string> within;
  std::vector<size_t> before;
  for (size_t i = 0; i < order.size(); ++i) {
    within.insert(order[i]);
    if (i == 0 && begins_with_both) continue;
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

FitProcedure ComparisonProcedure(const Law& law, const Table& table, const FitSettings& settings,
                                 std::vector<size_t>& rows) {
  const FitProblem problem(law, table, settings, FitProcedure());
  const LawRows& selected = problem.selected();
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
        TestOverUnits(design, all, whole, Added(columns, all),
                      UnitsOf(table, settings.bootstrap_unit, design.rows(), settings.roles),
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

}  // namespace bitlaw
