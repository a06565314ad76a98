// Where the pages send people.
#include <gtest/gtest.h>

#include <regex>

#include "docs/pages.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

TEST(DocsPages, SplitCommandsAsAShellDoes) {
  using Words = std::vector<std::vector<std::string>>;
  EXPECT_EQ(CommandsOf("bitlaw fit a.csv --law 'A * N' > out.txt  # why"),
            (Words{{"bitlaw", "fit", "a.csv", "--law", "A * N"}}));
  EXPECT_EQ(CommandsOf("X=1 a \"b \\\" c\" && d | e"), (Words{{"X=1", "a", "b \" c"}, {"d"}, {"e"}}));
}

TEST(DocsPages, LinkToPagesAndHeadingsThatAreThere) {
  static const std::regex kLink("\\]\\(([^)#]*)(#[^)]*)?\\)"),
      kPage("\\b((?:docs|configs|examples|plugins)/[A-Za-z0-9_./-]+\\.md)\\b");
  static const std::regex kElsewhere("\\]\\([^)]*\\)|https?://[^ ]*");
  size_t anchors = 0;
  for (const fs::path& page : Pages()) {
    const std::vector<std::string> lines = LinesOf(page);
    bool is_code = false;
    for (size_t i = 0; i < lines.size(); ++i) {
      is_code ^= lines[i].starts_with("```");
      if (is_code) continue;  // [](int x) in C++ is no link.
      SCOPED_TRACE(fs::relative(page, SourceRoot()).string() + ":" + std::to_string(i + 1));
      for (auto link = std::sregex_iterator(lines[i].begin(), lines[i].end(), kLink); link != std::sregex_iterator();
           ++link) {
        const std::string target = (*link)[1], anchor = (*link)[2];
        if (target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
        const fs::path file = target.empty() ? page : page.parent_path() / target;
        EXPECT_TRUE(fs::exists(file)) << target;
        if (anchor.empty() || file.extension() != ".md" || !fs::exists(file)) continue;
        EXPECT_EQ(AnchorsOf(file).count(anchor.substr(1)), 1u) << target << " has no heading " << anchor;
        ++anchors;
      }
      const std::string text = std::regex_replace(lines[i], kElsewhere, "");
      for (auto link = std::sregex_iterator(text.begin(), text.end(), kPage); link != std::sregex_iterator(); ++link) {
        const std::string target = (*link)[1];
        EXPECT_TRUE(fs::exists(SourceRoot() / target) || fs::exists(page.parent_path() / target)) << target;
      }
    }
  }
  EXPECT_GE(anchors, 20u);
}

// The book has every page, once, and no folder of it more files than a reader takes in at a glance.
TEST(DocsPages, StandInTheBook) {
  const fs::path docs = SourceRoot() / "docs";
  std::string book;
  for (const std::string& line : LinesOf(docs / "README.md")) book += line + "\n";
  size_t files = 0, linked = 0;
  for (const auto& entry : fs::directory_iterator(docs)) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const std::string name = entry.path().filename().string();
    if (name == "README.md") continue;
    EXPECT_NE(book.find("](" + name + ")"), std::string::npos) << name;
    ++linked;
  }
  EXPECT_LE(files, 15u);
  EXPECT_GE(linked, 10u);
  for (const char* folder : {"plugins", "reference"}) {
    for (const auto& entry : fs::directory_iterator(docs / folder)) {
      const std::string name = entry.path().lexically_relative(docs).string();
      EXPECT_NE(book.find("](" + name + ")"), std::string::npos) << name;
    }
  }
  EXPECT_LE(LinesOf(docs / "start.md").size(), 30u);
}

}  // namespace
}  // namespace bitlaw
