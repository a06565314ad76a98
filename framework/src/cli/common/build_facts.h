#pragma once

#include "bitlaw/base/value.h"

namespace bitlaw {

/// Which bitlaw this is: {"bitlaw": version, "revision": of the sources in git, "-dirty" behind it if they were
/// changed; "" where they were built outside of git}.
Value BuildFacts();

}  // namespace bitlaw
