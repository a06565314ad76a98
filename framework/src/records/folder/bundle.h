#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/folder/check.h"
#include "records/record_store.h"

namespace bitlaw {

struct BITLAW_EXPORT BundleResult {
  size_t records = 0, files = 0;
  std::vector<DamagedFile> damaged;  ///< Left out.
};

/// Writes the whole records of an output folder with their items, timings and (with `codes`, which checks them) codes
/// into one file for another machine: JSON lines.
///
///   {"bundle": "bitlaw records", "format": 1, "bitlaw": <version>, "record_format": 3}
///   {"path": "records/3f/3f9c....json", "size_bytes": 2000, "sha256": "..."}   a file, in the pieces that follow:
///   {"text": "..."} or {"base64": "..."}
///   {"end": "bitlaw records", "files": 12}
///
/// Sorted by path; the same records give the same bytes. The file is there once all of it is. Error(kIo).
BITLAW_EXPORT BundleResult WriteBundle(const RecordStore& store, const CodesDigestOf& codes, const std::string& version,
                                       const std::filesystem::path& file);

/// The records of a bundle as an output folder, for as long as this object lives.
class BITLAW_EXPORT UnpackedBundle {
 public:
  /// Unpacks into a folder of its own, incoming-<pid>-<number>.tmp, in `beside`, which must be there.
  /// Error(kIo) with file:line for what WriteBundle() did not write, for a file whose digest is not the one that it is
  /// listed with, and for a bundle that was cut off. Nothing outside of the folder is written.
  UnpackedBundle(const std::filesystem::path& file, const std::filesystem::path& beside, size_t number = 0);
  ~UnpackedBundle();
  UnpackedBundle(const UnpackedBundle&) = delete;
  UnpackedBundle& operator=(const UnpackedBundle&) = delete;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void Unpack(const std::filesystem::path& file);
  std::filesystem::path folder_;
};

}  // namespace bitlaw
