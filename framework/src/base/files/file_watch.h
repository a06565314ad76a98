#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// What the file system says of a file's identity. All -1 for a file that cannot be examined.
struct BITLAW_EXPORT FileStamp {
  int64_t size_bytes = -1, modified_ns = -1, changed_ns = -1, inode = -1;  ///< changed: mode, name or content.
  bool operator==(const FileStamp&) const = default;
  /// The same but for `changed_ns`, which a backup's link or a chmod moves too.
  bool SameButForStatus(const FileStamp& other) const;
};
BITLAW_EXPORT FileStamp StampOf(const std::filesystem::path& file);

/// A file with the digest of the content that it had under a stamp.
struct BITLAW_EXPORT WatchedFile {
  std::filesystem::path path;
  FileStamp stamp;
  std::string digest;
  /// Clocks of file systems tick slowly: a write in the tick of the last one leaves the stamp as it was. True for a
  /// stamp that was taken long enough after the file's last change.
  bool settled = false;
};

/// Takes the stamp and the digest of a file's content. Error(kIo) if it cannot be read, or does not stand still.
BITLAW_EXPORT WatchedFile Watch(const std::filesystem::path& file);

/// Files that are read while numbers are made, and must stay what they were when the numbers' key was taken.
class BITLAW_EXPORT FileWatch {
 public:
  enum class State {
    kSame,
    kTouched,  ///< Written to, or replaced; the content is the one it was.
    kOther,    ///< Another content, or none that can be read.
  };

  FileWatch() = default;
  explicit FileWatch(std::vector<WatchedFile> files) : files_(std::move(files)) {}

  const std::vector<WatchedFile>& files() const { return files_; }

  /// Compares stamps; where one differs, or cannot be told from a later one, content. After kOther `why` names the
  /// first such file and both digests. A file of the same content is watched on under its new stamp.
  State Check(std::string& why);

 private:
  std::vector<WatchedFile> files_;
};

}  // namespace bitlaw
