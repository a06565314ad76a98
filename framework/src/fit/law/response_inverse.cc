#include "fit/law/response_inverse.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace bitlaw {

ResponseInverse::ResponseInverse(const std::string& response) {
  const Expression expression = Expression::Parse(response);
  if (expression.names() != std::vector<std::string>{"acc_adj"}) return;
  const std::vector<std::string> scope = {"acc_adj"};
  response_ = expression.Compile(scope);
  double last = std::numeric_limits<double>::quiet_NaN();
  int ups = 0, downs = 0;
  for (int i = 1; i < 200; ++i) {
    const std::vector<double> at = {i / 200.0};
    const double value = response_.Number(at);
    if (!std::isfinite(value)) return;
    if (value > last) ++ups;
    if (value < last) ++downs;
    last = value;
  }
  rising_ = ups == 198;
  exists_ = ups == 198 || downs == 198;
  const std::string text = expression.Text();
  if (text == "-log(acc_adj)") shape_ = Shape::kMinusLog;
  if (text == "acc_adj") shape_ = Shape::kIdentity;
}

double ResponseInverse::operator()(double response, double* slope) const {
  if (slope != nullptr) *slope = 0;
  if (!exists_ || std::isnan(response)) return std::numeric_limits<double>::quiet_NaN();
  double accuracy = 0;
  switch (shape_) {
    case Shape::kMinusLog:
      if (response <= 0) return 1;
      accuracy = std::exp(-response);
      if (slope != nullptr) *slope = -accuracy;
      return accuracy;
    case Shape::kIdentity:
      if (slope != nullptr && response > 0 && response < 1) *slope = 1;
      return std::clamp(response, 0.0, 1.0);
    case Shape::kOther: break;
  }
  double low = 0, high = 1;
  for (int i = 0; i < 64 && high - low > 1e-16 * high; ++i) {
    const double middle = low + (high - low) / 2;
    const double value = response_.Number({&middle, 1});
    ((value < response) == rising_ ? low : high) = middle;
  }
  accuracy = low + (high - low) / 2;
  if (slope != nullptr && low > 0 && high < 1) {
    double derivative = 0;
    response_.Number({&accuracy, 1}, {}, {&derivative, 1});
    *slope = 1 / derivative;
  }
  return accuracy;
}

}  // namespace bitlaw
