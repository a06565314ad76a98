#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/estimate/fit_laws.h"
#include "fit/options/fit_settings.h"
#include "records/table.h"

namespace bitlaw {

/// A law over its factor of scale at one value of its factor of precision. Values are acc_adj, or the response where no
/// accuracy follows from it.
struct BITLAW_EXPORT LawCurve {
  double precision = kUnset;  ///< NaN: the law has no factor of precision.
  std::vector<double> x, value;
  /// Prediction interval (LawPredictor) of a model that the law does not know; NaN where there is none.
  std::vector<double> low, high;
};

/// A law over two of its factors, the others at LawPicture::reference (and `at`).
struct BITLAW_EXPORT LawSurface {
  std::string x_column, y_column;
  std::vector<std::pair<std::string, double>> at;  ///< Factors of scale and precision, where they are on no axis.
  std::vector<double> x, y, value;                 ///< [x], [y], [y, x]
};

/// What figures show of a fitted law, by the first of its methods.
struct BITLAW_EXPORT LawPicture {
  std::string law, stratum, method;    ///< MethodFit::title()
  bool of_accuracy = false;
  std::string scale, precision;        ///< Its first covariates of these roles; "": none.
  std::string granularity, calibration;
  /// Each other covariate and the value that most of the fitted rows have (of several, the largest).
  std::vector<std::pair<std::string, double>> reference;
  std::vector<LawCurve> curves;        ///< Rising precision. None without a factor of scale.
  std::vector<LawSurface> surfaces;    ///< (precision, scale), (granularity, calibration): those whose factors vary.
};

/// Of each fit of `fits`, which is FitLaws() of the same arguments; those that could not be fitted have none.
BITLAW_EXPORT std::vector<LawPicture> PictureLaws(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                                                  const FitSettings& settings, const FitReport& fits);

}  // namespace bitlaw
