#pragma once

#include <string>

#include "bitlaw/base/export.h"
#include "bitlaw/sdk/expression/expression.h"

namespace bitlaw {

/// acc_adj for a value of the response, where the response is an expression of acc_adj alone and monotone on (0, 1).
/// exp(-r) for -log(acc_adj) and r for acc_adj itself; otherwise found by bisection. Values of the response that none
/// on (0, 1) has give the nearest end.
class BITLAW_EXPORT ResponseInverse {
 public:
  explicit ResponseInverse(const std::string& response);
  bool exists() const { return exists_; }
  /// NaN if it does not exist or for NaN. `slope`, if given, receives d acc_adj / d response; 0 beyond the ends.
  double operator()(double response, double* slope = nullptr) const;

 private:
  enum class Shape { kMinusLog, kIdentity, kOther };
  Shape shape_ = Shape::kOther;
  CompiledExpression response_;
  bool exists_ = false, rising_ = false;
};

}  // namespace bitlaw
