#include "fit/predict/point_answer.h"

#include <fmt/format.h>

namespace bitlaw {

double StratumAnswer::value() const { return measured.empty() ? prediction.value : measured.front().value; }
Interval StratumAnswer::interval() const { return measured.empty() ? prediction.interval : measured.front().interval; }

std::string StratumAnswer::Warning() const {
  std::string text;
  if (source == Source::kMeasured || source == Source::kNone) return text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  for (const std::string& one : place.outside) add(one);
  if (place.outside.empty() && place.extrapolates())
    add("each factor is within its range, but no row is near this combination");
  for (const std::string& one : place.zones) add(one);
  if (!prediction.why_no_interval.empty()) add("no interval: " + prediction.why_no_interval);
  return text;
}

std::string Name(StratumAnswer::Source source) {
  switch (source) {
    case StratumAnswer::Source::kMeasured: return "measured";
    case StratumAnswer::Source::kInterpolated: return "interpolated";
    case StratumAnswer::Source::kExtrapolated: return "extrapolated";
    case StratumAnswer::Source::kNone: return "none";
  }
  return "";
}

PointAnswer AnswerPoint(const PredictedStudy& study, const LawPoint& point) {
  PointAnswer answer;
  answer.point = point;
  answer.x = CovariatesAt(point, study.law(), study.table());
  std::string unit_name = "model";
  for (const StratumPredictor& stratum : study.strata()) {
    if (stratum.why_none().empty()) unit_name = stratum.predictor().unit_name();
  }
  // Where trials are the units, a model is still a model: what was measured of it is found by its name.
  if (study.table().Find(unit_name) == nullptr) unit_name = "model";
  answer.unit = UnitAt(point, study.law(), study.table(), unit_name, answer.x);
  for (const StratumPredictor& stratum : study.strata()) {
    StratumAnswer& one = answer.strata.emplace_back();
    one.stratum = stratum.stratum();
    one.measured = stratum.Measured(answer.x, unit_name == "model" ? answer.unit : "", point);
    if (!one.measured.empty()) one.source = StratumAnswer::Source::kMeasured;
    if (!stratum.why_none().empty()) {
      one.why_none = stratum.why_none();
      continue;
    }
    one.prediction = stratum.predictor().At(answer.x, answer.unit);
    one.place = stratum.Place(answer.x);
    if (one.source != StratumAnswer::Source::kMeasured)
      one.source =
          one.place.extrapolates() ? StratumAnswer::Source::kExtrapolated : StratumAnswer::Source::kInterpolated;
  }
  return answer;
}

}  // namespace bitlaw
