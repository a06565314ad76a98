#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sdk/tokenizer/byte_level_bpe_parts.h"

namespace bitlaw {
namespace {

/// What a name in tokenizer.ggml.pre stands for. Source: the table of names and patterns in llama.cpp's
/// vocabulary reader, and the tokenizer.json files of the models themselves for NFC.
struct PreTokenizer {
  std::vector<std::string_view> names;
  std::vector<const char*> patterns;
  bool ignore_merges = false;
  bool nfc = false;
  bool add_bos = false;
};

constexpr char kLlama3Pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr char kQwen2Pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr char kGpt4oPattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr char kTekkenPattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const std::vector<PreTokenizer>& KnownPreTokenizers() {
  static const std::vector<PreTokenizer> known = {
      {{"gpt-2", "gpt2", "phi-2", "mpt", "olmo", "trillion"}, {kGpt2WordPattern}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
       {"\\p{N}", kGpt2WordPattern}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3"}, {kLlama3Pattern}, true, false, true},
      {{"dbrx", "smaug-bpe"}, {kLlama3Pattern}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2"}, {kQwen2Pattern}, false, true},
      {{"gpt-4o", "llama4"}, {kGpt4oPattern}, true},
      {{"tekken"}, {kTekkenPattern}, true, false, true},
  };
  return known;
}

const PreTokenizer& FindPreTokenizer(const std::string& name, const std::string& origin) {
  if (name.empty() || name == "default") {
    // Files made before the key was invented hold models of every pattern; llama.cpp warns and guesses.
    throw Error(ErrorKind::kUnsupported,
                origin + ": " +
                    (name.empty() ? "tokenizer.ggml.pre is missing" : "tokenizer.ggml.pre is 'default'") +
                    ", so the file does not say how the model cuts text into words, and a guess would change every "
                    "number. Convert the model again, or name its pattern with gguf-new-metadata --pre-tokenizer. "
                    "Known: " + JoinNames(ByteLevelBpe::GgufPreTokenizers()) + ".");
  }
  for (const PreTokenizer& candidate : KnownPreTokenizers()) {
    if (std::find(candidate.names.begin(), candidate.names.end(), name) != candidate.names.end()) return candidate;
  }
  const std::vector<std::string> known = ByteLevelBpe::GgufPreTokenizers();
  throw Error(ErrorKind::kUnsupported, origin + ": tokenizer.ggml.pre is '" + name +
                                           "', whose word pattern bitlaw does not know." + DidYouMean(name, known) +
                                           " Known: " + JoinNames(known) + ".");
}

}  // namespace

std::vector<std::string> ByteLevelBpe::GgufPreTokenizers() {
  std::vector<std::string> names;
  for (const PreTokenizer& known : KnownPreTokenizers()) {
    names.insert(names.end(), known.names.begin(), known.names.end());
  }
  return names;
}

namespace {

void CheckCounts(const GgufVocabulary& vocabulary, const std::string& origin) {
  if (vocabulary.tokens.empty()) throw Error(ErrorKind::kIo, origin + ": tokenizer.ggml.tokens is empty.");
  const auto check = [&](const char* key, size_t entries) {
    if (entries == vocabulary.tokens.size()) return;
    throw Error(ErrorKind::kIo, origin + ": tokenizer.ggml." + key + " has " + std::to_string(entries) +
                                    " entries and tokenizer.ggml.tokens " + std::to_string(vocabulary.tokens.size()) +
                                    ". They must be as many.");
  };
  if (!vocabulary.token_types.empty()) check("token_type", vocabulary.token_types.size());
  if (vocabulary.model == "llama") check("scores", vocabulary.scores.size());
}

// Tokens as the vocabulary has them; control and user-defined ones and the unknown one are looked for in texts.
void AddTokens(const GgufVocabulary& vocabulary, const std::string& origin, ByteLevelBpe::Parts& parts) {
  parts.tokens.Reserve(vocabulary.tokens.size());
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const int32_t type = vocabulary.token_types.empty() ? kNormal : vocabulary.token_types[i];
    if (type == kUnused) continue;  // A row that pads the matrices, under a made-up name.
    parts.AddToken(id, vocabulary.tokens[i]);
    if (type != kControl && type != kUserDefined && type != kUnknown) continue;
    if (const size_t bad = FindInvalidUtf8(vocabulary.tokens[i]); bad != std::string_view::npos) {
      throw Error(ErrorKind::kIo, origin + ": tokenizer.ggml.tokens[" + std::to_string(i) +
                                      "] is looked for in texts (type " + std::to_string(type) + "), but byte " +
                                      std::to_string(bad) + " of it is not UTF-8. The file is damaged.");
    }
    AddedToken added;
    added.id = id;
    added.text = vocabulary.tokens[i];
    added.special = type != kUserDefined;
    parts.AddAdded(std::move(added));
  }
}

// Every pair of tokens whose texts make a third, by the score of that.
void AddMergesByScore(const GgufVocabulary& vocabulary, ByteLevelBpe::Parts& parts) {
  std::vector<float> scores(vocabulary.scores);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  const auto is_normal = [&](int32_t id) {
    return vocabulary.token_types.empty() || vocabulary.token_types[static_cast<size_t>(id)] == kNormal;
  };
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const std::string_view text = vocabulary.tokens[i];
    const auto joined = static_cast<int32_t>(i);
    if (!is_normal(joined) || FindInvalidUtf8(text) != std::string_view::npos) continue;
    const auto rank = std::lower_bound(scores.begin(), scores.end(), vocabulary.scores[i], std::greater<>());
    for (size_t at = 0; at < text.size();) {
      at += Utf8Length(static_cast<unsigned char>(text[at]));
      if (at >= text.size()) break;
      const int32_t left = parts.tokens.Find(text.substr(0, at)), right = parts.tokens.Find(text.substr(at));
      if (left < 0 || right < 0 || !is_normal(left) || !is_normal(right)) continue;
      parts.merges.Set(left, right, static_cast<int32_t>(rank - scores.begin()), joined);
      parts.merge_list.push_back({left, right});
    }
  }
}

}  // namespace

std::unique_ptr<ByteLevelBpe> ByteLevelBpe::FromGguf(const GgufVocabulary& vocabulary, const std::string& origin) {
  const bool has_scores = vocabulary.model == "llama";
  if (vocabulary.model != "gpt2" && !has_scores) {
    throw Error(ErrorKind::kUnsupported, origin + ": tokenizer.ggml.model is '" + vocabulary.model +
                                             "'. bitlaw reads 'gpt2', which is byte-level BPE, and 'llama', which is "
                                             "SentencePiece's.");
  }
  CheckCounts(vocabulary, origin);
  auto parts = std::make_unique<Parts>();
  parts->origin = origin;
  bool adds_bos = true;
  if (has_scores) {
    const bool adds_space = vocabulary.add_space_prefix.value_or(true);
    parts->has_byte_letters = false;
    parts->byte_fallback = true;
    if (adds_space) parts->normalizer.push_back({NormalizerStep::Kind::kPrepend, "", kMetaspace});
    parts->normalizer.push_back({NormalizerStep::Kind::kReplace, " ", kMetaspace});
    parts->decoder = {{DecoderStep::Kind::kReplace, kMetaspace, " "}, {DecoderStep::Kind::kByteFallback, "", ""},
                      {DecoderStep::Kind::kFuse, "", ""}};
    if (adds_space) parts->decoder.push_back({DecoderStep::Kind::kStrip, " ", "", 1});
    AddTokens(vocabulary, origin, *parts);
    AddMergesByScore(vocabulary, *parts);
  } else {
    const PreTokenizer& pre = FindPreTokenizer(vocabulary.pre, origin);
    adds_bos = pre.add_bos;
    parts->ignore_merges = pre.ignore_merges;
    if (pre.nfc) parts->normalizer = {{NormalizerStep::Kind::kNfc, "", ""}};
    for (const char* pattern : pre.patterns) parts->splitter.AddPattern(pattern, WordSplitter::Keep::kBoth, origin);
    AddTokens(vocabulary, origin, *parts);
    parts->merges.Reserve(vocabulary.merges.size());
    for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
      parts->AddMergeLine(static_cast<int32_t>(i), vocabulary.merges[i]);
    }
  }
  parts->special = vocabulary.special;
  parts->Finish();
  const auto need = [&](const char* flag, const std::optional<int32_t>& id) {
    if (!id)
      throw Error(ErrorKind::kIo, origin + ": tokenizer.ggml." + flag + " is true, but the file names no such token.");
    return *id;
  };
  if (vocabulary.add_bos.value_or(adds_bos)) {
    parts->template_prefix = {need("add_bos_token", parts->special.bos)};
  }
  if (vocabulary.add_eos.value_or(false)) parts->template_suffix = {need("add_eos_token", parts->special.eos)};
  return std::make_unique<ByteLevelBpe>(std::move(parts));
}

namespace {

// Tokens as they are written, with their types.
void TakeTokens(const ByteLevelBpe::Parts& parts, int64_t vocab_size, GgufTokenizer& result) {
  const int64_t size = std::max(vocab_size, parts.tokens.size());
  for (int64_t i = 0; i < size; ++i) {
    const auto id = static_cast<int32_t>(i);
    const bool is_token = parts.tokens.Has(id);
    const std::string_view bytes = is_token ? parts.tokens.Bytes(id) : std::string_view();
    const bool has_letters = is_token && parts.has_byte_letters && parts.tokens.Find(bytes) == id;
    result.tokens.push_back(!is_token     ? "[PAD" + std::to_string(i) + "]"
                            : has_letters ? LettersOfBytes(bytes)
                                          : std::string(bytes));
    result.token_types.push_back(is_token ? kNormal : kUnused);
  }
  for (const AddedTokenFinder* finder : {&parts.raw_added, &parts.normalized_added}) {
    for (const AddedToken& token : finder->tokens()) {
      const auto id = static_cast<size_t>(token.id);
      result.tokens[id] = token.text;
      result.token_types[id] = token.special ? kControl : kUserDefined;
    }
  }
  if (parts.has_byte_letters) return;
  if (parts.unknown_id >= 0) result.token_types[static_cast<size_t>(parts.unknown_id)] = kUnknown;
  for (const int32_t id : parts.byte_ids) {
    if (id >= 0) result.token_types[static_cast<size_t>(id)] = kByte;
  }
}

// Gives the added tokens of `read` the order of `own`, and which of them are looked for in normalized text: without a
// normalizer that is all one.
void OrderAddedTokens(const ByteLevelBpe::Parts& own, ByteLevelBpe::Parts& read) {
  std::map<int32_t, AddedToken> added;
  for (const AddedToken& token : read.raw_added.tokens()) added[token.id] = token;
  read.raw_added = read.normalized_added = {};
  for (const AddedTokenFinder* finder : {&own.raw_added, &own.normalized_added}) {
    for (const AddedToken& token : finder->tokens()) {
      AddedToken& one = added[token.id];
      one.normalized = token.normalized;
      read.AddAdded(one);
    }
  }
}

GgufVocabulary ViewOf(const GgufTokenizer& tokenizer) {
  GgufVocabulary view;
  view.model = tokenizer.model;
  view.pre = tokenizer.pre;
  view.tokens.assign(tokenizer.tokens.begin(), tokenizer.tokens.end());
  view.merges.assign(tokenizer.merges.begin(), tokenizer.merges.end());
  view.scores = tokenizer.scores;
  view.token_types = tokenizer.token_types;
  view.special = {tokenizer.bos, tokenizer.eos, tokenizer.stop, ""};
  view.add_bos = tokenizer.add_bos;
  view.add_eos = tokenizer.add_eos;
  view.add_space_prefix = tokenizer.add_space_prefix;
  return view;
}

// BOS, EOS and the other roles, and whether texts get the first two.
void TakeRoles(const ByteLevelBpe::Parts& parts, GgufTokenizer& result) {
  result.bos = parts.special.bos;
  result.eos = parts.special.eos;
  if (parts.unknown_id >= 0) result.unknown = parts.unknown_id;
  for (const int32_t id : parts.special.stop) {
    if (id != result.eos) result.stop.push_back(id);
  }
  const auto is_one = [](const std::vector<int32_t>& ids, const std::optional<int32_t>& role) {
    return ids.empty() || (ids.size() == 1 && role == ids.front());
  };
  if (!is_one(parts.template_prefix, result.bos) || !is_one(parts.template_suffix, result.eos)) {
    CannotSayInGguf(parts.origin, "its template puts other tokens than BOS in front, or than EOS behind.");
  }
  result.add_bos = !parts.template_prefix.empty();
  result.add_eos = !parts.template_suffix.empty();
}

}  // namespace

GgufTokenizer ByteLevelBpe::ForGguf(int64_t vocab_size) const {
  const Parts& parts = *parts_;
  if (parts.splits_special || (!parts.normalized_added.empty() && !parts.normalizer.empty())) {
    CannotSayInGguf(parts.origin, "it looks for added tokens in normalized text, or splits special ones.");
  }
  GgufTokenizer result;
  TakeTokens(parts, vocab_size, result);
  TakeRoles(parts, result);
  const auto is_said = [&] {
    const std::unique_ptr<ByteLevelBpe> read = FromGguf(ViewOf(result), parts.origin);
    OrderAddedTokens(parts, *read->parts_);
    read->parts_->unknown_id = parts.unknown_id;  // Of bytes that no token has; llama.cpp leaves them out.
    read->parts_->fuse_unknown = parts.fuse_unknown;
    if (!parts.has_byte_letters) read->parts_->merge_list = parts.merge_list;  // ScoresOfMerges() compared them.
    return read->digest() == digest();
  };
  if (!parts.has_byte_letters) {
    const auto lacks = [](int32_t id) { return id < 0; };
    if (!parts.byte_fallback || std::any_of(parts.byte_ids.begin(), parts.byte_ids.end(), lacks)) {
      CannotSayInGguf(parts.origin, "its tokens are characters, and some bytes have none to fall back to.");
    }
    result.model = "llama";
    result.pre = "default";
    result.scores = ScoresOfMerges(parts, result.token_types);
    for (const bool adds_space : {true, false}) {
      result.add_space_prefix = adds_space;
      if (is_said()) return result;
    }
    CannotSayInGguf(parts.origin,
                    "its tokens are characters, and readers of the format put a space in front of each stretch between added "
                    "tokens or of none, write spaces as U+2581 and cut no words. Its normalizer, pre_tokenizer or decoder "
                    "do something else, or its added tokens have flags. Of Metaspace, prepend_scheme first is not said.");
  }
  result.model = "gpt2";
  for (const auto& [left, right] : parts.merge_list) {
    result.merges.push_back(LettersOfBytes(parts.tokens.Bytes(left)) + " " + LettersOfBytes(parts.tokens.Bytes(right)));
  }
  for (const PreTokenizer& candidate : KnownPreTokenizers()) {
    result.pre = candidate.names.front();
    if (is_said()) return result;
  }
  CannotSayInGguf(parts.origin, "none of the patterns that tokenizer.ggml.pre names cuts its words, or its added tokens have "
                                "flags that the format lacks. Named are: " + JoinNames(GgufPreTokenizers()) + ".");
}

}  // namespace bitlaw
