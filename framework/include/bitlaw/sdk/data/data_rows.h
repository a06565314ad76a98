#pragma once

#include <filesystem>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// The rows of a benchmark's data file, each a map whose mark is its place, by the file's ending:
///
///   .csv      RFC 4180 with a header line: commas, quotes doubled inside of quotes, line ends within quotes
///   .tsv      a header line, fields between tabs as they stand: no quotes, no escapes
///   .parquet  what `datasets`, pandas and pyarrow write: lists, structs and null as JSON has them, moments in
///             milliseconds since 1970; the mark's line is the number of the row
///   .json     a list of JSON objects, whose marks have the number of the row, or JSON lines
///   .arrow    is refused with how to make Parquet of it
///   else      JSON lines (jsonl.h)
///
/// All but .parquet may end in .gz in addition, and is then unpacked as it is read.
///
/// Cells are texts, except that whole numbers as a program writes them ("0", "-7", "120") are integers: an answer's
/// index must be one, and in a prompt both read the same. UTF-8; a byte-order mark is dropped; lines without anything
/// are skipped. Errors: Error(kIo) with file:line:column for a row of another length than the header, an unclosed
/// or stray quote, an empty or repeated name, and what ReadTextFile() refuses.
BITLAW_EXPORT std::vector<Value> ReadRows(const std::filesystem::path& path);

}  // namespace bitlaw
