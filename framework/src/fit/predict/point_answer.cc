#include "fit/predict/point_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/table/baseline.h"

namespace bitlaw {

namespace {

// Models with an anchor in some stratum.
std::vector<std::string> AnchoredModels(const PredictedStudy& study, const std::string& anchor) {
  std::set<std::string> names;
  for (const StratumPredictor& stratum : study.strata()) {
    for (size_t row = 0; row < stratum.table().rows(); ++row) {
      if (stratum.table().NumberAt(anchor, row) > 0) names.insert(stratum.table().TextAt("model", row));
    }
  }
  names.erase("");
  return {names.begin(), names.end()};
}

[[noreturn]] void RefuseWithoutAnchor(const PredictedStudy& study, const PointAnswer& answer) {
  const auto& covariates = study.law().covariates();
  std::string anchor;
  for (size_t j = 0; j < covariates.size(); ++j) {
    if (IsAnchorColumn(covariates[j]) && std::isnan(answer.x[j])) anchor = covariates[j];
  }
  const std::vector<std::string> models = AnchoredModels(study, anchor);
  const std::string who = answer.unit.empty() ? "the point is of no recorded model"
                                              : "model '" + answer.unit + "' is not recorded unquantized";
  const std::string name = answer.unit.empty() ? "NAME" : answer.unit;
  throw Error(ErrorKind::kSpec,
              fmt::format("--at '{}': law '{}' starts from what the unquantized model measures ({}), and {}. Run it, "
                          "'bitlaw run STUDY.yaml --only \"{} none\"', or give {}=VALUE.{}",
                          answer.point.Text(), study.law().name(), anchor, who, name, anchor,
                          models.empty() ? "" : " Recorded unquantized: " + JoinNames(models) + "."));
}

}  // namespace

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
  bool has_anchor = study.strata().empty();
  for (const StratumPredictor& stratum : study.strata()) {
    StratumAnswer& one = answer.strata.emplace_back();
    one.stratum = stratum.stratum();
    one.measured = stratum.Measured(answer.x, unit_name == "model" ? answer.unit : "", point);
    if (!one.measured.empty()) one.source = StratumAnswer::Source::kMeasured;
    std::string why;
    const std::vector<double> x = stratum.Anchored(answer.x, answer.unit, point, why);
    has_anchor = has_anchor || std::none_of(x.begin(), x.end(), [](double value) { return std::isnan(value); });
    if (!stratum.why_none().empty() || !why.empty()) {
      one.why_none = stratum.why_none().empty() ? why : stratum.why_none();
      continue;
    }
    for (size_t j = 0; j < x.size(); ++j) {
      if (IsAnchorColumn(study.law().covariates()[j])) one.anchors.emplace_back(study.law().covariates()[j], x[j]);
    }
    one.prediction = stratum.predictor().At(x, answer.unit);
    one.place = stratum.Place(x);
    if (one.source != StratumAnswer::Source::kMeasured)
      one.source =
          one.place.extrapolates() ? StratumAnswer::Source::kExtrapolated : StratumAnswer::Source::kInterpolated;
  }
  if (!has_anchor) RefuseWithoutAnchor(study, answer);
  return answer;
}

}  // namespace bitlaw
