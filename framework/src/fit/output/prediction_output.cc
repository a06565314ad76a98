#include "fit/output/prediction_output.h"

#include "fit/output/json_values.h"

namespace bitlaw {

namespace {

Value MeasuredJson(const MeasuredValue& measured) {
  return JsonObject({{"label", measured.label},
                     {"value", measured.value},
                     {"standard_error", measured.standard_error},
                     {"low", measured.interval.low},
                     {"high", measured.interval.high}});
}

Value TextsJson(const std::vector<std::string>& texts) { return Value(Value::List(texts.begin(), texts.end())); }

Value StratumJson(const StratumAnswer& answer) {
  const Interval interval = answer.interval();
  Value json = JsonObject({{"stratum", answer.stratum},
                           {"source", Name(answer.source)},
                           {"value", answer.value()},
                           {"low", interval.low},
                           {"high", interval.high}});
  Value::List measured;
  for (const MeasuredValue& one : answer.measured) measured.push_back(MeasuredJson(one));
  json.Set("measured", Value(std::move(measured)));
  const LawPrediction& law = answer.prediction;
  json.Set("law", JsonObject({{"response", law.response},
                              {"law_value", law.law_value},
                              {"value", law.value},
                              {"low", law.interval.low},
                              {"high", law.interval.high},
                              {"is_known_unit", law.is_known_unit},
                              {"why_no_interval", law.why_no_interval}}));
  for (const auto& [name, value] : answer.anchors) json.Set(name, Json(value));
  json.Set("outside", TextsJson(answer.place.outside));
  json.Set("distance", Json(answer.place.distance));
  json.Set("zones", TextsJson(answer.place.zones));
  json.Set("why_none", answer.why_none);
  return json;
}

}  // namespace

Value PredictionsJson(const PredictedStudy& study, const std::vector<PointAnswer>& answers, double level) {
  Value::List points;
  for (const PointAnswer& answer : answers) {
    Value at = Value::Map{};
    for (const auto& [name, word] : answer.point.words) at.Set(name, word);
    for (const auto& [name, number] : answer.point.numbers) at.Set(name, number);
    for (size_t j = 0; j < answer.x.size(); ++j) at.Set(study.law().covariates()[j], Json(answer.x[j]));
    Value::List strata;
    for (const StratumAnswer& one : answer.strata) strata.push_back(StratumJson(one));
    points.push_back(Value::Map{{"at", std::move(at)}, {"model", answer.unit}, {"strata", Value(std::move(strata))}});
  }
  Value::List fits;
  for (const StratumPredictor& one : study.strata()) {
    Value fit = Value::Map{{"stratum", one.stratum()}, {"why_none", one.why_none()}};
    if (one.why_none().empty()) {
      const LawPredictor& predictor = one.predictor();
      const LawPredictor::Scatter scatter = predictor.scatter();
      fit.Set("method", one.method().method());
      fit.Set("rows", Json(one.method().rows));
      fit.Set("unit", predictor.unit_name());
      fit.Set("units", Json(predictor.units()));
      fit.Set("scatter", JsonObject({{"unit", scatter.unit}, {"precision", scatter.cell}, {"row", scatter.row}}));
    }
    fits.push_back(std::move(fit));
  }
  return Value::Map{{"format", 1},
                    {"law", study.law().name()},
                    {"formula", study.law().formula_text()},
                    {"response", study.law().response()},
                    {"confidence", level},
                    {"fits", Value(std::move(fits))},
                    {"points", Value(std::move(points))}};
}

Value CoverageJson(const std::string& stratum, const Coverage& coverage) {
  Value json = JsonObject({{"stratum", stratum},
                           {"left_out", Name(coverage.left_out)},
                           {"why_none", coverage.why_none},
                           {"rows", coverage.rows.size()},
                           {"failed", coverage.failed},
                           {"level", coverage.level},
                           {"covered", coverage.share()},
                           {"mean_width", coverage.mean_width()},
                           {"mean_error", coverage.mean_error()},
                           {"mean_law_error", coverage.mean_law_error()}});
  return json;
}

}  // namespace bitlaw
