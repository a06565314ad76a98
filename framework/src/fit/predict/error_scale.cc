#include "fit/predict/error_scale.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "api/chance_adjusted.h"

namespace bitlaw {

double ErrorScale::operator()(double value) const {
  switch (kind_) {
    case Kind::kLog: return std::log(value);
    case Kind::kResponse: return value;
    case Kind::kAngle: break;
  }
  if (std::isnan(value)) return kUnset;
  return 2 * std::asin(std::sqrt(std::clamp(AccuracyOf(value, chance_), 0.0, 1.0)));
}

double ErrorScale::Slope(double value) const {
  switch (kind_) {
    case Kind::kLog: return 1 / value;
    case Kind::kResponse: return 1;
    case Kind::kAngle: break;
  }
  constexpr double kNearest = 1e-9;  // The slope is infinite at 0 and at 1.
  const double p = std::clamp(AccuracyOf(value, chance_), kNearest, 1 - kNearest);
  return (1 - chance_) / std::sqrt(p * (1 - p));
}

double ErrorScale::Inverse(double z) const {
  switch (kind_) {
    case Kind::kLog: return std::exp(z);
    case Kind::kResponse: return z;
    case Kind::kAngle: break;
  }
  if (std::isnan(z)) return kUnset;
  const double root = std::sin(std::clamp(z, 0.0, std::numbers::pi) / 2);
  return ChanceAdjusted(root * root, chance_);
}

}  // namespace bitlaw
