#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Writes `bytes` to `path` and returns when they are on the disk: temporary file in the same folder, fsync, rename,
/// fsync of the folder. Killed at any moment, `path` holds either what it held before or all of `bytes`.
/// Makes missing parent folders, but not `within`, a folder that somebody may delete meanwhile and that must not come
/// back. Error(kIo) with the system's reason.
BITLAW_EXPORT void WriteDurably(const std::filesystem::path& path, std::string_view bytes,
                                const std::filesystem::path& within = {});

/// The bytes of a file, of 4 GiB at most; errors as ReadRegularFile().
BITLAW_EXPORT std::string ReadWholeFile(const std::filesystem::path& path);

}  // namespace bitlaw
