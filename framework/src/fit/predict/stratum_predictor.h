#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/data/controls.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/strata.h"
#include "fit/predict/coverage.h"
#include "fit/predict/law_point.h"
#include "fit/predict/law_predictor.h"
#include "fit/table/strata_data.h"

namespace bitlaw {

/// Where a point lies among the rows that a law was fitted to.
struct BITLAW_EXPORT PointPlace {
  std::vector<std::string> outside;  ///< "N = 7e+09 is above 55520 to 984448": each factor outside of its range.
  double distance = kUnset;          ///< LawPredictor::Distance(); above 1 outside in sum, if in no factor by itself.
  /// "B == 2: gap": zones with a flag that the point lies in, or between which and the next setting it lies.
  std::vector<std::string> zones;
  bool extrapolates() const { return !outside.empty() || distance > kFarthest; }
  static constexpr double kFarthest = 1.0 + 1e-6;
};

/// What was measured at a point itself, in one stratum.
struct BITLAW_EXPORT MeasuredValue {
  std::string label;                               ///< Of the trial.
  double value = kUnset, standard_error = kUnset;  ///< Of the items.
  Interval interval;                               ///< Of other items like these.
};

/// The interval of an accuracy that was measured: Wilson's (1927, JASA 22:209) of as many items as give this standard
/// error, or of `items` where there is none (all right, all wrong).
BITLAW_EXPORT Interval MeasuredInterval(double acc_adj, double chance, double standard_error, double items,
                                        double level);

/// One law on one stratum, ready to predict: its fit, intervals, ranges and zones.
///   The law must outlive it.
class BITLAW_EXPORT StratumPredictor {
 public:
  StratumPredictor(const Law& law, StratumData data, const FitSettings& settings);

  const std::string& stratum() const { return data_->name; }
  const Table& table() const { return data_->table; }
  const LawFit& fit() const { return fit_; }
  /// Why there are no predictions; only stratum(), table(), fit() and Measured() may be called then.
  const std::string& why_none() const { return why_none_; }
  const MethodFit& method() const { return *fit_.Methods().front(); }
  const LawPredictor& predictor() const { return *predictor_; }
  const std::vector<Zone>& zones() const { return zones_; }

  /// x with what the unquantized model measured in this stratum in place of each anchor (IsAnchorColumn()) that is NaN:
  /// of the model `unit`, or in a table without models of the rows with the point's N. Why the law has no value there is
  /// `why`; an anchor that nothing measured stays NaN.
  std::vector<double> Anchored(std::span<const double> x, const std::string& unit, const LawPoint& point,
                               std::string& why) const;
  PointPlace Place(std::span<const double> x) const;
  /// Trials with this unit and these covariates but anchors (and the point's other words), held out or not.
  std::vector<MeasuredValue> Measured(std::span<const double> x, const std::string& unit, const LawPoint& point) const;
  Coverage LeaveOut(Coverage::LeftOut left_out) const;

 private:
  std::string ZoneNote(std::span<const double> x, const Zone& zone) const;

  const Law& law_;
  std::unique_ptr<StratumData> data_;
  FitSettings settings_;
  LawFit fit_;
  std::string why_none_;
  std::optional<FitProblem> problem_;
  std::unique_ptr<LawPredictor> predictor_;
  std::vector<Zone> zones_;
  std::vector<double> low_, high_;                // Of each covariate, over the fitted rows.
  std::vector<std::vector<double>> settings_of_;  // Of each covariate, rising: its values, where they are few.
};

/// A law on every stratum of a table. Parameters that settings hold must be held in the law already; settings.controls
/// are not used: the law is the one without them.
///   `with_held_out`: rows that the table holds out are fitted like others: whoever decides wants all that is known.
class BITLAW_EXPORT PredictedStudy {
 public:
  PredictedStudy(std::unique_ptr<Law> law, Table table, const FitSettings& settings, bool with_held_out = false);

  const Law& law() const { return *controlled_->laws()[0]; }
  /// All rows, with columns for the comparisons with texts that the law makes.
  const Table& table() const { return controlled_->table(); }
  const std::vector<StratumPredictor>& strata() const { return strata_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::vector<std::unique_ptr<Law>> laws_;
  std::unique_ptr<Table> table_;
  std::unique_ptr<ControlledStudy> controlled_;
  std::vector<StratumPredictor> strata_;
  std::vector<std::string> notes_;
};

}  // namespace bitlaw
