#include <fmt/format.h>

#include <algorithm>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/tasks/tasks_parts.h"

namespace bitlaw {

namespace fs = std::filesystem;

std::map<std::string, std::string> KnownDigests(const Session& session) {
  std::map<std::string, std::string> digests;
  for (const fs::path& folder : session.SearchFolders()) {
    const fs::path file = folder / "tasks" / "data.sha256";
    if (!fs::is_regular_file(file)) continue;
    const std::string text = ReadWholeFile(file);
    int number = 0;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string line = text.substr(begin, end - begin);
      begin = end + 1;
      ++number;
      if (line.empty() || line.front() == '#') continue;
      if (line.size() < 67 || line.substr(64, 2) != "  ") {
        throw Error(ErrorKind::kIo, fmt::format("{}:{}: the line is not '<SHA-256>  <file>'.", file.string(), number));
      }
      digests.try_emplace(line.substr(66), line.substr(0, 64));
    }
  }
  return digests;
}

}  // namespace bitlaw
