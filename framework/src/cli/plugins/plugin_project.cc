#include "cli/plugins/plugin_project.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace fs = std::filesystem;

namespace {

std::string Replaced(std::string text, const std::vector<std::pair<std::string, std::string>>& words) {
  for (const auto& [word, by] : words) {
    for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size()) {
      text.replace(at, word.size(), by);
    }
  }
  return text;
}

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorKind::kIo, path.string() + ": cannot be read.");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::string ExplainPluginName(const std::string& name) {
  // CMake has targets of these names already.
  constexpr std::array<std::string_view, 6> kTargets = {"all", "clean", "help", "install", "package", "test"};
  const bool is_name = !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
                       name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  if (!is_name) {
    return "'" + name + "' is no name of a component. It begins with a letter a-z, then letters a-z, digits and _.";
  }
  if (std::find(kTargets.begin(), kTargets.end(), name) != kTargets.end()) {
    return "'" + name + "' is a target of every CMake project. Choose another name.";
  }
  return "";
}

std::string ClassName(const std::string& name) {
  std::string made;
  bool begins = true;
  for (const char c : name) {
    if (c != '_') made += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    begins = c == '_';
  }
  return made;
}

std::vector<fs::path> WritePluginProject(const fs::path& share, ComponentKind kind, const std::string& name,
                                         const fs::path& folder) {
  if (const std::string why = ExplainPluginName(name); !why.empty()) throw Error(ErrorKind::kSpec, why);
  const std::string kind_name(Name(kind));
  const fs::path examples = share / "examples", from = examples / "plugins" / kind_name;
  if (!fs::is_directory(from)) {
    throw Error(ErrorKind::kIo, from.string() + ": the example that a new " + kind_name +
                                    " begins from is not there. Install bitlaw with its examples.");
  }
  if (fs::exists(fs::symlink_status(folder))) {
    throw Error(ErrorKind::kSpec, folder.string() + ": is there already. Choose another --output.");
  }
  const std::vector<std::pair<std::string, std::string>> words = {
      {"my_" + kind_name, name},
      {"My" + ClassName(kind_name), ClassName(name)},
      {"../../knowledge-lab/", (examples / "knowledge-lab").string() + "/"},
  };
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(from));
  }
  std::sort(files.begin(), files.end());
  for (fs::path& file : files) {
    const std::string text = Replaced(ReadText(from / file), words);
    file = Replaced(file.string(), words);
    std::error_code error;
    fs::create_directories((folder / file).parent_path(), error);
    if (error)
      throw Error(ErrorKind::kIo,
                  (folder / file).parent_path().string() + ": cannot be made: " + error.message() + ".");
    std::ofstream to(folder / file, std::ios::binary);
    to << text;
    if (!to.flush()) throw Error(ErrorKind::kIo, (folder / file).string() + ": cannot be written.");
  }
  return files;
}

}  // namespace bitlaw
