#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// The rows of a Parquet file, each the map that `datasets` writes as a line of JSON: lists as lists, structs as maps,
/// missing values as null. The mark of a row is the file and, for a line, the number of the row from 1.
///
/// What is read is what `datasets`, pandas and pyarrow write of flat columns, lists and structs: data pages of versions
/// 1 and 2; the encodings PLAIN, RLE, dictionary, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY;
/// Snappy, gzip and Zstandard. A moment (TIMESTAMP, DATE) is in milliseconds since 1970, as to_json() has it.
///
/// Errors   Error(kIo), Error(kUnsupported) and Error(kBudget) with file, row group and column for a damaged file, what
/// is not
///          read (maps, decimals, bytes that are no text), and one that unpacks to far more than its size.
/// Source   parquet-format 2.10; lists as its LogicalTypes.md has them; assembly of rows after Melnik et al. 2010,
/// Dremel.
BITLAW_EXPORT std::vector<Value> ReadParquet(const std::filesystem::path& path);

/// The same of bytes in memory.
BITLAW_EXPORT std::vector<Value> ParseParquet(std::string_view bytes, const std::string& path);

}  // namespace bitlaw
