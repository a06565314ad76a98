#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bitlaw {

/// The documents of a .txt (one) or .jsonl file (one a line), checked whole when it is opened.
///
/// Errors   Error(kIo) with file:line for invalid UTF-8, malformed JSON, and a line without a string in the field;
///          Error(kIo) for a file that cannot be read or holds no text.
class TextFile {
 public:
  TextFile(const std::filesystem::path& path, const std::string& field);
  ~TextFile();
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  int64_t num_documents() const { return static_cast<int64_t>(documents_.size()); }
  /// Bytes that the document takes in the file, JSON syntax included: its weight in a draw.
  int64_t size_bytes(int64_t document) const { return static_cast<int64_t>(documents_[document].bytes.size()); }
  std::string Text(int64_t document) const;

  std::string digest() const;  ///< Over the file's bytes.

 private:
  struct Document {
    std::string_view bytes;  // Within the mapping.
    int64_t line = 1;
  };
  std::string TextOfLine(const Document& document) const;

  std::string path_, field_;
  bool is_jsonl_ = false;
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
  std::vector<Document> documents_;
};

}  // namespace bitlaw
