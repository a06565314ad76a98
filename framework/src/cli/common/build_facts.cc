#include "cli/common/build_facts.h"

#include <bitlaw_revision.h>  // framework/cmake/Revision.cmake writes it.

namespace bitlaw {

Value BuildFacts() { return Value::Map{{"bitlaw", BITLAW_VERSION}, {"revision", BITLAW_REVISION}}; }

}  // namespace bitlaw
