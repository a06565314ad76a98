#pragma once

#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// The system's reason for what could not be written, with what to do where a disk is full: "Permission denied.", "No space
/// left on device. Make room ...".
BITLAW_EXPORT std::string WriteFaultText(int reason);

}  // namespace bitlaw
