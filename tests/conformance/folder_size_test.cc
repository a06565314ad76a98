#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

namespace bitlaw {
namespace {

// What a folder is for should be said in one sentence; one of more files than this wants rooms.
constexpr size_t kMostFiles = 15;

// The files of each folder below `top` that has more, and those of folders that are named in `known`.
std::map<std::string, size_t> LargeFolders(const std::filesystem::path& top,
                                           const std::map<std::string, size_t>& known) {
  std::map<std::string, size_t> files;
  for (const char* part : {"framework/src", "framework/include", "plugins"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top / part)) {
      if (entry.is_regular_file()) ++files[entry.path().parent_path().lexically_relative(top).generic_string()];
    }
  }
  std::erase_if(files, [&](const auto& one) { return one.second <= kMostFiles && !known.contains(one.first); });
  return files;
}

// A ratchet: a folder that is named here may shrink, and its line is removed when it is down to kMostFiles.
TEST(Folders, HaveAtMostFifteenFiles) {
  const std::map<std::string, size_t> known;  // None today.
  for (const auto& [folder, files] : LargeFolders(BITLAW_SOURCE_DIR, known)) {
    const auto found = known.find(folder);
    if (found == known.end()) {
      ADD_FAILURE() << folder << " has " << files << " files; split it into rooms of at most " << kMostFiles << ".";
      continue;
    }
    EXPECT_LE(files, found->second) << folder << " has grown; split it into rooms of at most " << kMostFiles << ".";
    EXPECT_GT(files, kMostFiles) << folder << " has shrunk; remove its line from this test.";
  }
}

}  // namespace
}  // namespace bitlaw
