#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bitlaw {

class Conversation;

/// The documents of a .txt (one) or .jsonl file (one a line), checked whole when it is opened.
///
/// A .txt file is read as a benchmark's is, by ReadPlainText(): byte-order mark and carriage returns are no part of it.
///
/// With `conversation` (which outlives the file; null: none) the field of a .jsonl line holds messages, which it writes as a
/// text.
///
/// Errors   Error(kIo) with file:line for invalid UTF-8, malformed JSON, and a line without a string, or messages, in the
///          field; Error(kIo) for a file that cannot be read or holds no text.
class TextFile {
 public:
  TextFile(const std::filesystem::path& path, const std::string& field, const Conversation* conversation = nullptr);
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  int64_t num_documents() const { return static_cast<int64_t>(documents_.size()); }
  /// Bytes that the document takes in the file, JSON syntax included: its weight in a draw.
  int64_t size_bytes(int64_t document) const { return static_cast<int64_t>(documents_[document].bytes.size()); }
  std::string Text(int64_t document) const;

 private:
  struct Document {
    std::string_view bytes;  // Within the mapping.
    int64_t line = 1;
  };
  struct Mapping {
    ~Mapping();
    void* bytes = nullptr;
    size_t size_bytes = 0;
  };
  void OpenLines(const std::filesystem::path& path);
  std::string TextOfLine(const Document& document) const;

  std::string path_, field_;
  const Conversation* conversation_;
  bool is_jsonl_ = false;
  std::string text_;  // Of a .txt file.
  Mapping mapping_;   // Of a .jsonl file.
  std::vector<Document> documents_;
};

}  // namespace bitlaw
