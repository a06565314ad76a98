#include "text.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {
namespace {

/// A gigabyte of ids, a thousand times what calibration takes.
constexpr int64_t kMaxDrawnTokens = int64_t{1} << 28;

/// All documents as one stream of tokens, of which only the documents asked for are encoded.
class JoinedDocuments {
 public:
  JoinedDocuments(const TextFile& file, const Tokenizer& tokenizer, std::vector<int32_t> separator)
      : file_(file), tokenizer_(tokenizer), separator_(std::move(separator)) {}

  /// Ids of one document, with the separator behind all but the last.
  const std::vector<int32_t>& Ids(int64_t document) {
    const auto [entry, is_new] = encoded_.try_emplace(document);
    if (is_new) {
      entry->second = tokenizer_.Encode(file_.Text(document), false);
      if (document + 1 < file_.num_documents()) {
        entry->second.insert(entry->second.end(), separator_.begin(), separator_.end());
      }
    }
    return entry->second;
  }

  /// True if `length` tokens stand from `offset` of `document` on.
  bool Has(int64_t document, int64_t offset, int64_t length) {
    for (length += offset; length > 0 && document < file_.num_documents(); ++document) {
      length -= static_cast<int64_t>(Ids(document).size());
    }
    return length <= 0;
  }

  /// Appends them to `ids`. Only after Has().
  void Append(int64_t document, int64_t offset, int64_t length, std::vector<int32_t>* ids) {
    for (; length > 0; ++document, offset = 0) {
      const std::vector<int32_t>& source = Ids(document);
      const int64_t taken = std::min(length, static_cast<int64_t>(source.size()) - offset);
      ids->insert(ids->end(), source.begin() + offset, source.begin() + offset + taken);
      length -= taken;
    }
  }

  /// Tokens in the stream's end, counted until `enough`.
  int64_t CountFromEnd(int64_t enough) {
    int64_t tokens = 0;
    for (int64_t document = file_.num_documents() - 1; document >= 0 && tokens < enough; --document) {
      tokens += static_cast<int64_t>(Ids(document).size());
    }
    return tokens;
  }

 private:
  const TextFile& file_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> separator_;
  std::unordered_map<int64_t, std::vector<int32_t>> encoded_;
};

}  // namespace

OptionSchema TextCorpus::Schema() {
  OptionSchema schema;
  schema.Path("path").Doc("A .txt file (one document) or a .jsonl file (one document a line).");
  schema.String("field").Default("text").Doc("The field of a .jsonl line that holds the document.");
  schema.Choice("mode", {"concatenate", "documents"})
      .Doc("What a sequence is cut from: all documents joined, or one document, where shorter ones are skipped.");
  schema.Choice("separator", {"eos", "blank_line", "newline", "none"})
      .Default("eos")
      .Doc("What stands between documents in mode 'concatenate'.");
  Conversation::AddOptions(schema);
  return schema;
}

TextCorpus::TextCorpus(const Options& options)
    : path_(options.String("path")),
      field_(options.String("field")),
      mode_(options.String("mode")),
      separator_(options.String("separator")),
      conversation_(Conversation::From(options)) {
  const std::string extension = path_.extension().string();
  if (extension != ".txt" && extension != ".jsonl") {
    const std::string mark = options.Raw("path").mark().Text();
    throw Error(ErrorKind::kSpec, (mark.empty() ? "corpus 'text'" : mark) + ": path '" + path_.string() +
                                      "' ends in '" + extension + "'. It must be a .txt or .jsonl file.");
  }
  if (conversation_ && extension == ".txt") {
    throw Error(ErrorKind::kSpec, path_.string() + ": a .txt file holds no messages. Leave 'turn' and 'turns' out, or give a "
                                                   ".jsonl file.");
  }
}

const TextFile& TextCorpus::file() const {
  std::call_once(opened_, [this] { 
    file_ = std::make_unique<const TextFile>(path_, field_, conversation_ ? &*conversation_ : nullptr);
  });
  return *file_;
}

std::string TextCorpus::digest() const {
  std::call_once(digested_, [this] {
    // The field counts only where there are fields, the separator only where documents are joined.
    const std::string field = path_.extension() == ".jsonl" ? field_ : "";
    const std::string separator = mode_ == "concatenate" ? separator_ : "";
    // What is read of a .txt file is not always its bytes; version 1 of the reading took them as they are.
    const std::string bytes = path_.extension() == ".txt" ? ReadRegularFile(path_, uint64_t{4} << 30) : "";
    const bool is_as_stored = bytes.find('\r') == std::string::npos && !bytes.starts_with("\xEF\xBB\xBF");
    digest_ = DigestOf(std::string(is_as_stored ? "corpus/text 1\n" : "corpus/text 2\n") + DigestOfFile(path_) + "\n" + path_.extension().string() + "\n" +
                       std::to_string(field.size()) + " " + field + "\n" + mode_ + "\n" + separator + "\n" +
                       (conversation_ ? conversation_->identity() : ""));
  });
  return digest_;
}

TokenSequences TextCorpus::Draw(const Tokenizer& tokenizer, int64_t count, int64_t length_tokens, uint64_t seed) const {
  if (count < 1 || length_tokens < 1) {
    throw InternalError("TextCorpus::Draw(count = " + std::to_string(count) +
                        ", length_tokens = " + std::to_string(length_tokens) + ")");
  }
  if (count > kMaxDrawnTokens / length_tokens) {
    throw Error(ErrorKind::kBudget, path_.string() + ": " + std::to_string(count) + " sequences of " +
                                        std::to_string(length_tokens) + " tokens were asked for. At most " +
                                        std::to_string(kMaxDrawnTokens) + " tokens are drawn together.");
  }
  TokenSequences drawn;
  drawn.count = count;
  drawn.length_tokens = length_tokens;
  if (mode_ == "documents") {
    DrawDocuments(tokenizer, seed, count, &drawn);
  } else {
    DrawConcatenated(tokenizer, seed, count, &drawn);
  }
  return drawn;
}

void TextCorpus::DrawDocuments(const Tokenizer& tokenizer, uint64_t seed, int64_t count, TokenSequences* drawn) const {
  std::vector<int64_t> order(static_cast<size_t>(file().num_documents()));
  std::iota(order.begin(), order.end(), 0);
  Rng rng(seed);
  rng.Shuffle(std::span<int64_t>(order));
  int64_t found = 0;
  for (size_t i = 0; i < order.size() && found < count; ++i) {
    const std::vector<int32_t> ids = tokenizer.Encode(file().Text(order[i]), false);
    const int64_t spare = static_cast<int64_t>(ids.size()) - drawn->length_tokens;
    if (spare < 0) continue;
    const auto begin = ids.begin() + static_cast<int64_t>(rng.Below(static_cast<uint64_t>(spare) + 1));
    drawn->ids.insert(drawn->ids.end(), begin, begin + drawn->length_tokens);
    ++found;
  }
  if (found < count) {
    throw Error(ErrorKind::kSpec, path_.string() + ": " + std::to_string(count) + " sequences of " +
                                      std::to_string(drawn->length_tokens) + " tokens were asked for, and " +
                                      std::to_string(found) + " of its " + std::to_string(order.size()) +
                                      " documents are that long. Ask for at most " + std::to_string(found) +
                                      ", for shorter ones, or for mode 'concatenate'.");
  }
}

void TextCorpus::DrawConcatenated(const Tokenizer& tokenizer, uint64_t seed, int64_t count,
                                  TokenSequences* drawn) const {
  JoinedDocuments joined(file(), tokenizer, SeparatorIds(tokenizer));
  std::vector<uint64_t> size_bytes_to(static_cast<size_t>(file().num_documents()));
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < size_bytes_to.size(); ++i) {
    size_bytes_to[i] = total_bytes += static_cast<uint64_t>(file().size_bytes(static_cast<int64_t>(i)));
  }
  Rng rng(seed);
  bool is_long_enough = false;
  for (int64_t found = 0; found < count;) {
    const uint64_t byte = rng.Below(total_bytes);
    const int64_t document = std::upper_bound(size_bytes_to.begin(), size_bytes_to.end(), byte) - size_bytes_to.begin();
    const size_t tokens = joined.Ids(document).size();
    const auto offset = static_cast<int64_t>(tokens == 0 ? 0 : rng.Below(tokens));
    if (tokens > 0 && joined.Has(document, offset, drawn->length_tokens)) {
      joined.Append(document, offset, drawn->length_tokens, &drawn->ids);
      ++found;
      continue;
    }
    // A window that runs past the end is drawn again, once it is certain that another fits.
    if (is_long_enough) continue;
    const int64_t tail = joined.CountFromEnd(drawn->length_tokens);
    if (tail < drawn->length_tokens) {
      throw Error(ErrorKind::kSpec, path_.string() + ": sequences of " + std::to_string(drawn->length_tokens) +
                                        " tokens were asked for, and the whole text has " + std::to_string(tail) +
                                        ". It can give 0 of that length. Ask for shorter ones or give more text.");
    }
    is_long_enough = true;
  }
}

std::vector<int32_t> TextCorpus::SeparatorIds(const Tokenizer& tokenizer) const {
  if (separator_ == "blank_line") return tokenizer.Encode("\n\n", false);
  if (separator_ == "newline") return tokenizer.Encode("\n", false);
  if (separator_ == "none" || file().num_documents() == 1) return {};
  if (!tokenizer.eos_id()) {
    throw Error(ErrorKind::kSpec, path_.string() +
                                      ": separator 'eos' needs a tokenizer with an end-of-sequence token, and this one "
                                      "has none. Use blank_line, newline or none.");
  }
  return {*tokenizer.eos_id()};
}

}  // namespace bitlaw
