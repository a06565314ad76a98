#include "spec/find_files.h"

#include <dirent.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "api/option_checker.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostNames = 1000;

// In name order, at most `limit` names, and how many there are.
std::pair<std::vector<std::string>, size_t> Entries(const fs::path& folder, size_t limit) {
  std::set<std::string> names;
  std::error_code status;
  for (fs::directory_iterator entry(folder, status), end; !status && entry != end; entry.increment(status)) {
    names.insert(entry->path().filename().string());
  }
  std::vector<std::string> shown(names.begin(), names.end());
  if (shown.size() > limit) shown.resize(limit);
  return {shown, names.size()};
}

// What stands where `pattern` looked: the deepest existing folder of its fixed part, with its first entries.
std::string WhatIsThere(const fs::path& pattern) {
  fs::path folder = pattern.parent_path();
  std::error_code status;
  while (folder.has_relative_path() && !fs::is_directory(folder, status)) folder = folder.parent_path();
  const auto [names, count] = Entries(folder, 10);
  std::string text = "The folder " + folder.string() + " has " + (count == 0 ? "nothing in it" : JoinNames(names));
  if (count > names.size()) text += " and " + std::to_string(count - names.size()) + " more";
  return text + ".";
}

// What a pattern may look at, in all folders. glob(3) has no bound of its own, but reads folders through functions.
constexpr int64_t kMaxEntriesRead = 100'000;
thread_local int64_t entries_left = 0;

dirent* ReadEntry(void* folder) { return entries_left-- > 0 ? ::readdir(static_cast<DIR*>(folder)) : nullptr; }

// nullopt: the pattern looks at more than kMaxEntriesRead files and folders.
std::optional<std::vector<fs::path>> Glob(const fs::path& pattern) {
  std::vector<fs::path> found;
  std::error_code status;
  if (fs::exists(pattern, status)) return {{pattern}};
  if (pattern.string().find_first_of("*?[") == std::string::npos) return found;
  glob_t matches{};
  matches.gl_opendir = [](const char* name) -> void* { return ::opendir(name); };
  matches.gl_readdir = ReadEntry;
  matches.gl_closedir = [](void* folder) { ::closedir(static_cast<DIR*>(folder)); };
  matches.gl_stat = ::stat;
  matches.gl_lstat = ::lstat;
  entries_left = kMaxEntriesRead;
  const int end = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_ALTDIRFUNC, nullptr, &matches);
  if (entries_left < 0) {
    ::globfree(&matches);
    return std::nullopt;
  }
  if (end == 0) {
    for (size_t i = 0; i < matches.gl_pathc; ++i) found.emplace_back(matches.gl_pathv[i]);
  }
  ::globfree(&matches);
  // By bytes, so that the order of models does not depend on the locale.
  std::sort(found.begin(), found.end());
  return found;
}

// Whether a name ends as data files do that cannot be task files. (JSON can: YAML holds it.)
bool IsDataName(const std::string& name) {
  constexpr const char* kEndings[] = {".parquet", ".jsonl", ".csv", ".tsv", ".gz"};
  return std::any_of(std::begin(kEndings), std::end(kEndings), [&](const char* end) { return name.ends_with(end); });
}

}  // namespace

PathMatches MatchPaths(const std::string& pattern, const fs::path& first) {
  std::string unset;
  const std::string expanded = ExpandVariables(pattern, &unset);
  if (!unset.empty()) {
    return {{}, "needs the environment variable " + unset + ", which is not set. Set it, or write the path out."};
  }
  if (expanded.empty()) return {{}, "is empty."};
  std::vector<fs::path> candidates;
  for (const fs::path& base : {first, fs::current_path()}) {
    const fs::path candidate = (fs::absolute(base) / expanded).lexically_normal();
    if (std::find(candidates.begin(), candidates.end(), candidate) == candidates.end()) candidates.push_back(candidate);
  }
  std::string there;
  for (const fs::path& candidate : candidates) {
    std::optional<std::vector<fs::path>> matches = Glob(candidate);
    if (!matches) {
      return {{},
              "looks at more than " + std::to_string(kMaxEntriesRead) + " files and folders. Write more of the path."};
    }
    std::vector<fs::path> found = std::move(*matches);
    for (fs::path& path : found) {
      path = path.lexically_normal();
      if (!path.has_filename()) path = path.parent_path();  // "folder/" is "folder".
    }
    if (!found.empty()) return {std::move(found), ""};
    const std::string what = WhatIsThere(candidate);
    if (there.find(what) == std::string::npos) there += " " + what;
  }
  return {{}, "matches no file or folder." + there};
}

std::string ExplainMissing(const fs::path& path) {
  const std::string none = "there is no such file or folder.";
  const fs::path whole = fs::absolute(path).lexically_normal();
  std::error_code status;
  if (fs::is_directory(whole.parent_path(), status)) {
    const std::vector<std::string> names = Entries(whole.parent_path(), kMostNames).first;
    if (const std::string meant = DidYouMean(whole.filename().string(), names); !meant.empty()) return none + meant;
  }
  return none + " " + WhatIsThere(whole);
}

std::vector<fs::path> StudyFolders(const fs::path& home) {
  std::vector<fs::path> folders = {home};
  fs::path above = fs::absolute(home).lexically_normal();
  for (int i = 0; i < 3 && above.has_relative_path(); ++i) {
    above = above.parent_path();
    const fs::path folder = above.filename() == "configs" ? above : above / "configs";
    std::error_code status;
    if (fs::is_directory(folder, status)) folders.push_back(folder);
  }
  return folders;
}

NamedFile FindNamedFile(const std::string& written, const std::string& kind, const fs::path& home,
                        const std::vector<fs::path>& folders) {
  std::string unset;
  const std::string name = ExpandVariables(written, &unset);
  if (!unset.empty()) {
    return {{}, "needs the environment variable " + unset + ", which is not set. Set it, or write the path out."};
  }
  if (kind == "tasks" && IsDataName(name)) {
    return {{},
            "this is a file of data. A task is a .yaml file that says what to ask of them: write one with 'data: " +
                fs::path(name).filename().string() + "' (docs/evaluation.md, \"Your own benchmark\")."};
  }
  std::error_code status;
  const bool is_path = name.find('/') != std::string::npos || name.ends_with(".yaml");
  // What is meant where only the ending, or also the "./", is missing.
  std::string meant;
  if (fs::is_regular_file(home / (name + ".yaml"), status)) {
    meant = " Did you mean '" + std::string(is_path ? "" : "./") + name + ".yaml'?";
  }
  if (is_path) {
    const fs::path path = home / name;
    if (fs::is_regular_file(path, status)) return {path.lexically_normal(), ""};
    return {{}, "there is no file " + path.lexically_normal().string() + "." + meant, true};
  }
  std::vector<std::string> known, looked_in;
  for (const fs::path& folder : folders) {
    const fs::path root = folder / kind;
    looked_in.push_back(root.lexically_normal().string());
    std::vector<fs::path> found;
    const auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator entry(root, options, status), end; !status && entry != end;
         entry.increment(status)) {
      if (entry->path().extension() != ".yaml" || !entry->is_regular_file(status)) continue;
      known.push_back(entry->path().stem().string());
      if (known.back() == name) found.push_back(entry->path().lexically_normal());
    }
    std::sort(found.begin(), found.end());
    if (found.size() > 1) {
      return {{}, "two files have the name '" + name + "': " + found[0].string() + " and " + found[1].string() +
                      ". Write the path of one."};
    }
    if (!found.empty()) return {found.front(), ""};
  }
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  if (meant.empty()) meant = DidYouMean(name, known);
  return {{},
          "there is no '" + name + ".yaml'." + meant + " Known: " + JoinNames(known) + ". Looked in: " +
              JoinNames(looked_in) + ".",
          true};
}

}  // namespace bitlaw
