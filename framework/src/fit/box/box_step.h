#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// The s that minimizes g^T s + s^T H s / 2 within low <= s <= high, by active sets: bounds are taken on where a step
/// meets them and left where the slope points inwards again, until no slope does (Nocedal and Wright 2006, ch. 16.5).
/// In extended precision, so that normal equations keep the digits that a QR of the Jacobian would.
///
/// Shapes   H [k, k] symmetric; g, low, high, s [k], low <= 0 <= high; either may be infinite.
/// Returns  false, s then being of no use, where H is not positive definite in the directions that are free.
bool StepInBox(std::span<const long double> hessian, std::span<const long double> gradient, std::span<const double> low,
               std::span<const double> high, std::span<double> step);

/// A residual along a direction, z + t along, of which h is Huber's loss.
struct KneeRow {
  double z = 0, along = 0;
  double pull = 0;  ///< along, as often as the row counts.
  double psi = 0;   ///< h'(z).
};

/// The t in (0, 1] at which sum_i h(z_i + t along_i) + c t^2 / 2 is lowest, 1 if it still falls there. Its slope is
/// piecewise straight and rises: rows that are straight between the ends of a bracket are summed once, the bracket is
/// narrowed over the others, and where none is left the zero is solved for. About two sums over all rows.
///
/// rows      Those that change their slope or are within the knee somewhere on the way; used up.
/// initial   The slope at t = 0, below 0, of all rows, also of those that are left out.
/// curved    c.
BITLAW_EXPORT double ShareToLowest(std::vector<KneeRow>& rows, double knee, long double initial, long double curved);

}  // namespace bitlaw
