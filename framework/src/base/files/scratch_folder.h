#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A new folder in the system's folder of temporary files (TMPDIR), "bitlaw-<name>-XXXXXX", which goes with the object and all
/// that is in it. Error(kIo) with the system's reason if none can be made.
class BITLAW_EXPORT ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace bitlaw
