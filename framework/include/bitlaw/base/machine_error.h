#pragma once

#include <string>

#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// An allocation failed, of the host or of a device: less at once may do.
class BITLAW_EXPORT MemoryError : public Error {
 public:
  explicit MemoryError(const std::string& text) : Error(ErrorKind::kBudget, text) {}
};

/// A device or its driver refused something: a fault of the device, or of a kernel that ran on it. What it answers to this
/// process from then on is worth nothing.
class BITLAW_EXPORT DeviceError : public InternalError {
 public:
  explicit DeviceError(const std::string& text) : InternalError(text) {}
};

}  // namespace bitlaw
