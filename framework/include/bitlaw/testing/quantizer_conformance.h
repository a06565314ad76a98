#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// What a quantizer does to layers of these shapes against the promises of quantizer.h, one sentence an entry; empty if
/// it keeps them. `make` makes the quantizer afresh. `any_threads`: its bytes do not depend on the number of threads,
/// as those of large BLAS products do.
///
/// Tried: ExplainUnsupported() and Quantize() agree; results valid (QuantizedLinear::Validate) and closer to the
/// weights than zeros are; weights and calibration untouched; the same bytes from another object, the second time and,
/// with any_threads, on another number of threads and on two at once; what depends_on_shape_only() says; bits that are
/// positive; all readers of a site together as QuantizeSite() says.
BITLAW_EXPORT std::vector<std::string> QuantizerFaults(const std::function<std::unique_ptr<Quantizer>()>& make,
                                                       const std::string& name,
                                                       const std::vector<LinearShape>& shapes, bool any_threads = true);

}  // namespace bitlaw::testing
