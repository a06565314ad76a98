#include "bitlaw/api/torch_errors.h"

#include "bitlaw/base/error.h"

namespace bitlaw {

void RethrowTorchError(std::string_view where, std::string_view text) {
  const std::string first_line(text.substr(0, text.find('\n')));
  if (first_line.find("allocate memory") != std::string::npos || first_line.find("out of memory") != std::string::npos) {
    throw Error(ErrorKind::kBudget, std::string(where) + ": memory ran out (" + first_line +
                                        "). Use a smaller batch, a shorter sequence or a smaller model.");
  }
  throw InternalError(std::string(where) + ": libtorch refused an operation: " + first_line);
}

}  // namespace bitlaw
