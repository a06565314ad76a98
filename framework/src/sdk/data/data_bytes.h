#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace bitlaw {

/// The bytes of a data file; of one whose name ends in .gz, what it holds. `max_bytes` counts for both.
/// Errors: those of ReadRegularFile() and Gunzip().
std::string ReadDataBytes(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace bitlaw
