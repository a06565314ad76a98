#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace bitlaw {

/// README.md and every page below docs, plugins, examples and configs, sorted.
std::vector<std::filesystem::path> Pages();

/// The folder of the sources.
const std::filesystem::path& SourceRoot();

std::vector<std::string> LinesOf(const std::filesystem::path& page);

/// A block of a page: fenced, or indented by four spaces behind an empty line.
struct Block {
  std::string place;     ///< "docs/laws.md:17"
  std::string language;  ///< "yaml", "sh"; "" of a fence without a word, and of an indented block.
  bool is_fenced = false;
  std::vector<std::string> lines;  ///< Without the indentation.
};
std::vector<Block> BlocksOf(const std::filesystem::path& page);

/// What stands between backquotes on the lines of a page that are in no fence, with its place.
struct Inline {
  std::string place, text;
};
std::vector<Inline> InlineCodeOf(const std::filesystem::path& page);

/// The anchors that GitHub gives the headings of a page: "## What comes out" is "what-comes-out".
std::set<std::string> AnchorsOf(const std::filesystem::path& page);

/// The words of one simple command, as a shell splits them: quotes, backslashes, comments. A line with several commands
/// (&&, |, ;) gives each. Words of a redirection are left out.
std::vector<std::vector<std::string>> CommandsOf(const std::string& line);

}  // namespace bitlaw
