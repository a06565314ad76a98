#pragma once

#include <span>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Which rows lie outside of a law's domain, whatever its parameters are: D = 0 in B * D^-beta, N = -1 in N^alpha.
///
/// Known from Predict() alone, so that it holds for every law. A row is outside
///   - if no probe of the parameters gives it a finite value and gradient, though one gives other rows such; or
///   - if there is a direction along which the parameters may shrink towards 0 (or their bounds) where the row's value
///     is infinite however small they are and that of other rows is not: a pole. 0^-beta has one for beta > 0, and
///     where bounds keep beta negative none, so that such a row stays.
/// A value that is merely large, or undefined for some parameters (log(a + b * N)), is no reason.
///
/// x [n, c] row by row; c is law.covariates().size(). The result has a slot a row.
BITLAW_EXPORT std::vector<bool> OutsideDomain(const Law& law, std::span<const double> x);

}  // namespace bitlaw
