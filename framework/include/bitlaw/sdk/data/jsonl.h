#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// Limits that keep a wrong or hostile file from filling the memory.
struct BITLAW_EXPORT JsonlLimits {
  int64_t file_bytes = int64_t{4} << 30;
  int64_t line_bytes = int64_t{64} << 20;
};

/// Reads a JSON-lines file: one JSON object a line, UTF-8, LF or CRLF; one whose name ends in .gz is unpacked. Lines of nothing but white space are skipped.
///
/// Each row is a map whose mark is file:line:1.
/// Errors: those of RegularFile; Error(kIo) with file:line for a line that is no JSON object, is not UTF-8, or has a duplicate key;
/// Error(kBudget) for a file or line above its limit.
BITLAW_EXPORT std::vector<Value> ReadJsonl(const std::filesystem::path& path, const JsonlLimits& limits = {});

/// The text of a .txt file as every reader of one sees it, a benchmark's as well as a corpus': ReadTextFile(), and a
/// carriage return that stands alone becomes LF too. Error(kIo) for zero bytes, which UTF-16 and UTF-32 are full of.
BITLAW_EXPORT std::string ReadPlainText(const std::filesystem::path& path, int64_t file_bytes = int64_t{4} << 30);

/// A whole text file: ReadRegularFile(), unpacked if its name ends in .gz, and Error(kIo) if it is not UTF-8.
/// CR LF becomes LF, and a byte-order mark is dropped.
BITLAW_EXPORT std::string ReadTextFile(const std::filesystem::path& path, int64_t file_bytes = int64_t{4} << 30);

}  // namespace bitlaw
