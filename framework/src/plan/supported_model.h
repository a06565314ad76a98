#pragma once

#include <filesystem>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Throws what keeps a backend from opening a checkpoint: its own error, so that a broken file is Error(kIo) and not
/// something unsupported; Error(kUnsupported) with ExplainUnsupported()'s text for the rest.
BITLAW_EXPORT void RequireSupported(const ModelBackend& backend, const std::filesystem::path& path);

}  // namespace bitlaw
