#pragma once

#include <cstdint>
#include <filesystem>

#include "bitlaw/api/corpus.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Token sequences as a file of JSON, with their digest.
BITLAW_EXPORT void WriteSequences(const std::filesystem::path& file, const TokenSequences& sequences);

/// Error(kIo) for a file that is not whole, or that holds others than `count` sequences of `length_tokens`.
BITLAW_EXPORT TokenSequences ReadSequences(const std::filesystem::path& file, int64_t count, int64_t length_tokens);

}  // namespace bitlaw
