#include "plan/supported_model.h"

#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

void RequireSupported(const ModelBackend& backend, const std::filesystem::path& path) {
  const std::string reason = backend.ExplainUnsupported(path);
  if (reason.empty()) return;
  // A broken file says so itself, with its own kind of error; what is only not supported keeps the reason.
  try {
    backend.Inspect(path);
    backend.OpenTokenizer(path);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
  }
  throw Error(ErrorKind::kUnsupported, reason.find(path.string()) == std::string::npos
                                           ? path.string() + ": " + reason
                                           : reason);
}

}  // namespace bitlaw
