#include "docs/pages.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>

namespace bitlaw {

namespace fs = std::filesystem;

const fs::path& SourceRoot() {
  static const fs::path root = BITLAW_SOURCE_DIR;
  return root;
}

std::vector<fs::path> Pages() {
  std::vector<fs::path> pages = {SourceRoot() / "README.md"};
  for (const char* folder : {"docs", "plugins", "examples", "configs"}) {
    for (const auto& entry : fs::recursive_directory_iterator(SourceRoot() / folder)) {
      if (entry.path().extension() == ".md") pages.push_back(entry.path());
    }
  }
  std::sort(pages.begin(), pages.end());
  return pages;
}

std::vector<std::string> LinesOf(const fs::path& page) {
  std::ifstream file(page);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<Block> BlocksOf(const fs::path& page) {
  std::vector<Block> blocks;
  const std::vector<std::string> lines = LinesOf(page);
  const std::string name = fs::relative(page, SourceRoot()).string();
  for (size_t i = 0; i < lines.size(); ++i) {
    Block block;
    block.place = name + ":" + std::to_string(i + 1);
    const size_t indent = std::min(lines[i].find_first_not_of(' '), lines[i].size());
    if (lines[i].compare(indent, 3, "```") == 0) {
      block.is_fenced = true;
      block.language = lines[i].substr(indent + 3);
      for (++i; i < lines.size() && lines[i].find("```") == std::string::npos; ++i)
        block.lines.push_back(lines[i].substr(std::min(indent, lines[i].size())));
      blocks.push_back(std::move(block));
    } else if (lines[i].starts_with("    ") && (i == 0 || lines[i - 1].empty())) {
      for (; i < lines.size() && (lines[i].empty() || lines[i].starts_with("    ")); ++i)
        block.lines.push_back(lines[i].substr(std::min<size_t>(4, lines[i].size())));
      --i;
      blocks.push_back(std::move(block));
    }
  }
  return blocks;
}

std::vector<Inline> InlineCodeOf(const fs::path& page) {
  std::vector<Inline> found;
  const std::vector<std::string> lines = LinesOf(page);
  bool is_fenced = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    is_fenced ^= lines[i].find("```") != std::string::npos;
    if (is_fenced || lines[i].starts_with("    ")) continue;
    for (size_t at = lines[i].find('`'); at != std::string::npos;) {
      const size_t end = lines[i].find('`', at + 1);
      if (end == std::string::npos) break;
      found.push_back({fs::relative(page, SourceRoot()).string() + ":" + std::to_string(i + 1),
                       lines[i].substr(at + 1, end - at - 1)});
      at = lines[i].find('`', end + 1);
    }
  }
  return found;
}

std::set<std::string> AnchorsOf(const fs::path& page) {
  std::set<std::string> anchors;
  std::map<std::string, int> seen;
  bool is_fenced = false;
  for (const std::string& line : LinesOf(page)) {
    is_fenced ^= line.starts_with("```");
    const size_t level = line.find_first_not_of('#');
    if (is_fenced || level == 0 || level == std::string::npos || line[level] != ' ') continue;
    std::string anchor;
    for (const unsigned char c : line.substr(level + 1)) {
      if (std::isalnum(c) != 0 || c == '_' || c == '-' || c >= 0x80) anchor += static_cast<char>(std::tolower(c));
      if (c == ' ') anchor += '-';
    }
    const int before = seen[anchor]++;
    anchors.insert(before == 0 ? anchor : anchor + "-" + std::to_string(before));
  }
  return anchors;
}

std::vector<std::vector<std::string>> CommandsOf(const std::string& line) {
  std::vector<std::vector<std::string>> commands(1);
  std::string word;
  bool has_word = false, is_redirected = false;
  const auto end_word = [&] {
    if (has_word && !is_redirected) commands.back().push_back(word);
    if (has_word) is_redirected = false;
    word.clear();
    has_word = false;
  };
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '\'' || c == '"') {
      has_word = true;
      for (++i; i < line.size() && line[i] != c; ++i) {
        if (c == '"' && line[i] == '\\' && i + 1 < line.size()) ++i;
        word += line[i];
      }
    } else if (c == '\\' && i + 1 < line.size()) {
      has_word = true;
      word += line[++i];
    } else if (c == ' ' || c == '\t') {
      end_word();
    } else if (c == '#' && !has_word) {
      break;
    } else if (c == '|' || c == ';' || c == '&' || c == '(' || c == ')') {
      end_word();
      if (!commands.back().empty()) commands.emplace_back();
    } else if (c == '>' || c == '<') {
      end_word();
      is_redirected = true;
    } else {
      has_word = true;
      word += c;
    }
  }
  end_word();
  if (commands.back().empty()) commands.pop_back();
  return commands;
}

}  // namespace bitlaw
