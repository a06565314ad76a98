#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace bitlaw {

/// The s that minimizes g^T s + s^T H s / 2 within low <= s <= high, by active sets: bounds are taken on where a step
/// meets them and left where the slope points inwards again, until no slope does (Nocedal and Wright 2006, ch. 16.5).
/// In extended precision, so that normal equations keep the digits that a QR of the Jacobian would.
///
/// Shapes   H [k, k] symmetric; g, low, high, s [k], low <= 0 <= high; either may be infinite.
/// Returns  false, s then being of no use, where H is not positive definite in the directions that are free.
bool StepInBox(std::span<const long double> hessian, std::span<const long double> gradient, std::span<const double> low,
               std::span<const double> high, std::span<double> step);

}  // namespace bitlaw
