#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text/counted.h"
#include "fit/estimate/law_fit.h"
#include "fit/estimate/linear_design.h"
#include "fit/examine/nested_tests.h"

namespace bitlaw {

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
    test.why_none =
        fmt::format("{} for {} of the separate fits", Counted(test.pooled.rows, "row"), Counted(k, "parameter"));
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
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, design.rows(), settings.roles);
  const auto shared = design.FitWithIntercepts(group_of_row, test.names, units, test.dropped, test.shared_errors,
                                               test.why_no_shared);
  if (!test.shared_errors.empty()) test.shared_unit = units.name;
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

}  // namespace bitlaw
