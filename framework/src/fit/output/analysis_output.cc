#include "fit/output/fit_output.h"
#include "fit/output/json_values.h"

namespace bitlaw {

// Not in an unnamed namespace: the lists of json_values.h would not find them there.

static Value Json(const Interval& interval) { return Json(std::vector<double>{interval.low, interval.high}); }

static Value Json(const Uncertainty& one) {
  return JsonObject({{"name", one.name},
                     {"value", one.value},
                     {"delta_error", one.delta_error},
                     {"degrees_of_freedom", one.degrees_of_freedom},
                     {"independent_error", one.independent_error},
                     {"independent", one.independent},
                     {"delta", one.delta},
                     {"bootstrap_error", one.bootstrap_error},
                     {"bias", one.bias},
                     {"percentile", one.percentile},
                     {"bca", one.bca},
                     {"profile", one.profile}});
}

static Value Json(const UncertaintyReport& report) {
  return JsonObject({{"method", report.method},
                     {"level", report.level},
                     {"independent_units", report.independent},
                     {"number_of_units", report.independent_units},
                     {"warnings", report.warnings},
                     {"bootstrap_unit", report.unit},
                     {"units", report.units},
                     {"replicates", report.replicates},
                     {"failed", report.failed},
                     {"note", report.note},
                     {"quantities", report.quantities}});
}

static Value Json(const ValidationResult& one) {
  Value json = JsonObject({{"scheme", one.scheme}});
  if (!one.why_none.empty()) json.Set("why_none", one.why_none);
  AddFields(json, {{"fits", one.fits},
                   {"failed", one.failed},
                   {"failures", one.failures},
                   {"fit_rows", one.fit_rows},
                   {"validation_rows", one.validation_rows},
                   {"mae", one.mae},
                   {"rmse", one.rmse},
                   {"r2", one.r2},
                   {"accuracy_rows", one.accuracy_rows},
                   {"accuracy_mae", one.accuracy_mae},
                   {"accuracy_mae_interval", one.accuracy_mae_interval},
                   {"interval_unit", one.interval_unit},
                   {"interval_units", one.interval_units},
                   {"accuracy_rmse", one.accuracy_rmse},
                   {"accuracy_r2", one.accuracy_r2}});
  return json;
}

static Value Json(const NestedTest& test) {
  Value over_units;
  if (!test.unit.empty()) {
    const ClusterRobust::Test& over = test.over_units;
    over_units = JsonObject({{"unit", test.unit}, {"f", over.f}, {"df1", over.df1}, {"df2", over.df2}, {"p", over.p}});
    if (!over.why_none.empty()) over_units.Set("why_none", over.why_none);
  }
  return JsonObject({{"small", test.small},
                     {"large", test.large},
                     {"statistic", test.statistic},
                     {"value", test.value},
                     {"df1", test.df1},
                     {"df2", test.df2},
                     {"p", test.p},
                     {"small_objective", test.small_objective},
                     {"large_objective", test.large_objective},
                     {"over_units", over_units}});
}

static Value Json(const ChowTest& test) {
  Value json = JsonObject({{"groups", test.groups}});
  if (!test.why_none.empty()) {
    json.Set("why_none", test.why_none);
    return json;
  }
  Value sizes;
  for (size_t g = 0; g < test.names.size(); ++g) sizes.Set(test.names[g], Json(test.sizes[g]));
  if (!test.why_no_shared.empty()) json.Set("why_no_shared", test.why_no_shared);
  if (!test.why_no_separate.empty()) json.Set("why_no_separate", test.why_no_separate);
  AddFields(json, {{"rows", sizes},
                   {"dropped", test.dropped},
                   {"pooled", test.pooled},
                   {"shared", test.shared},
                   {"separate", test.separate},
                   {"chow", test.chow},
                   {"amplitudes", test.amplitudes},
                   {"exponents", test.exponents},
                   {"shared_coefficients", test.shared_coefficients}});
  if (!test.shared_errors.empty()) {
    Value errors(Value::List{});
    for (size_t j = 0; j < test.shared_errors.size(); ++j) {
      errors.AsList().push_back(JsonObject({{"name", test.shared_coefficients[j].name},
                                            {"standard_error", test.shared_errors[j].error},
                                            {"degrees_of_freedom", test.shared_errors[j].degrees_of_freedom}}));
    }
    AddFields(json, {{"shared_unit", test.shared_unit}, {"shared_errors", errors}});
  }
  return json;
}

static Value Json(const Zone::Exponent& one) {
  return JsonObject({{"parameter", one.parameter},
                     {"value", one.value},
                     {"standard_error", one.standard_error},
                     {"degrees_of_freedom", one.degrees_of_freedom},
                     {"interval", one.interval},
                     {"amplification", one.amplification}});
}

static Value Json(const Zone& zone) {
  Value json = JsonObject({{"zone", zone.name},
                           {"rows", zone.rows},
                           {"rows_at_or_below_chance", zone.at_chance},
                           {"kept", zone.kept},
                           {"lost_share", zone.lost_share}});
  if (!zone.why_none.empty()) json.Set("why_none", zone.why_none);
  if (!zone.why_not_judged.empty()) json.Set("why_not_judged", zone.why_not_judged);
  AddFields(json, {{"adjusted_r2", zone.adjusted_r2}, {"flags", zone.flags}, {"exponents", zone.exponents}});
  return json;
}

static Value Json(const Ablation& step) {
  return JsonObject({{"factors", step.factors},
                     {"quality", step.quality},
                     {"added", step.added.small.empty() ? Value() : Json(step.added)}});
}

static Value Json(const LawAnalysis& analysis) {
  return JsonObject({{"law", analysis.law},
                     {"stratum", analysis.stratum},
                     {"uncertainty", analysis.uncertainty},
                     {"validation", analysis.validation},
                     {"ablations", analysis.ablations},
                     {"chow", analysis.chow.groups.empty() ? Value() : Json(analysis.chow)},
                     {"quantizers", analysis.quantizers.groups.empty() ? Value() : Json(analysis.quantizers)},
                     {"by_quantizer", analysis.by_quantizer},
                     {"held", analysis.held},
                     {"why_not_held", analysis.why_not_held},
                     {"zones", analysis.zones}});
}

static Value Json(const ComparedLaw& one) {
  Value json = JsonObject({{"law", one.law}, {"response", one.response}});
  if (!one.why_none.empty()) json.Set("why_none", one.why_none);
  const auto known = [](const ValidationResult& errors) { return errors.scheme.empty() ? Value() : Json(errors); };
  AddFields(json, {{"method", one.method},
                   {"parameters", one.parameters},
                   {"adjusted_r2", one.adjusted_r2},
                   {"aicc", one.aicc},
                   {"qaicc", one.qaicc},
                   {"dispersion", one.dispersion},
                   {"delta_aicc", one.delta_aicc},
                   {"weight", one.weight},
                   {"bic", one.bic},
                   {"in_sample", known(one.in_sample)},
                   {"folds", one.folds},
                   {"hold_outs", one.hold_outs},
                   {"declared_hold_out", known(one.declared)}});
  return json;
}

static Value Json(const LawComparison& comparison) {
  const bool several = comparison.has_several_responses;
  return JsonObject({{"stratum", comparison.stratum},
                     {"response", several ? Value() : Json(comparison.response)},
                     {"method", several ? Value() : Json(Name(comparison.procedure.loss))},
                     {"space", several ? Value() : Json(SpaceName(comparison.procedure))},
                     {"independent_units", comparison.unit},
                     {"number_of_units", comparison.units},
                     {"dispersion", comparison.dispersion},
                     {"rows", comparison.rows},
                     {"rows_left_out", comparison.left_out},
                     {"rows_held_out", comparison.declared_rows},
                     {"laws", comparison.laws},
                     {"nested", comparison.nested}});
}

static Value Json(const SelectionCandidate& one) {
  Value json = JsonObject({{"law", one.law}});
  if (!one.why_none.empty()) json.Set("why_none", one.why_none);
  AddFields(json, {{"inner_mae", one.inner_mae}, {"inner", one.inner}, {"outer", one.outer}});
  return json;
}

static Value Json(const NestedSelection& one) {
  Value json = JsonObject({{"stratum", one.stratum},
                           {"outer", one.outer},
                           {"factor", one.factor},
                           {"inner", one.inner},
                           {"unpredicted", one.unpredicted},
                           {"rows", one.rows},
                           {"outer_rows", one.outer_rows}});
  if (!one.why_none.empty()) json.Set("why_none", one.why_none);
  const auto name = [](const SelectionCandidate* law) { return law == nullptr ? Value() : Json(law->law); };
  AddFields(json, {{"chosen", name(one.chosen())},
                   {"best_afterwards", name(one.best_afterwards())},
                   {"candidates", one.candidates}});
  return json;
}

static Value Json(const SensitivityRanking::Place& place) {
  return JsonObject({{"stratum", place.stratum},
                     {"value", place.value},
                     {"standard_error", place.standard_error},
                     {"degrees_of_freedom", place.degrees_of_freedom},
                     {"interval", place.interval},
                     {"bootstrap_error", place.bootstrap_error}});
}

static Value Json(const SensitivityRanking::Pair& pair) {
  return JsonObject({{"a", pair.a},
                     {"b", pair.b},
                     {"difference", pair.difference},
                     {"standard_error", pair.standard_error},
                     {"degrees_of_freedom", pair.degrees_of_freedom},
                     {"bootstrap_error", pair.bootstrap_error},
                     {"interval", pair.interval},
                     {"p", pair.p},
                     {"p_holm", pair.p_holm}});
}

static Value Json(const SensitivityRanking& ranking) {
  return JsonObject({{"parameter", ranking.parameter}, {"places", ranking.places}, {"pairs", ranking.pairs}});
}

static Value Json(const PermutationTest& one) {
  return JsonObject(
      {{"parameter", one.parameter}, {"spread", one.spread}, {"typical_spread", one.typical_spread}, {"p", one.p}});
}

static Value Json(const StrataTests& tests) {
  Value json = JsonObject({{"law", tests.law}});
  if (!tests.why_none.empty()) json.Set("why_none", tests.why_none);
  std::vector<std::string> methods;
  for (const StrataTests::Method& one : tests.methods) methods.push_back(one.stratum + ": " + one.method);
  AddFields(json, {{"methods", methods},
                   {"independent_units", tests.unit},
                   {"number_of_units", tests.units},
                   {"bootstrap_unit", tests.drawn},
                   {"replicates", tests.replicates},
                   {"failed", tests.failed},
                   {"rankings", tests.rankings}});
  if (!tests.why_no_permutation.empty()) json.Set("why_no_permutation", tests.why_no_permutation);
  AddFields(json, {{"permutations", tests.permutations}, {"permutation", tests.permutation}});
  return json;
}

static Value Json(const GroupingAnalysis& grouping) {
  return JsonObject({{"name", grouping.name},
                     {"strata", grouping.strata},
                     {"notes", grouping.notes},
                     {"fits", grouping.fits},
                     {"strata_tests", grouping.strata_tests}});
}

Value AnalysisJson(const AnalysisReport& analysis) {
  return JsonObject({{"laws", analysis.laws},
                     {"comparisons", analysis.comparisons},
                     {"selections", analysis.selections},
                     {"strata", analysis.strata},
                     {"shared_over_strata", analysis.shared_over_strata},
                     {"groupings", analysis.groupings}});
}

}  // namespace bitlaw
