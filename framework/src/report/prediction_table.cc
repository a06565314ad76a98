#include "report/prediction_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fit/table/baseline.h"

namespace bitlaw {

namespace {

// Between(), with as many decimals as the value beside it.
ReportCell Bounds(const Interval& interval) {
  ReportCell cell = Between(interval.low, interval.high);
  if (!cell.parts.empty() && std::isfinite(interval.low) && std::isfinite(interval.high))
    cell.text = fmt::format("[{:.3f}, {:.3f}]", interval.low, interval.high);
  return cell;
}

}  // namespace

ReportTable PredictionTable(const PredictedStudy& study, const std::vector<PointAnswer>& answers, double level) {
  ReportTable table;
  table.name = "predictions";
  const std::string interval = fmt::format("{:.0f} % interval", 100 * level);
  const bool of_accuracy = std::any_of(study.strata().begin(), study.strata().end(), [](const StratumPredictor& one) {
    return one.why_none().empty() && one.predictor().scale().of_accuracy();
  });
  table.header = {"at",           "model",  "stratum", of_accuracy ? "acc_adj" : "response", interval, "law alone",
                  "law response", "source", "warning"};
  const auto& covariates = study.law().covariates();
  const bool is_anchored = std::any_of(covariates.begin(), covariates.end(), IsAnchorColumn);
  if (is_anchored) table.header.insert(table.header.begin() + 3, "unquantized");
  bool any_new = false, any_known = false, any_measured = false;
  for (const PointAnswer& answer : answers) {
    for (const StratumAnswer& one : answer.strata) {
      const Interval bounds = one.interval();
      const bool is_law =
          one.source == StratumAnswer::Source::kInterpolated || one.source == StratumAnswer::Source::kExtrapolated;
      any_measured = any_measured || one.source == StratumAnswer::Source::kMeasured;
      any_known = any_known || (is_law && one.prediction.is_known_unit);
      any_new = any_new || (is_law && !one.prediction.is_known_unit);
      table.rows.push_back({answer.point.Text(), answer.unit.empty() ? "new" : answer.unit, one.stratum,
                            Fixed(one.value(), 3), Bounds(bounds), Fixed(one.prediction.law_value, 3),
                            Significant(one.prediction.response), Name(one.source),
                            one.why_none.empty() ? one.Warning() : one.why_none});
      if (is_anchored) {
        auto& row = table.rows.back();
        row.insert(row.begin() + 3, Fixed(one.anchors.empty() ? kUnset : one.anchors.front().second, 3));
      }
    }
  }
  if (any_measured) {
    table.notes.emplace_back(
        "measured: the recorded value, with the interval of its items; the law's number beside it is no "
        "reason to doubt it");
  }
  if (any_known) {
    table.notes.emplace_back(
        "interpolated or extrapolated, of a model that was fitted: the law, moved by how far it is off "
        "where that model was measured; the interval is of what these items would measure");
  }
  if (any_new) {
    table.notes.emplace_back(
        "of a model that was not fitted: the law alone; the interval has how far models are off the law");
  }
  for (const std::string& note : study.notes()) table.notes.push_back(note);
  return table;
}

ReportTable CoverageTable(const PredictedStudy& study, double level) {
  ReportTable table;
  table.name = "coverage";
  table.header = {"stratum",    "left out",   "predicted",        "held by the interval",
                  "mean width", "mean error", "of the law alone", "failed"};
  using LeftOut = Coverage::LeftOut;
  for (const StratumPredictor& stratum : study.strata()) {
    if (!stratum.why_none().empty()) {
      table.notes.push_back(stratum.stratum() + ": " + stratum.why_none());
      continue;
    }
    for (const LeftOut left_out : {LeftOut::kConfiguration, LeftOut::kPrecision, LeftOut::kUnit}) {
      const Coverage coverage = stratum.LeaveOut(left_out);
      if (!coverage.why_none.empty()) continue;
      table.rows.push_back({stratum.stratum(), "one " + Name(left_out),
                            Whole(static_cast<double>(coverage.rows.size())), Fixed(coverage.share(), 3),
                            Fixed(coverage.mean_width(), 3), Fixed(coverage.mean_error(), 3),
                            Fixed(coverage.mean_law_error(), 3), Whole(static_cast<double>(coverage.failed))});
    }
  }
  table.notes.push_back(fmt::format(
      "each is left out, the law fitted again, and predicted; intervals are to hold {:.0f} %", 100 * level));
  return table;
}

}  // namespace bitlaw
