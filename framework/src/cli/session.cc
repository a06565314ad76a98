#include "cli/session.h"

#include "bitlaw/base/fingerprint.h"

namespace bitlaw {

PluginHost& Session::plugins() {
  if (!plugins_) {
    auto host = std::make_unique<PluginHost>(OwnFingerprint());
    for (const auto& folder : DefaultPluginFolders()) {
      if (std::filesystem::is_directory(folder)) host->LoadFolder(folder);
    }
    for (const auto& path : plugin_paths) {
      if (std::filesystem::is_directory(path)) {
        host->LoadFolder(path);
      } else {
        host->LoadFile(path);
      }
    }
    plugins_ = std::move(host);
  }
  return *plugins_;
}

std::vector<std::filesystem::path> Session::SearchFolders() const {
  std::vector<std::filesystem::path> folders = config_paths;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  if (!ignored) {
    const auto shared = program.parent_path().parent_path() / "share" / "bitlaw" / "configs";
    if (std::filesystem::is_directory(shared)) folders.push_back(shared);
  }
#ifdef BITLAW_SOURCE_CONFIGS
  if (std::filesystem::is_directory(BITLAW_SOURCE_CONFIGS)) folders.emplace_back(BITLAW_SOURCE_CONFIGS);
#endif
  return folders;
}

}  // namespace bitlaw
