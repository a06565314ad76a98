#include "text_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "conversation.h"

namespace bitlaw {
namespace {

/// The first byte that is no part of a well-formed character (Unicode 15, table 3-7), or text.size().
size_t FirstInvalidByte(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto byte = [&](size_t i) -> unsigned {
      return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
    };
    const unsigned lead = byte(0);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    if (lead < 0xC2 || lead > 0xF4) return at;
    const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < length; ++i) {
      if (byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xBF)) return at;
    }
    at += length;
  }
  return at;
}

}  // namespace

TextFile::TextFile(const std::filesystem::path& path, const std::string& field, const Conversation* conversation)
    : path_(path.string()), field_(field), conversation_(conversation), is_jsonl_(path.extension() == ".jsonl") {
  if (!is_jsonl_) {
    text_ = ReadPlainText(path);
    if (!text_.empty()) documents_.push_back({text_, 1});
  } else {
    OpenLines(path);
  }
  if (documents_.empty()) throw Error(ErrorKind::kIo, path_ + ": holds no text.");
}

void TextFile::OpenLines(const std::filesystem::path& path) {
  const RegularFile file(path);
  if (file.size_bytes() == 0) return;
  mapping_.size_bytes = file.size_bytes();
  void* const mapped = ::mmap(nullptr, mapping_.size_bytes, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (mapped == MAP_FAILED) {
    throw Error(ErrorKind::kIo, path_ + ": cannot be mapped into memory: " + std::strerror(errno) + ".");
  }
  mapping_.bytes = mapped;
  const std::string_view text(static_cast<const char*>(mapped), mapping_.size_bytes);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    throw Error(ErrorKind::kIo, path_ + ": the file is UTF-16. Convert it to UTF-8.");
  }
  if (const size_t at = FirstInvalidByte(text); at < text.size()) {
    const int64_t line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    throw Error(ErrorKind::kIo, path_ + ":" + std::to_string(line) + ": byte " + std::to_string(at) +
                                    " of the file is not UTF-8. Convert the file to UTF-8.");
  }
  int64_t line = 1;
  for (size_t begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const Document document{text.substr(begin, end - begin), line};
    begin = end + 1;
    if (document.bytes.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (!TextOfLine(document).empty()) documents_.push_back(document);
  }
}

TextFile::Mapping::~Mapping() {
  if (bytes != nullptr) ::munmap(bytes, size_bytes);
}

std::string TextFile::TextOfLine(const Document& document) const {
  const std::string where = path_ + ":" + std::to_string(document.line);
  const Value value = ParseJson(document.bytes, where);
  const Value* text = value.Find(field_);
  if (conversation_ != nullptr && text != nullptr) return conversation_->Text(*text, where + ": '" + field_ + "'");
  if (!value.is_map() || text == nullptr || !text->is_string()) {
    std::vector<std::string> keys;
    if (value.is_map()) {
      for (const auto& [key, entry] : value.AsMap()) keys.push_back(key);
    }
    throw Error(ErrorKind::kIo, where + ": has no " + (conversation_ != nullptr ? "messages" : "string") + " in field '" +
                                    field_ + "'." +
                                    (text == nullptr ? DidYouMean(field_, keys) : "") + " Fields: " + JoinNames(keys) +
                                    ". Set 'field' to the one that holds the text.");
  }
  return text->AsString();
}

std::string TextFile::Text(int64_t document) const {
  const Document& found = documents_[static_cast<size_t>(document)];
  return is_jsonl_ ? TextOfLine(found) : std::string(found.bytes);
}

}  // namespace bitlaw
