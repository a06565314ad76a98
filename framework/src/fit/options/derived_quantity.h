#pragma once

#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A function of the parameters with its own interval: "doubling = 2^alpha".
struct BITLAW_EXPORT DerivedQuantity {
  std::string name;
  std::string expression;  ///< Over the names of the parameters.
};
/// Reads "name = expression". Error(kSpec).
BITLAW_EXPORT DerivedQuantity ParseDerived(const std::string& text);

/// A text that ParseDerived() reads as this.
BITLAW_EXPORT std::string Text(const DerivedQuantity& derived);

}  // namespace bitlaw
