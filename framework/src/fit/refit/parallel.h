#pragma once

#include <cstddef>
#include <functional>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Calls body(i) for every i below `count`, spread over threads (0: one a core). What body(i) does may depend on i
/// alone; then results do not depend on the number of threads. The first exception, by index, is thrown again.
BITLAW_EXPORT void ParallelFor(size_t count, int threads, const std::function<void(size_t)>& body);

}  // namespace bitlaw
