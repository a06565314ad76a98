#include "fit/study/law_pictures.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/data/controls.h"
#include "fit/predict/law_predictor.h"
#include "fit/solve/fit_problem.h"
#include "fit/table/strata_data.h"

namespace bitlaw {

namespace {

constexpr size_t kCurvePoints = 41, kSurfacePoints = 31, kMostCurves = 7;

// Evenly spaced, in the logarithm where both ends are positive.
std::vector<double> Steps(double low, double high, size_t count) {
  std::vector<double> steps;
  const bool of_log = low > 0;
  for (size_t i = 0; i < count; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count - 1);
    steps.push_back(i + 1 == count ? high
                    : of_log       ? low * std::pow(high / low, share)
                                   : low + (high - low) * share);
  }
  return steps;
}

// A few of many, the ends among them.
std::vector<double> Some(const std::set<double>& values) {
  std::vector<double> all(values.begin(), values.end());
  if (all.size() <= kMostCurves) return all;
  std::vector<double> some;
  for (size_t i = 0; i < kMostCurves; ++i) some.push_back(all[i * (all.size() - 1) / (kMostCurves - 1)]);
  return some;
}

class Painter {
 public:
  Painter(const FitProblem& problem, const Table& table, const FitSettings& settings, const LawFit& fit)
      : problem_(problem), law_(problem.law()), predictor_(problem, table, settings, *fit.Methods().front()),
        theta_(fit.Methods().front()->theta()) {
    picture_.law = fit.law, picture_.stratum = fit.stratum, picture_.method = fit.Methods().front()->title();
    picture_.of_accuracy = predictor_.scale().of_accuracy();
    const auto first = [&](FactorRole role) {
      const std::vector<std::string> columns = settings.roles.CovariatesOf(law_, role);
      return columns.empty() ? std::string() : columns.front();
    };
    picture_.scale = first(FactorRole::kScale), picture_.precision = first(FactorRole::kPrecision);
    picture_.granularity = first(FactorRole::kGranularity), picture_.calibration = first(FactorRole::kCalibration);
    const size_t c = law_.covariates().size();
    values_.resize(c);
    for (size_t i = 0; i < problem.rows().size(); ++i) {
      for (size_t j = 0; j < c; ++j) ++values_[j][problem.rows().row(i, c)[j]];
    }
    for (size_t j = 0; j < c; ++j) {
      double most = kUnset;
      size_t times = 0;
      for (const auto& [value, count] : values_[j]) {
        if (count >= times) most = value, times = count;
      }
      reference_.push_back(most);
      const std::string& name = law_.covariates()[j];
      if (name != picture_.scale && name != picture_.precision) picture_.reference.emplace_back(name, most);
    }
    const LawRows& selected = problem.selected();
    for (size_t i = 0; i < selected.held_out.size(); ++i) {
      for (size_t j = 0; j < c; ++j) ++values_[j][selected.held_out.row(i, c)[j]];
    }
  }

  LawPicture Paint() {
    AddCurves();
    AddSurface(picture_.precision, picture_.scale);
    AddSurface(picture_.granularity, picture_.calibration);
    return std::move(picture_);
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  size_t PlaceOf(const std::string& column) const {
    const auto covariates = law_.covariates();
    const auto at = std::find(covariates.begin(), covariates.end(), column);
    return column.empty() || at == covariates.end() ? kNone : static_cast<size_t>(at - covariates.begin());
  }

  std::set<double> ValuesOf(size_t place) const {
    std::set<double> values;
    for (const auto& [value, count] : values_[place]) values.insert(value);
    return values;
  }

  double MiddleOf(size_t place) const {
    const std::set<double> values = ValuesOf(place);
    return *std::next(values.begin(), static_cast<std::ptrdiff_t>((values.size() - 1) / 2));
  }

  void AddCurves() {
    const size_t scale = PlaceOf(picture_.scale), precision = PlaceOf(picture_.precision);
    if (scale == kNone || values_[scale].size() < 2) return;
    const std::vector<double> along = Steps(values_[scale].begin()->first, values_[scale].rbegin()->first, kCurvePoints);
    std::vector<double> of = {kUnset};
    if (precision != kNone) of = Some(ValuesOf(precision));
    for (const double value : of) {
      LawCurve curve;
      curve.precision = value;
      std::vector<double> x = reference_;
      if (precision != kNone) x[precision] = value;
      for (const double at : along) {
        x[scale] = at;
        const LawPrediction there = predictor_.At(x);
        curve.x.push_back(at), curve.value.push_back(there.law_value);
        curve.low.push_back(there.interval.low), curve.high.push_back(there.interval.high);
      }
      picture_.curves.push_back(std::move(curve));
    }
  }

  void AddSurface(const std::string& x_column, const std::string& y_column) {
    const size_t j = PlaceOf(x_column), i = PlaceOf(y_column);
    if (j == kNone || i == kNone || values_[j].size() < 2 || values_[i].size() < 2) return;
    LawSurface surface;
    surface.x_column = x_column, surface.y_column = y_column;
    surface.x = Steps(values_[j].begin()->first, values_[j].rbegin()->first, kSurfacePoints);
    surface.y = Steps(values_[i].begin()->first, values_[i].rbegin()->first, kSurfacePoints);
    std::vector<double> x = reference_;
    for (const std::string& column : {picture_.scale, picture_.precision}) {
      const size_t place = PlaceOf(column);
      if (place == kNone || place == i || place == j) continue;
      x[place] = MiddleOf(place);
      surface.at.emplace_back(column, x[place]);
    }
    for (const double y : surface.y) {
      for (const double across : surface.x) {
        x[j] = across, x[i] = y;
        const double response = law_.Predict(theta_, x, {});
        surface.value.push_back(picture_.of_accuracy ? problem_.inverse()(response) : response);
      }
    }
    picture_.surfaces.push_back(std::move(surface));
  }

  const FitProblem& problem_;
  const Law& law_;
  const LawPredictor predictor_;
  const std::vector<double> theta_;
  std::vector<std::map<double, size_t>> values_;  // Of each covariate, and how many rows have it.
  std::vector<double> reference_;
  LawPicture picture_;
};

}  // namespace

std::vector<LawPicture> PictureLaws(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                                    const FitSettings& settings, const FitReport& fits) {
  const ControlledStudy study(laws, table, settings.controls);
  const StrataData data = SplitStrata(study.table(), settings.average_tasks);
  std::vector<LawPicture> pictures;
  size_t at = 0;
  for (const Law* law : study.laws()) {
    for (const StratumData& stratum : data.strata) {
      if (at == fits.fits.size()) throw InternalError("PictureLaws: the fits are of other laws or another table");
      const LawFit& fit = fits.fits[at++];
      if (fit.Methods().empty()) continue;
      const FitProblem problem(*law, stratum.table, settings, fit.Methods().front()->procedure);
      pictures.push_back(Painter(problem, stratum.table, settings, fit).Paint());
    }
  }
  return pictures;
}

}  // namespace bitlaw
