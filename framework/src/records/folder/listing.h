#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "records/record.h"

namespace bitlaw {

/// What an output folder holds of one record, by the names of files alone.
struct BITLAW_EXPORT RecordFiles {
  bool record = false, timings = false, codes = false;
  std::vector<std::filesystem::path> items;  ///< Of whatever digest; sorted.
};

/// The files of an output folder that belong to records, none of them read.
struct BITLAW_EXPORT FolderListing {
  std::map<std::string, RecordFiles> records;      ///< By the record's digest.
  std::vector<std::filesystem::path> temporaries;  ///< Left half-written: they, or their folder, end in .tmp.
  std::vector<std::filesystem::path> foreign;      ///< Below records/ and timings/, with no name that bitlaw gives.
};

/// Error(kIo) if `output` is no folder, or has no folder records/.
BITLAW_EXPORT FolderListing ListFolder(const std::filesystem::path& output);

/// Whether a path, relative to an output folder and with '/' between its parts, is that of a record, its items, timings
/// or codes.
BITLAW_EXPORT bool IsRecordPath(const std::string& path);

/// Where the codes of a trial are, named by its quantization record.
BITLAW_EXPORT std::filesystem::path CodesPath(const std::filesystem::path& output, const std::string& digest);

/// A record of either kind, or what is known of one of another format.
struct BITLAW_EXPORT AnyRecord {
  std::optional<TaskRecord> task;
  std::optional<QuantizationRecord> quantization;
  int64_t other_format = 0;  ///< Not 0: the record is of that format, and neither of the two above is there.
  Value json;                ///< The whole of it.
};

/// Reads a record's text. One of another format is looked at as far as its key and its content name it.
/// Error(kIo) that begins with `origin` for what is no whole record: ReadTaskRecord() in record.h.
BITLAW_EXPORT AnyRecord ReadAnyRecord(const std::string& text, const std::string& digest, const std::string& origin);

}  // namespace bitlaw
