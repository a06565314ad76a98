// The map of the sources names files, folders and functions that are there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

std::string TextOf(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// What stands between single backticks.
std::vector<std::string> QuotedIn(const std::string& line) {
  static const std::regex kQuoted("`([^`]+)`");
  std::vector<std::string> quoted;
  for (std::sregex_iterator at(line.begin(), line.end(), kQuoted), end; at != end; ++at) quoted.push_back((*at)[1]);
  return quoted;
}

// A relative path: folders with '/', or the name of a source file.
bool IsPath(const std::string& text) {
  static const std::regex kPath("[A-Za-z0-9_.-]+(/[A-Za-z0-9_.*-]+)*/?");
  static const std::regex kFile(".*\\.(h|cc|md|sh)");
  if (!std::regex_match(text, kPath)) return false;
  return text.find('/') != std::string::npos || std::regex_match(text, kFile);
}

// Where a path of the page may count from.
std::optional<fs::path> Found(const fs::path& root, const std::string& path) {
  const std::string plain = path.substr(0, path.find('*'));  // api/*.h: the folder.
  for (const char* top : {"", "framework/src", "framework/include/bitlaw", "framework/include/bitlaw/api",
                          "framework/include", "plugins"}) {
    if (fs::exists(root / top / plain)) return root / top / plain;
  }
  return std::nullopt;
}

// What the page says that is not so. `built` are paths that a build or a run makes.
std::vector<std::string> PageFaults(const fs::path& root, const std::string& page, const std::set<std::string>& built) {
  std::vector<std::string> faults;
  std::istringstream lines(page);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string where = "line " + std::to_string(number) + ": ";
    const std::vector<std::string> quoted = QuotedIn(line);
    for (const std::string& path : quoted) {
      if (IsPath(path) && !built.contains(path) && !Found(root, path)) faults.push_back(where + "no '" + path + "'");
    }
    // A step of a walk: a file, and a function that it has.
    if (quoted.size() < 2 || !line.starts_with("| `") || !quoted[1].ends_with("()")) continue;
    const auto file = Found(root, quoted[0]);
    if (!file) continue;
    const std::string name = quoted[1].substr(0, quoted[1].size() - 2);
    const std::regex definition("[ :]" + name + "\\([^;{]*\\{");
    const std::string text = TextOf(*file);
    if (!std::regex_search(text, definition)) faults.push_back(where + "'" + quoted[0] + "' has no " + quoted[1]);
  }
  return faults;
}

// Rooms that a table of the page lists, of the folder that the table's head names.
std::set<std::string> RoomsOf(const std::string& page, const std::string& head) {
  std::set<std::string> rooms;
  std::istringstream lines(page.substr(page.find(head)));
  std::string line;
  std::getline(lines, line);
  std::getline(lines, line);
  while (std::getline(lines, line) && line.starts_with("| `")) rooms.insert(QuotedIn(line).front());
  return rooms;
}

std::set<std::string> FoldersOf(const fs::path& top) {
  std::set<std::string> folders;
  for (const auto& entry : fs::directory_iterator(top))
    if (entry.is_directory()) folders.insert(entry.path().filename().string());
  return folders;
}

const fs::path kRoot = BITLAW_SOURCE_DIR;

TEST(ArchitecturePage, NamesFilesAndFunctionsThatAreThere) {
  const std::string page = TextOf(kRoot / "docs/architecture.md");
  ASSERT_FALSE(page.empty());
  EXPECT_THAT(PageFaults(kRoot, page, {"bin/bitlaw", "lib/bitlaw/bitlaw_program.so"}), testing::IsEmpty());
}

TEST(ArchitecturePage, ListsEveryRoomOfFitTheCommandLineAndTheSdk) {
  const std::string page = TextOf(kRoot / "docs/architecture.md");
  EXPECT_EQ(RoomsOf(page, "| `framework/src/fit/` |"), FoldersOf(kRoot / "framework/src/fit"));
  EXPECT_EQ(RoomsOf(page, "| `framework/src/cli/` |"), FoldersOf(kRoot / "framework/src/cli"));
  EXPECT_EQ(RoomsOf(page, "| room | what is in it |"), FoldersOf(kRoot / "framework/include/bitlaw/sdk"));
}

TEST(ArchitecturePage, IsFaultedForWhatIsNotThere) {
  const std::string page =
      "`plan/plan.cc` and `plan/plam.cc`\n"
      "| `plan/grid.cc` | `CombinationAt()` | takes a place |\n"
      "| `plan/grid.cc` | `CombinationOf()` | takes a place |\n"
      "| `plan/grid.cc` | `Keeps()` | is called there alone |\n";
  EXPECT_THAT(PageFaults(kRoot, page, {}),
              testing::ElementsAre("line 1: no 'plan/plam.cc'", "line 3: 'plan/grid.cc' has no CombinationOf()",
                                   "line 4: 'plan/grid.cc' has no Keeps()"));
}

}  // namespace
}  // namespace bitlaw
