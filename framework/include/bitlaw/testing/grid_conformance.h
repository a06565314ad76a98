#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// What a grid does against the promises of WeightGrid, one sentence an entry; empty if it keeps them.
///
/// Groups are on the grid of a tensor that is the group alone, where it has one (WeightGrid::ForTensor()). What
/// ForSite() gives of several tensors is what it gives of them in another order and, of a tensor and a smaller one,
/// what ForTensor() gives of the first.
/// Tried: levels (finite, ascending, no more than `bits` hold); parameters (positive and finite scales, exact in their
/// type; whole zeros in range; the same for one group alone and among others, twice); every code against all others by
/// brute force; the code of each code's value; a group times a power of two; effective bits, at least those of code and
/// scale.
BITLAW_EXPORT std::vector<std::string> GridFaults(const WeightGrid& given, const std::string& name);

}  // namespace bitlaw::testing
