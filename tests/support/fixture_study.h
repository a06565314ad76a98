#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"

namespace bitlaw {

/// A host with the fixture plugins (tests/support/fixture_plugins) in it, opened once a process.
inline const PluginHost& FixtureHost() {
  static const PluginHost* const kHost = [] {
    auto* host = new PluginHost(OwnFingerprint());
    host->LoadFolder(BITLAW_BUILD_DIR "/tests/fixture_plugins");
    const std::filesystem::path integers = BITLAW_BUILD_DIR "/tests/fixture_integers";
    if (std::filesystem::is_directory(integers)) host->LoadFolder(integers);
    return host;
  }();
  return *kHost;
}

/// False in a build without libtorch, where the fixture quantizers are missing.
inline bool HasFixtureQuantizers() { return !FixtureHost().Names(ComponentKind::kQuantizer).empty(); }

/// A new empty folder that is removed at the end of its scope.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bitlaw_test_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Writes a file, with its folders, and returns its path.
  std::filesystem::path Write(const std::string& name, const std::string& text) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }

 private:
  std::filesystem::path path_;
};

/// The text of a *.shapes.json model: `blocks` blocks of one square q and one up projection.
inline std::string ShapesOfModel(int hidden, int blocks, const std::string& architecture = "toy") {
  const std::string h = std::to_string(hidden), wide = std::to_string(3 * hidden);
  return "{\"architecture\": \"" + architecture + "\", \"hidden_size\": " + h + ", \"num_blocks\": " +
         std::to_string(blocks) + ", \"vocab_size\": 100, \"max_positions\": 2048, \"linears\": [{\"name\": \"q\", \"in\": " + h +
         ", \"out\": " + h + "}, {\"name\": \"up\", \"in\": " + h + ", \"out\": " + wide + "}]}";
}

}  // namespace bitlaw
