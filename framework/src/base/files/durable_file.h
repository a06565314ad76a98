#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// What of a file is on the disk, and not in the system's memory alone, when it is said to be written. A killed process
/// loses nothing of any; what a machine loses that stops, power and all, is said here.
enum class Synced {
  kFileAndFolder,  ///< Nothing.
  kFile,           ///< Its name, until the folder is synced: with another file of the folder that is written after it.
  kNothing,        ///< All of it, or its bytes and not its name. For what is only information.
};

/// Makes `folder` and what is missing above it, but not `within`, a folder that somebody may delete meanwhile and that
/// must not come back: one level after the other, so that not even a deletion at this moment brings it back. Each new name
/// is synced unless `synced` is kNothing. Error(kIo) with the system's reason.
BITLAW_EXPORT void MakeFolders(const std::filesystem::path& folder, const std::filesystem::path& within,
                               Synced synced = Synced::kFileAndFolder);

/// A file that is written piece by piece and then there at once: a temporary file in the same folder until Commit(),
/// which returns when it is on the disk under its name, or what of it was asked for. Killed at any moment, `path` holds
/// either what it held before or all of it; what is not committed is removed. Folders and errors as WriteDurably().
class BITLAW_EXPORT DurableFile {
 public:
  explicit DurableFile(std::filesystem::path path, const std::filesystem::path& within = {},
                       Synced synced = Synced::kFileAndFolder);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void Write(std::string_view bytes);
  void Commit();
  /// As Commit(), but what `path` holds already stays: false if there was something. Of several processes that commit the
  /// same name, on whichever machines, one is told true.
  bool CommitNew();

 private:
  void Close();
  void SyncName() const;

  std::filesystem::path path_, temporary_;
  Synced synced_;
  int descriptor_ = -1;
};

/// Bytes that wait on the disk for a file that they will be part of, in a file without a name in `folder`, which is
/// made if it is missing. It ends with this object or its process. Error(kIo) with the system's reason.
class BITLAW_EXPORT WaitingBytes {
 public:
  explicit WaitingBytes(std::filesystem::path folder);
  ~WaitingBytes();
  WaitingBytes(const WaitingBytes&) = delete;
  WaitingBytes& operator=(const WaitingBytes&) = delete;

  /// Where they begin.
  uint64_t Append(std::string_view bytes);
  std::string Read(uint64_t offset, uint64_t count) const;

 private:
  std::filesystem::path folder_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// Writes `bytes` to `path` and returns when they are on the disk: temporary file in the same folder, fsync, rename,
/// fsync of the folder. Killed at any moment, `path` holds either what it held before or all of `bytes`.
/// Makes missing parent folders as MakeFolders(). Error(kIo) with the system's reason.
BITLAW_EXPORT void WriteDurably(const std::filesystem::path& path, std::string_view bytes,
                                const std::filesystem::path& within = {}, Synced synced = Synced::kFileAndFolder);

/// As WriteDurably(), but what `path` holds already stays: false if there was something.
BITLAW_EXPORT bool WriteNewDurably(const std::filesystem::path& path, std::string_view bytes,
                                   const std::filesystem::path& within = {});

/// Names the process in its temporary files, "<file>.<name>.<pid>.<number>.tmp", so that whoever sweeps a folder that
/// several machines share knows whose they are. "": no name. Letters, digits, '-' and '_'.
BITLAW_EXPORT void NameTemporaries(const std::string& name);

/// The bytes of a file, of 4 GiB at most; errors as ReadRegularFile().
BITLAW_EXPORT std::string ReadWholeFile(const std::filesystem::path& path);

}  // namespace bitlaw
