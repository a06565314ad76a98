#include "base/files/scratch_folder.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>

#include "bitlaw/base/error.h"

namespace bitlaw {

ScratchFolder::ScratchFolder(const std::string& name) {
  std::string path = (std::filesystem::temp_directory_path() / ("bitlaw-" + name + "-XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr) {
    throw Error(ErrorKind::kIo, fmt::format("{}: no temporary folder can be made: {}. Make room there, or name another folder "
                                            "in TMPDIR.",
                                            path, std::strerror(errno)));
  }
  path_ = path;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace bitlaw
