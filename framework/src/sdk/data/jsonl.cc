#include "bitlaw/sdk/data/jsonl.h"

#include <algorithm>

#include "base/json_text.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sdk/data/data_bytes.h"

namespace bitlaw {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

void RefuseUtf16(const std::filesystem::path& path, std::string_view bytes) {
  if (bytes.substr(0, 2) != "\xFF\xFE" && bytes.substr(0, 2) != "\xFE\xFF") return;
  throw Error(ErrorKind::kIo, path.string() + ": the file is UTF-16. Convert it to UTF-8.");
}

}  // namespace

std::vector<Value> ReadJsonl(const std::filesystem::path& path, const JsonlLimits& limits) {
  const std::string bytes = ReadDataBytes(path, static_cast<uint64_t>(limits.file_bytes));
  RefuseUtf16(path, bytes);
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
    Value row = ParseJson(text, where, LargeIntegers::kText);
    if (!row.is_map()) {
      throw Error(ErrorKind::kIo, where + ": the line holds " + std::string(Article(row.type())) +
                                      ". Each line is one JSON object: {\"field\": value, ...}.");
    }
    row.set_mark({path.string(), line, 1});
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string ReadPlainText(const std::filesystem::path& path, int64_t file_bytes) {
  std::string text = ReadTextFile(path, file_bytes);
  if (const size_t at = text.find('\0'); at != std::string::npos) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(at), '\n');
    throw Error(ErrorKind::kIo, path.string() + ":" + std::to_string(line) + ": the line has a zero byte, which no text has. " +
                                    "Convert the file, which may be UTF-16, to UTF-8.");
  }
  std::replace(text.begin(), text.end(), '\r', '\n');
  return text;
}

std::string ReadTextFile(const std::filesystem::path& path, int64_t file_bytes) {
  std::string text = ReadDataBytes(path, static_cast<uint64_t>(file_bytes));
  RefuseUtf16(path, text);
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
