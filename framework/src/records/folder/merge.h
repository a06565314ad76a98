#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "records/folder/check.h"
#include "records/record_store.h"

namespace bitlaw {

/// What two records of one key say differently, the names of fields; empty where they measured the same. Who made a
/// record, and what it says of model, factors and task for people, does not count: two studies may share a record.
BITLAW_EXPORT std::vector<std::string> MeasuredDifferences(const Value& a, const Value& b);

/// A folder to take records from.
struct BITLAW_EXPORT MergeSource {
  std::filesystem::path folder;
  std::string bundle{};  ///< The file that it was unpacked of, for error texts; "" if it was none.
};

struct BITLAW_EXPORT MergeOptions {
  bool keep_first = false;  ///< Of two records with other content the one in `into`, or of the first source, stays.
  CodesDigestOf codes{};    ///< Checks codes before they are copied. Null: they are left behind.
};

struct BITLAW_EXPORT MergeResult {
  size_t tasks = 0, quantizations = 0;      ///< Records that are new in `into`.
  size_t timings = 0, codes = 0;            ///< Files that are.
  size_t present = 0;                       ///< Records that were there with the same content.
  size_t kept = 0;                          ///< With MergeOptions::keep_first: that were there with another one.
  std::map<int64_t, size_t> other_formats;  ///< Format -> records that were left where they are.
  std::vector<DamagedFile> damaged;         ///< Of sources: left where they are.
};

/// Copies the records of output folders, with their items, timings and codes, into the one of `into`, which is made if
/// it is missing. No file there is overwritten, and processes that work in it may go on; a damaged record there makes
/// room. All sources are read and compared before anything is written.
///
/// Errors  Error(kIo) that names both files, and what they say differently, if two records of one key measured
/// something
///         else; for a source that is no output folder or is `into` itself; for imported records, which `bitlaw import`
///         files with their tables.
BITLAW_EXPORT MergeResult MergeFolders(const std::vector<MergeSource>& from, const RecordStore& into,
                                       const MergeOptions& options);

}  // namespace bitlaw
