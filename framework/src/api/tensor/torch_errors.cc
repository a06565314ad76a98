#include "bitlaw/api/torch_errors.h"

#include "bitlaw/base/machine_error.h"

namespace bitlaw {

void RethrowTorchError(std::string_view where, std::string_view text) {
  const std::string first_line(text.substr(0, text.find('\n')));
  const auto says = [&](const char* words) { return first_line.find(words) != std::string::npos; };
  if (says("busy or unavailable")) {
    throw Error(ErrorKind::kBudget, std::string(where) + ": the device is busy or unavailable: another program holds it for itself "
                                        "alone. Wait for it, or use another device.");
  }
  if (says("allocate memory") || says("out of memory") || says("STATUS_ALLOC_FAILED")) {
    throw MemoryError(std::string(where) + ": memory ran out (" + first_line +
                      "). Use a smaller batch, a shorter sequence or a smaller model.");
  }
  // "CUDA error: an illegal memory access was encountered", "CUDA driver error: ...", "cuDNN error: CUDNN_STATUS_...".
  for (const char* words : {"CUDA error", "CUDA driver error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "CUSOLVER_STATUS_"}) {
    if (says(words)) throw DeviceError(std::string(where) + ": the device failed: " + first_line);
  }
  throw InternalError(std::string(where) + ": libtorch refused an operation: " + first_line);
}

}  // namespace bitlaw
