#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// What a path or pattern of a study stands for.
struct PathMatches {
  std::vector<std::filesystem::path> paths;  ///< Absolute, in name order.
  std::string problem;                       ///< If there are none: why, and what was there instead.
};

/// Expands `${NAME}` and the wildcards * ? [...] of `pattern`. A relative pattern is tried against the folder `first`,
/// then against the working directory; the first that gives a match wins.
PathMatches MatchPaths(const std::string& pattern, const std::filesystem::path& first);

/// What to say of a path where nothing is: "there is no such file or folder.", with the closest name in its folder, or else
/// the deepest folder of the path that is there and its first entries.
std::string ExplainMissing(const std::filesystem::path& path);

/// A file <folder>/<kind>/**/<name>.yaml found by name, or why not.
struct NamedFile {
  std::filesystem::path path;
  std::string problem;
  bool is_absent = false;  ///< The problem is that there is no such file.
};

/// Looks a task or law file up by name. Folders are tried in order; two files of one name under the same folder are a
/// problem. `kind` is "tasks" or "laws". A name with a '/' or that ends in .yaml is a path, relative to `home`. One
/// that is in `home` itself is proposed by its path.
BITLAW_EXPORT NamedFile FindNamedFile(const std::string& name, const std::string& kind,
                                      const std::filesystem::path& home,
                                      const std::vector<std::filesystem::path>& folders);

/// The folders in which a study in folder `home` finds task and law files before those of the program: its own; then,
/// for each of the three folders above it, that folder if it is named "configs", else its subfolder "configs".
BITLAW_EXPORT std::vector<std::filesystem::path> StudyFolders(const std::filesystem::path& home);

}  // namespace bitlaw
