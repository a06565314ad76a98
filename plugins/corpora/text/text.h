#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/option_schema.h"
#include "conversation.h"
#include "text_file.h"

namespace bitlaw {

/// Calibration sequences from one .txt or .jsonl file; see README.md for the two modes.
///
/// Errors   Error(kSpec) when the text has too few tokens, with how many sequences it can give, and for separator
///          'eos' with a tokenizer that has none; Error(kIo) as TextFile.
/// Threads  Const calls are safe from several threads. The file is read on first use.
class TextCorpus : public Corpus {
 public:
  static OptionSchema Schema();
  explicit TextCorpus(const Options& options);

  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length_tokens, uint64_t seed) const override;
  /// Over the file's bytes and the options, which say what is made of them.
  std::string digest() const override;

 private:
  const TextFile& file() const;
  void DrawDocuments(const Tokenizer& tokenizer, uint64_t seed, int64_t count, TokenSequences* drawn) const;
  void DrawConcatenated(const Tokenizer& tokenizer, uint64_t seed, int64_t count, TokenSequences* drawn) const;
  std::vector<int32_t> SeparatorIds(const Tokenizer& tokenizer) const;

  std::filesystem::path path_;
  std::string field_, mode_, separator_;
  std::optional<Conversation> conversation_;
  mutable std::once_flag opened_;
  mutable std::unique_ptr<const TextFile> file_;
  mutable std::once_flag digested_;
  mutable std::string digest_;
};

}  // namespace bitlaw
