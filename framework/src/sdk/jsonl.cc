#include "bitlaw/sdk/jsonl.h"

#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "bitlaw/sdk/unicode_text.h"

namespace bitlaw {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

std::vector<Value> ReadJsonl(const std::filesystem::path& path, const JsonlLimits& limits) {
  const std::string bytes = ReadRegularFile(path, static_cast<uint64_t>(limits.file_bytes));
  std::string_view rest = bytes;
  if (rest.substr(0, kByteOrderMark.size()) == kByteOrderMark) rest.remove_prefix(kByteOrderMark.size());
  std::vector<Value> rows;
  for (int line = 1; !rest.empty(); ++line) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::string where = path.string() + ":" + std::to_string(line);
    if (static_cast<int64_t>(text.size()) > limits.line_bytes) {
      throw Error(ErrorKind::kBudget, where + ": the line has " + std::to_string(text.size()) +
                                          " bytes. The limit is " + std::to_string(limits.line_bytes) + ".");
    }
    const size_t invalid = FindInvalidUtf8(text);
    if (invalid != std::string_view::npos) {
      throw Error(ErrorKind::kIo, where + ": byte " + std::to_string(invalid + 1) +
                                      " of the line is not UTF-8. Convert the file to UTF-8.");
    }
    if (Trim(text).empty()) continue;
    Value row = ParseJson(text, where);
    if (!row.is_map()) {
      throw Error(ErrorKind::kIo, where + ": the line holds " + std::string(Article(row.type())) +
                                      ". Each line is one JSON object: {\"field\": value, ...}.");
    }
    row.set_mark({path.string(), line, 1});
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string ReadTextFile(const std::filesystem::path& path, int64_t file_bytes) {
  std::string text = ReadRegularFile(path, static_cast<uint64_t>(file_bytes));
  if (text.compare(0, kByteOrderMark.size(), kByteOrderMark) == 0) text.erase(0, kByteOrderMark.size());
  const size_t invalid = FindInvalidUtf8(text);
  if (invalid != std::string::npos) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(invalid), '\n');
    throw Error(ErrorKind::kIo, path.string() + ":" + std::to_string(line) + ": a byte of the line is not UTF-8. " +
                                    "Convert the file to UTF-8.");
  }
  return text.find("\r\n") == std::string::npos ? text : ReplaceAll(text, "\r\n", "\n");
}

}  // namespace bitlaw
