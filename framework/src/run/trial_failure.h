#pragma once

#include <exception>
#include <functional>

#include "bitlaw/base/export.h"
#include "run/worker_message.h"

namespace bitlaw {

/// What a worker tells of an exception that ended its trial: its text, and as its kind what the table of failures in
/// docs/records.md says. By the exception's type; of libtorch's own exceptions by their text, as RethrowTorchError() reads
/// it. After a DeviceError the worker is spent.
BITLAW_EXPORT WorkerMessage FailureOf(const std::exception_ptr& exception);

/// Of an exception that nobody catches, on whatever thread: where it is for want of memory, or of the device, `tell` is
/// given its failure, and the process ends; any other one aborts the process as before. Until the process ends.
BITLAW_EXPORT void TellOfUncaught(std::function<void(const WorkerMessage& failure)> tell);

}  // namespace bitlaw
