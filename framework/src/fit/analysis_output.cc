#include "fit/analysis.h"
#include "fit/json_values.h"

namespace bitlaw {

namespace {

using json_values::Count;
using json_values::Json;
using json_values::ListOf;
using json_values::Number;
using json_values::Numbers;

Value Json(const Interval& interval) { return Numbers({interval.low, interval.high}); }

Value Json(const UncertaintyReport& report) {
  Value json;
  json.Set("method", report.method);
  json.Set("level", Number(report.level));
  json.Set("bootstrap_unit", report.unit);
  json.Set("units", Count(report.units));
  json.Set("replicates", report.replicates);
  json.Set("failed", report.failed);
  json.Set("note", report.note);
  json.Set("quantities", ListOf(report.quantities, [](const Uncertainty& one) {
             Value value;
             value.Set("name", one.name);
             value.Set("value", Number(one.value));
             value.Set("delta_error", Number(one.delta_error));
             value.Set("delta", Json(one.delta));
             value.Set("bootstrap_error", Number(one.bootstrap_error));
             value.Set("bias", Number(one.bias));
             value.Set("percentile", Json(one.percentile));
             value.Set("bca", Json(one.bca));
             value.Set("profile", Json(one.profile));
             return value;
           }));
  return json;
}

Value Json(const ValidationResult& one) {
  Value json;
  json.Set("scheme", one.scheme);
  if (!one.why_none.empty()) json.Set("why_none", one.why_none);
  json.Set("fits", Count(one.fits));
  json.Set("failed", Count(one.failed));
  json.Set("fit_rows", Count(one.fit_rows));
  json.Set("validation_rows", Count(one.validation_rows));
  json.Set("mae", Number(one.mae));
  json.Set("rmse", Number(one.rmse));
  json.Set("r2", Number(one.r2));
  json.Set("accuracy_rows", Count(one.accuracy_rows));
  json.Set("accuracy_mae", Number(one.accuracy_mae));
  json.Set("accuracy_mae_interval", Json(one.accuracy_mae_interval));
  json.Set("accuracy_rmse", Number(one.accuracy_rmse));
  json.Set("accuracy_r2", Number(one.accuracy_r2));
  return json;
}

Value Json(const NestedTest& test) {
  Value json;
  json.Set("small", test.small);
  json.Set("large", test.large);
  json.Set("statistic", test.statistic);
  json.Set("value", Number(test.value));
  json.Set("df1", Number(test.df1));
  json.Set("df2", Number(test.df2));
  json.Set("p", Number(test.p));
  return json;
}

Value Json(const ChowTest& test) {
  Value json;
  json.Set("groups", test.groups);
  if (!test.why_none.empty()) {
    json.Set("why_none", test.why_none);
    return json;
  }
  Value sizes;
  for (size_t g = 0; g < test.names.size(); ++g) sizes.Set(test.names[g], Count(test.sizes[g]));
  json.Set("rows", std::move(sizes));
  json.Set("pooled", Json(test.pooled));
  json.Set("shared", Json(test.shared));
  json.Set("separate", Json(test.separate));
  json.Set("chow", Json(test.chow));
  json.Set("amplitudes", Json(test.amplitudes));
  json.Set("exponents", Json(test.exponents));
  json.Set("shared_coefficients", ListOf(test.shared_coefficients, [](const OlsCoefficient& one) {
             Value value;
             value.Set("column", one.name);
             value.Set("value", Number(one.value));
             value.Set("standard_error", Number(one.standard_error));
             return value;
           }));
  return json;
}

Value Json(const Zone& zone) {
  Value json;
  json.Set("zone", zone.name);
  json.Set("rows", Count(zone.rows));
  json.Set("rows_at_or_below_chance", Count(zone.at_chance));
  if (!zone.why_none.empty()) json.Set("why_none", zone.why_none);
  json.Set("adjusted_r2", Number(zone.adjusted_r2));
  json.Set("flags", json_values::Texts(zone.flags));
  json.Set("exponents", ListOf(zone.exponents, [](const Zone::Exponent& one) {
             Value value;
             value.Set("parameter", one.parameter);
             value.Set("value", Number(one.value));
             value.Set("standard_error", Number(one.standard_error));
             value.Set("interval", Json(one.interval));
             value.Set("amplification", Number(one.amplification));
             return value;
           }));
  return json;
}

Value Json(const LawAnalysis& analysis) {
  Value json;
  json.Set("law", analysis.law);
  json.Set("stratum", analysis.stratum);
  json.Set("uncertainty", Json(analysis.uncertainty));
  json.Set("validation", ListOf(analysis.validation, [](const auto& one) { return Json(one); }));
  json.Set("ablations", ListOf(analysis.ablations, [](const Ablation& step) {
             Value value;
             value.Set("factors", step.factors);
             value.Set("quality", Json(step.quality));
             value.Set("added", step.added.small.empty() ? Value() : Json(step.added));
             return value;
           }));
  json.Set("chow", analysis.chow.groups.empty() ? Value() : Json(analysis.chow));
  json.Set("zones", ListOf(analysis.zones, [](const auto& zone) { return Json(zone); }));
  return json;
}

Value Json(const LawComparison& comparison) {
  Value json;
  json.Set("stratum", comparison.stratum);
  json.Set("response", comparison.response);
  json.Set("method", comparison.method);
  json.Set("space", comparison.space);
  json.Set("rows", Count(comparison.rows));
  json.Set("rows_left_out", Count(comparison.left_out));
  json.Set("laws", ListOf(comparison.laws, [](const ComparedLaw& one) {
             Value value;
             value.Set("law", one.law);
             if (!one.why_none.empty()) value.Set("why_none", one.why_none);
             value.Set("parameters", Count(one.parameters));
             value.Set("adjusted_r2", Number(one.adjusted_r2));
             value.Set("aicc", Number(one.aicc));
             value.Set("delta_aicc", Number(one.delta_aicc));
             value.Set("weight", Number(one.weight));
             value.Set("bic", Number(one.bic));
             value.Set("folds", Json(one.folds));
             value.Set("hold_outs", ListOf(one.hold_outs, [](const auto& validation) { return Json(validation); }));
             return value;
           }));
  json.Set("nested", ListOf(comparison.nested, [](const auto& test) { return Json(test); }));
  return json;
}

Value Json(const StrataTests& tests) {
  Value json;
  json.Set("law", tests.law);
  if (!tests.why_none.empty()) json.Set("why_none", tests.why_none);
  json.Set("replicates", tests.replicates);
  json.Set("failed", tests.failed);
  json.Set("rankings", ListOf(tests.rankings, [](const SensitivityRanking& ranking) {
             Value value;
             value.Set("parameter", ranking.parameter);
             value.Set("places", ListOf(ranking.places, [](const auto& place) {
                         Value one;
                         one.Set("stratum", place.stratum);
                         one.Set("value", Number(place.value));
                         one.Set("standard_error", Number(place.standard_error));
                         one.Set("interval", Json(place.interval));
                         return one;
                       }));
             value.Set("pairs", ListOf(ranking.pairs, [](const auto& pair) {
                         Value one;
                         one.Set("a", pair.a);
                         one.Set("b", pair.b);
                         one.Set("difference", Number(pair.difference));
                         one.Set("standard_error", Number(pair.standard_error));
                         one.Set("interval", Json(pair.interval));
                         one.Set("p", Number(pair.p));
                         one.Set("p_holm", Number(pair.p_holm));
                         return one;
                       }));
             return value;
           }));
  if (!tests.why_no_permutation.empty()) json.Set("why_no_permutation", tests.why_no_permutation);
  json.Set("permutations", tests.permutations);
  json.Set("permutation", ListOf(tests.permutation, [](const PermutationTest& one) {
             Value value;
             value.Set("parameter", one.parameter);
             value.Set("spread", Number(one.spread));
             value.Set("typical_spread", Number(one.typical_spread));
             value.Set("p", Number(one.p));
             return value;
           }));
  return json;
}

Value Json(const GroupingAnalysis& grouping) {
  Value json;
  json.Set("name", grouping.name);
  json.Set("strata", ListOf(grouping.strata, [](const auto& one) { return Json(one); }));
  json.Set("notes", json_values::Texts(grouping.notes));
  json.Set("fits", ListOf(grouping.fits, [](const auto& one) { return Json(one); }));
  json.Set("strata_tests", ListOf(grouping.strata_tests, [](const auto& one) { return Json(one); }));
  return json;
}

}  // namespace

Value AnalysisJson(const AnalysisReport& analysis) {
  Value json;
  json.Set("laws", ListOf(analysis.laws, [](const auto& one) { return Json(one); }));
  json.Set("comparisons", ListOf(analysis.comparisons, [](const auto& one) { return Json(one); }));
  json.Set("strata", ListOf(analysis.strata, [](const auto& one) { return Json(one); }));
  json.Set("shared_over_strata", ListOf(analysis.shared_over_strata, [](const auto& one) { return Json(one); }));
  json.Set("groupings", ListOf(analysis.groupings, [](const auto& one) { return Json(one); }));
  return json;
}

}  // namespace bitlaw
