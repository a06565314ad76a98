#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files/file_watch.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Remembers digests that cost minutes, in <output>/digests.json, so that planning reads no weights and draws no
/// calibration tokens. A file's digest is believed as long as its path, size, modification time and inode are the same;
/// where it decides under which name a record is written, its time of status change too. A cache that is missing,
/// malformed, edited or stale costs time, never correctness.
class BITLAW_EXPORT DigestCache {
 public:
  /// Reads `file` if it is there.
  explicit DigestCache(std::filesystem::path file);
  /// Why what stands in the file is not believed, "" if it is.
  const std::string& fault() const { return fault_; }

  /// One digest over the bytes of several files, in this order. Cached: nullopt unless every file is known.
  std::optional<std::string> CachedFiles(const std::vector<std::filesystem::path>& files) const;
  /// Reads what is not known. `watch`: then watches these contents. Error(kIo).
  std::string Files(const std::vector<std::filesystem::path>& files, FileWatch* watch = nullptr);

  /// A digest of something else under a key that determines it.
  std::optional<std::string> CachedEntry(const std::string& key) const;
  void SetEntry(const std::string& key, const std::string& digest);

  /// Writes the file if anything changed, with what other processes put there meanwhile.
  void Save();

 private:
  std::optional<std::string> CachedFile(const std::filesystem::path& file) const;

  std::filesystem::path file_;
  std::string fault_;
  std::map<std::string, WatchedFile> files_;
  std::map<std::string, std::string> entries_;
  bool changed_ = false;
};

}  // namespace bitlaw
