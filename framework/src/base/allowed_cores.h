#pragma once

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Cores that this process may use; 1 at least.
BITLAW_EXPORT int AllowedCores();

}  // namespace bitlaw
