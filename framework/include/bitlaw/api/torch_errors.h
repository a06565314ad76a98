#pragma once

#include <c10/util/Exception.h>

#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Throws what the c10::Error `text` means in bitlaw's words: MemoryError if memory ran out, Error(kBudget) if another
/// program holds the device, DeviceError if CUDA or one of its libraries failed (bitlaw/base/machine_error.h), otherwise an
/// InternalError, because inputs are checked before they reach libtorch. Only the first line of `text` is kept.
[[noreturn]] BITLAW_EXPORT void RethrowTorchError(std::string_view where, std::string_view text);

/// Runs `body` so that no exception of libtorch leaves it. For the boundaries of a component.
template <typename Body>
auto WithTorchErrors(std::string_view where, Body&& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    RethrowTorchError(where, error.what_without_backtrace());
  }
}

}  // namespace bitlaw
