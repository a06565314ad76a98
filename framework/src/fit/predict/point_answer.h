#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/predict/stratum_predictor.h"

namespace bitlaw {

/// What is known of one point in one stratum: what was measured there, and what a law says.
struct BITLAW_EXPORT StratumAnswer {
  enum class Source { kMeasured, kInterpolated, kExtrapolated, kNone };
  std::string stratum;
  Source source = Source::kNone;
  std::string why_none;  ///< Why there is neither a measurement nor a prediction.
  std::vector<MeasuredValue> measured;
  LawPrediction prediction;
  PointPlace place;
  /// Of an anchored law: what the unquantized model has in this stratum, by the name of the covariate.
  std::vector<std::pair<std::string, double>> anchors;
  /// The measurement (the first of several) where there is one, never the law's: a law is off where it was fitted, too.
  double value() const;
  Interval interval() const;
  /// "N = 7e+09 is above 55520 to 984448; B == 2: gap": what a reader must know before using a law's number; "" for
  /// none and for what was measured.
  std::string Warning() const;
};
BITLAW_EXPORT std::string Name(StratumAnswer::Source source);  ///< "measured", "interpolated", ...

struct BITLAW_EXPORT PointAnswer {
  LawPoint point;
  std::vector<double> x;  ///< The law's covariates; NaN for anchors that each stratum has (StratumAnswer::anchors).
  std::string unit;       ///< The model that it means; "" for none that is in the table.
  std::vector<StratumAnswer> strata;
};
/// Error(kSpec) as CovariatesAt() and UnitAt() have them, and for a point of a model whose unquantized trial, on which
/// the law is anchored, no stratum has.
BITLAW_EXPORT PointAnswer AnswerPoint(const PredictedStudy& study, const LawPoint& point);

}  // namespace bitlaw
