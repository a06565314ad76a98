// What the pages tell people to type: the program reads each of their command lines, in this process.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "docs/pages.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

using Program = int (*)(int, char**);

Program TheProgram() {
  static const Program program = [] {
    void* library = ::dlopen(BITLAW_PROGRAM_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(::dlerror());
    return reinterpret_cast<Program>(::dlsym(library, "BitlawProgram"));
  }();
  return program;
}

struct Answer {
  int exit_code = 0;
  std::string said;
};

Answer Read(std::vector<std::string> words) {
  words.insert(words.begin() + 1, "--parse-only");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  const int code = TheProgram()(static_cast<int>(argv.size()), argv.data());
  ::testing::internal::GetCapturedStdout();
  return {code, ::testing::internal::GetCapturedStderr()};
}

bool IsBitlaw(const std::string& word) { return word == "bitlaw" || word == "$bitlaw" || word.ends_with("bin/bitlaw"); }

// Without variables that are set before a command, and what runs it for another program.
std::vector<std::string> Bare(std::vector<std::string> words) {
  while (!words.empty() && words.front().find('=') != std::string::npos && words.front().find('/') != 0)
    words.erase(words.begin());
  if (!words.empty() && (words.front() == "$" || words.front() == "export")) words.erase(words.begin());
  return words;
}

// A placeholder that says "and so on", or the form of a command line rather than one.
bool IsForm(const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word == "..." || word == "VERB" || word.starts_with("[") || word == "PLAIN";
  });
}

class DocsCommands : public ::testing::Test {
 protected:
  // Files that a command names need not be there: they are made, empty, where it is read.
  void SetUp() override {
    before_ = fs::current_path();
    std::string pattern = (fs::temp_directory_path() / "bitlaw-docs-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    fs::current_path(folder_);
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  void MakeFiles(const std::vector<std::string>& words) const {
    for (const std::string& word : words) {
      const fs::path path = word;
      if (word.starts_with("-") || word.find_first_of(" *'=$") != std::string::npos || path.is_absolute() ||
          fs::exists(path))
        continue;
      if (path.has_parent_path()) fs::create_directories(path.parent_path());
      if (path.has_extension() && !path.filename().string().ends_with(".")) std::ofstream(path) << "\n";
    }
  }
  fs::path before_, folder_;
};

// Lines of blocks, joined where they end in a backslash.
std::vector<std::pair<std::string, std::string>> ShellLines(const fs::path& page) {
  static const std::vector<std::string> kShells = {"", "sh", "console", "bash"};
  std::vector<std::pair<std::string, std::string>> found;
  for (const Block& block : BlocksOf(page)) {
    if (std::find(kShells.begin(), kShells.end(), block.language) == kShells.end()) continue;
    std::string line;
    for (const std::string& one : block.lines) {
      line += one;
      if (line.ends_with("\\")) {
        line.pop_back();
        continue;
      }
      found.emplace_back(block.place, line);
      line.clear();
    }
  }
  return found;
}

TEST_F(DocsCommands, OfBlocksAreReadByTheProgram) {
  size_t checked = 0;
  for (const fs::path& page : Pages()) {
    for (const auto& [place, line] : ShellLines(page)) {
      for (const std::vector<std::string>& command : CommandsOf(line)) {
        const std::vector<std::string> words = Bare(command);
        if (words.size() < 2 || !IsBitlaw(words.front()) || IsForm(words)) continue;
        MakeFiles({words.begin() + 1, words.end()});
        const Answer answer = Read(words);
        EXPECT_EQ(answer.exit_code, 0) << place << ": " << line << "\n" << answer.said;
        ++checked;
      }
    }
  }
  EXPECT_GE(checked, 100u);
}

// Between backquotes a command may lack what the sentence says: its verb and options must be there.
TEST_F(DocsCommands, BetweenBackquotesHaveVerbsAndOptionsThatAreThere) {
  size_t checked = 0;
  for (const fs::path& page : Pages()) {
    for (const Inline& code : InlineCodeOf(page)) {
      for (const std::vector<std::string>& command : CommandsOf(code.text)) {
        const std::vector<std::string> words = Bare(command);
        if (words.size() < 2 || !IsBitlaw(words.front()) || IsForm(words) || words[1] == "VERB") continue;
        MakeFiles({words.begin() + 1, words.end()});
        const Answer answer = Read(words);
        ++checked;
        if (answer.exit_code == 0) continue;
        EXPECT_THAT(answer.said, ::testing::Not(HasSubstr("is no verb"))) << code.place << ": " << code.text;
        EXPECT_THAT(answer.said, ::testing::Not(HasSubstr("is no option"))) << code.place << ": " << code.text;
      }
    }
  }
  EXPECT_GE(checked, 60u);
}

// Scripts and presets that commands name are in the tree.
TEST_F(DocsCommands, NameScriptsAndPresetsThatAreThere) {
  std::string presets;
  for (const std::string& line : LinesOf(SourceRoot() / "CMakePresets.json")) presets += line;
  size_t checked = 0;
  for (const fs::path& page : Pages()) {
    for (const auto& [place, line] : ShellLines(page)) {
      for (const std::vector<std::string>& command : CommandsOf(line)) {
        const std::vector<std::string> words = Bare(command);
        for (size_t i = 0; i < words.size(); ++i) {
          const std::string& word = words[i];
          if (i > 0 && words[i - 1] == "--preset") {
            EXPECT_NE(presets.find("\"" + word + "\""), std::string::npos) << place << ": " << line;
            ++checked;
          }
          const bool is_script =
              (i == 0 || (i == 1 && (words[0] == "sh" || words[0] == "python3" || words[0] == "bash"))) &&
              (word.starts_with("examples/") || word.starts_with("tests/") || word.starts_with(".ci/"));
          if (!is_script) continue;
          EXPECT_TRUE(fs::exists(SourceRoot() / word)) << place << ": " << line;
          ++checked;
        }
      }
    }
  }
  EXPECT_GE(checked, 8u);
}

TEST_F(DocsCommands, AreNotReadWhereTheyAreWrong) {
  EXPECT_EQ(Read({"bitlaw", "plugins", "list"}).exit_code, 0);
  EXPECT_THAT(Read({"bitlaw", "plugns", "list"}).said, HasSubstr("'plugns' is no verb"));
  EXPECT_THAT(Read({"bitlaw", "plugins", "list", "--jsno"}).said, HasSubstr("'--jsno' is no option"));
  EXPECT_EQ(Read({"bitlaw", "report"}).exit_code, 2);
}

}  // namespace
}  // namespace bitlaw
