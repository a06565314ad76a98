#include "bitlaw/api/law.h"

#include "bitlaw/base/error.h"

namespace bitlaw {

double Law::LinearFeatures(std::span<const double>, std::span<double>) const {
  throw InternalError("law '" + name() + "' was asked for the features of a linear form that it does not have");
}

}  // namespace bitlaw
