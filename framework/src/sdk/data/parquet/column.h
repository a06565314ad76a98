#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/value.h"
#include "sdk/data/parquet/encodings.h"
#include "sdk/data/parquet/footer.h"

namespace bitlaw {

/// One leaf of one row group: an entry a value or missing value, with its levels.
struct ParquetColumn {
  std::vector<uint8_t> repetitions, definitions;
  std::vector<Value> values;  ///< Those that are there: entries whose definition is the leaf's highest.
};

/// Reads the pages of a column. `bytes` is the whole file.
///
/// Errors   Error(kIo) "where: what" for damaged pages and counts that disagree; Error(kUnsupported) for encodings and
///          codecs that are not read; Error(kBudget) above `budget`, which is spent.
/// Source   parquet-format 2.10, README.md (Data Pages) and parquet.thrift (PageHeader).
ParquetColumn ReadParquetColumn(std::string_view bytes, const ParquetChunk& chunk, const ParquetLeaf& leaf,
                                const std::string& where, ParquetBudget& budget);

}  // namespace bitlaw
