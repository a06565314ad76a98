#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Remembers digests that cost minutes, in <output>/digests.json, so that planning reads no weights and draws no
/// calibration tokens. A file's digest is believed as long as its path, size and modification time are the same.
/// A cache that is missing, malformed or stale costs time, never correctness.
class BITLAW_EXPORT DigestCache {
 public:
  /// Reads `file` if it is there.
  explicit DigestCache(std::filesystem::path file);

  /// One digest over the bytes of several files, in this order. Cached: nullopt unless every file is known.
  std::optional<std::string> CachedFiles(const std::vector<std::filesystem::path>& files) const;
  /// Reads what is not known. Error(kIo).
  std::string Files(const std::vector<std::filesystem::path>& files);

  /// A digest of something else under a key that determines it.
  std::optional<std::string> CachedEntry(const std::string& key) const;
  void SetEntry(const std::string& key, const std::string& digest);

  /// Writes the file if anything changed.
  void Save();

 private:
  struct Known {
    int64_t size_bytes = 0, modified_ns = 0;
    std::string digest;
  };
  std::optional<std::string> CachedFile(const std::filesystem::path& file) const;

  std::filesystem::path file_;
  std::map<std::string, Known> files_;
  std::map<std::string, std::string> entries_;
  bool changed_ = false;
};

}  // namespace bitlaw
