#include "cli/common/record_argument.h"

#include <fmt/format.h>

#include <system_error>
#include <vector>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace fs = std::filesystem;

bool IsDigestStart(const std::string& text) {
  return text.size() >= 6 && text.size() <= 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

fs::path RecordFile(const std::string& what, const std::string& results) {
  if (fs::is_regular_file(what)) return fs::absolute(what).lexically_normal();
  if (results.empty()) {
    throw Error(ErrorKind::kSpec, what +
                                      ": there is no such file. If a record is meant, name the output folder of its "
                                      "study with --results.");
  }
  const fs::path folder = fs::path(results) / "records" / what.substr(0, 2);
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder, error)) {
    const std::string name = item.path().filename().string();
    if (name.starts_with(what) && item.path().extension() == ".json") found.push_back(item.path());
  }
  if (found.size() == 1) return fs::absolute(found.front()).lexically_normal();
  throw Error(ErrorKind::kSpec, fmt::format("{}: {} records of {} have names that begin so. Name one.", what,
                                            found.empty() ? std::string("no") : std::to_string(found.size()), results));
}

}  // namespace bitlaw
