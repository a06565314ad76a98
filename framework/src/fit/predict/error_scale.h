#pragma once

#include "bitlaw/base/export.h"
#include "fit/table/unset.h"

namespace bitlaw {

/// The scale on which errors of predictions are alike whatever is predicted.
///
///     accuracies  z = 2 asin(sqrt(p)), p = chance + (1 - chance) acc_adj: the variance of a share of n items is 1 / n
///                 there, at 0.02 as at 0.98 (Anscombe 1948, Biometrika 35:246)
///     losses      z = ln y where every response is positive, else y
class BITLAW_EXPORT ErrorScale {
 public:
  enum class Kind { kAngle, kLog, kResponse };
  explicit ErrorScale(Kind kind = Kind::kAngle, double chance = 0) : kind_(kind), chance_(chance) {}

  Kind kind() const { return kind_; }
  bool of_accuracy() const { return kind_ == Kind::kAngle; }
  /// z of acc_adj (of the response where it is no accuracy). Accuracies beyond 0 and 1 count as these.
  double operator()(double value) const;
  /// dz / d value.
  double Slope(double value) const;
  /// The value at z; beyond the ends of the scale the value at the end.
  double Inverse(double z) const;

 private:
  Kind kind_;
  double chance_;
};

}  // namespace bitlaw
