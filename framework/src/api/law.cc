#include "bitlaw/api/law.h"

#include <algorithm>
#include <vector>

#include "bitlaw/base/error.h"

namespace bitlaw {

double Law::LinearFeatures(std::span<const double>, std::span<double>) const {
  throw InternalError("law '" + name() + "' was asked for the features of a linear form that it does not have");
}

long double Law::LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const {
  std::vector<double> rounded(features.size());
  const double offset = LinearFeatures(x, rounded);
  std::copy(rounded.begin(), rounded.end(), features.begin());
  return offset;
}

}  // namespace bitlaw
