#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <queue>

#include "base/text/valid_utf8.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sdk/tokenizer/byte_level_bpe_parts.h"

namespace bitlaw {
namespace {

/// Byte letter -> byte, for the letters U+0021 to U+0143; -1 where there is none. GPT-2's table: printable Latin-1
/// stands for itself, the other 68 bytes get U+0100 and up, in order.
struct ByteLetters {
  std::array<int16_t, 0x144> byte_of;
  ByteLetters() {
    byte_of.fill(-1);
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
      byte_of[printable ? b : next++] = static_cast<int16_t>(b);
    }
  }
};

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

std::string ComposedNfc(std::string_view text) {
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &composed, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  if (size < 0) throw InternalError(std::string("utf8proc: ") + utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(composed), static_cast<size_t>(size));
}

std::optional<std::string> BytesOfLetters(std::string_view written) {
  static const ByteLetters letters;
  std::string bytes;
  bytes.reserve(written.size());
  for (size_t i = 0; i < written.size(); ++i) {
    uint32_t c = static_cast<unsigned char>(written[i]);
    if (c >= 0x80) {  // Letters need two bytes at most.
      if (c < 0xC2 || c > 0xC5 || i + 1 >= written.size()) return std::nullopt;
      c = (c & 0x1F) << 6 | (static_cast<unsigned char>(written[++i]) & 0x3F);
    }
    if (c >= letters.byte_of.size() || letters.byte_of[c] < 0) return std::nullopt;
    bytes += static_cast<char>(letters.byte_of[c]);
  }
  return bytes;
}

std::string LettersOfBytes(std::string_view bytes) {
  static const ByteLetters letters;
  std::array<std::string, 256> letter_of;
  for (size_t c = 0; c < letters.byte_of.size(); ++c) {
    if (letters.byte_of[c] < 0) continue;
    std::string& letter = letter_of[static_cast<size_t>(letters.byte_of[c])];
    if (c >= 0x80) letter += static_cast<char>(0xC0 | c >> 6);
    letter += static_cast<char>(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
  }
  std::string written;
  for (const char byte : bytes) written += letter_of[static_cast<unsigned char>(byte)];
  return written;
}

std::string ByteLevelBpe::Parts::BytesOf(std::string_view written) const {
  const std::optional<std::string> bytes = has_byte_letters ? BytesOfLetters(written) : std::nullopt;
  return bytes ? *bytes : std::string(written);
}

bool ByteLevelBpe::Parts::AddToken(int32_t id, std::string_view written) {
  if (!has_byte_letters) return tokens.Add(id, written, true);
  const std::optional<std::string> bytes = BytesOfLetters(written);
  return bytes ? tokens.Add(id, *bytes, true) : tokens.Add(id, written, false);
}

void ByteLevelBpe::Parts::AddMergeLine(int32_t rank, std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    throw Error(ErrorKind::kIo, origin + ": merge " + std::to_string(rank) + " is '" + std::string(line.substr(0, 80)) +
                                    "'. It must be two tokens with one space between them.");
  }
  AddMerge(rank, line.substr(0, space), line.substr(space + 1));
}

void ByteLevelBpe::Parts::AddMerge(int32_t rank, std::string_view left, std::string_view right) {
  const auto find = [&](std::string_view written, const std::string& bytes) {
    const int32_t id = tokens.Find(bytes);
    if (id < 0) {
      throw Error(ErrorKind::kIo, origin + ": merge " + std::to_string(rank) + " ('" + std::string(left.substr(0, 80)) +
                                      "' + '" + std::string(right.substr(0, 80)) + "') needs the token '" +
                                      std::string(written.substr(0, 160)) + "', which the vocabulary lacks.");
    }
    return id;
  };
  const std::string left_bytes = BytesOf(left), right_bytes = BytesOf(right);
  const int32_t left_id = find(left, left_bytes), right_id = find(right, right_bytes);
  const int32_t joined = find(std::string(left) + std::string(right), left_bytes + right_bytes);
  merges.Set(left_id, right_id, rank, joined);
  merge_list.push_back({left_id, right_id});
}

void ByteLevelBpe::Parts::AddAdded(AddedToken token) {
  if (static_cast<size_t>(token.id) >= is_special.size()) is_special.resize(token.id + 1, false);
  if (token.special) is_special[token.id] = true;
  if (token.special && splits_special) return;
  (token.normalized ? normalized_added : raw_added).Add(std::move(token));
}

void ByteLevelBpe::Parts::Finish() {
  is_special.resize(tokens.size(), false);
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    byte_ids[b] = has_byte_letters ? tokens.Find({&byte, 1}) : tokens.Find(fmt::format("<0x{:02X}>", b));
  }
  std::vector<int32_t> stop;
  const auto check = [&](std::string_view role, int32_t id) {
    if (!tokens.Has(id) || id < 0) {
      const std::string& where = special.where.empty() ? origin : special.where;
      throw Error(ErrorKind::kIo, where + ": " + std::string(role) + " token id " + std::to_string(id) +
                                      " is no token of the vocabulary, which has ids 0 to " +
                                      std::to_string(tokens.size() - 1) + ".");
    }
  };
  const auto add_stop = [&](int32_t id) {
    if (std::find(stop.begin(), stop.end(), id) == stop.end()) stop.push_back(id);
  };
  if (special.bos) check("bos", *special.bos);
  if (special.eos) check("eos", *special.eos), add_stop(*special.eos);
  for (const int32_t id : special.stop) check("stop", id), add_stop(id);
  special.stop = std::move(stop);
}

// The tokens that a word begins with, before any merge. The public library drops what the vocabulary cannot say.
std::vector<int32_t> ByteLevelBpe::Parts::SymbolsOf(std::string_view word) const {
  std::vector<int32_t> ids;
  ids.reserve(word.size());
  if (has_byte_letters) {
    bool last_unknown = false;
    for (const char c : word) {
      int32_t id = byte_ids[static_cast<unsigned char>(c)];
      const bool unknown = id < 0;
      if (unknown) id = unknown_id;
      const bool fused = unknown && last_unknown && fuse_unknown;
      last_unknown = unknown;
      if (id >= 0 && !fused) ids.push_back(id);
    }
    return ids;
  }
  // An unknown token stands where the next known character does, after the bytes of others between: so does the public
  // library's.
  bool is_pending = false;
  const auto put_pending = [&] {
    if (is_pending && unknown_id >= 0) ids.push_back(unknown_id);
    is_pending = false;
  };
  for (size_t at = 0, length = 0; at < word.size(); at += length) {
    length = Utf8Length(static_cast<unsigned char>(word[at]));
    const std::string_view character = word.substr(at, length);
    if (const int32_t id = tokens.Find(character); id >= 0) {
      put_pending();
      ids.push_back(id);
      continue;
    }
    const auto has_byte = [&](char c) { return byte_ids[static_cast<unsigned char>(c)] >= 0; };
    if (byte_fallback && std::all_of(character.begin(), character.end(), has_byte)) {
      for (const char c : character) ids.push_back(byte_ids[static_cast<unsigned char>(c)]);
      continue;
    }
    if (!fuse_unknown) put_pending();
    is_pending = true;
  }
  put_pending();
  return ids;
}

void ByteLevelBpe::Parts::MergeWord(std::string_view word, std::vector<int32_t>* ids) const {
  struct Symbol {
    int32_t id, previous, next;
  };
  std::vector<Symbol> symbols;
  for (const int32_t id : SymbolsOf(word)) {
    const auto at = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, at - 1, at + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  struct Candidate {
    int32_t rank, at, joined;
    bool operator<(const Candidate& other) const {  // The heap's top is the lowest rank, then the leftmost.
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  std::vector<Candidate> storage;
  storage.reserve(symbols.size());
  std::priority_queue<Candidate> heap({}, std::move(storage));
  const auto consider = [&](int32_t at) {
    if (at < 0 || symbols[at].next < 0) return;
    if (const MergeTable::Entry* entry = merges.Find(symbols[at].id, symbols[symbols[at].next].id)) {
      heap.push({entry->rank, at, entry->joined});
    }
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) consider(static_cast<int32_t>(i));
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    Symbol& left = symbols[best.at];
    if (left.id < 0 || left.next < 0) continue;  // Swallowed by an earlier merge, or last by now.
    const MergeTable::Entry* entry = merges.Find(left.id, symbols[left.next].id);
    if (entry == nullptr || entry->joined != best.joined) continue;  // A neighbour has changed since.
    Symbol& right = symbols[left.next];
    left.id = best.joined;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  for (int32_t at = 0; at >= 0; at = symbols[at].next) ids->push_back(symbols[at].id);
}

void ByteLevelBpe::Parts::EncodeWord(std::string_view word, std::vector<int32_t>* ids) const {
  if (ignore_merges || word.size() == 1) {
    if (const int32_t id = tokens.Find(word); id >= 0) return ids->push_back(id);
  }
  if (cache.Get(word, ids)) return;
  const size_t before = ids->size();
  MergeWord(word, ids);
  cache.Put(word, ids->data() + before, ids->size() - before);
}

namespace {

void ReplaceEach(const std::string& from, const std::string& to, std::string* text) {
  for (size_t at = 0; !from.empty() && (at = text->find(from, at)) != std::string::npos; at += to.size()) {
    text->replace(at, from.size(), to);
  }
}

}  // namespace

std::string ByteLevelBpe::Parts::Normalized(std::string_view text) const {
  std::string result(text);
  for (const NormalizerStep& step : normalizer) {
    switch (step.kind) {
      case NormalizerStep::Kind::kNfc:
        if (!IsAscii(result)) result = ComposedNfc(result);
        break;
      case NormalizerStep::Kind::kPrepend:
        if (!result.empty()) result.insert(0, step.to);
        break;
      case NormalizerStep::Kind::kReplace: ReplaceEach(step.from, step.to, &result); break;
    }
  }
  return result;
}

void ByteLevelBpe::Parts::EncodeText(std::string_view text, std::vector<int32_t>* ids) const {
  std::vector<std::pair<int32_t, std::string_view>> stretches, inner;
  std::vector<std::string_view> words;
  std::string normalized, spaced;
  raw_added.Cut(text, &stretches);
  for (const auto& [id, stretch] : stretches) {
    if (id >= 0) {
      ids->push_back(id);
      continue;
    }
    std::string_view plain = stretch;
    const bool is_first = stretch.data() == text.data();
    if (!normalizer.empty()) plain = normalized = Normalized(stretch);
    normalized_added.Cut(plain, &inner);
    for (const auto& [inner_id, piece] : inner) {
      if (inner_id >= 0) {
        ids->push_back(inner_id);
        continue;
      }
      splitter.Split(piece, is_first && piece.data() == plain.data(), &spaced, &words);
      for (const std::string_view word : words) EncodeWord(word, ids);
    }
  }
}

std::string ByteLevelBpe::Parts::ComputeDigest() const {
  Digest digest;
  const auto add_text = [&](std::string_view text) { digest.Add(std::to_string(text.size()) + ":").Add(text); };
  const auto add_ids = [&](const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) digest.Add(std::to_string(id) + ",");
    digest.Add(";");
  };
  digest.Add(has_byte_letters ? "byte_level_bpe 1\n" : "character_bpe 1\n");
  std::string flat;
  for (int64_t id = 0; id < tokens.size(); ++id) {
    const std::string_view bytes = tokens.Bytes(static_cast<int32_t>(id));
    flat += tokens.Has(static_cast<int32_t>(id)) ? std::to_string(bytes.size()) : "-";
    flat += ':';
    flat += bytes;
  }
  flat += '\n';
  for (const auto& [left, right] : merge_list) flat += std::to_string(left) + " " + std::to_string(right) + ",";
  digest.Add(flat);
  digest.Add(ignore_merges ? "\nwhole words first" : "\n");
  std::string steps;
  for (const NormalizerStep& step : normalizer) {
    if (step.kind == NormalizerStep::Kind::kNfc) {
      if (!steps.ends_with("NFC")) steps += "NFC";  // Twice is once.
    } else {
      steps += "|" + std::to_string(static_cast<int>(step.kind)) + step.from + "|" + step.to;
    }
  }
  digest.Add("\n" + steps + "\n");
  if (!has_byte_letters) {
    digest.Add(byte_fallback ? "bytes for unknown characters\n" : "\n");
    for (const DecoderStep& step : decoder) {
      digest.Add(std::to_string(static_cast<int>(step.kind)) + step.from + "|" + step.to + "|" +
                 std::to_string(step.count) + "\n");
    }
  }
  digest.Add(std::to_string(unknown_id) + (fuse_unknown ? " fused\n" : "\n"));
  add_text(splitter.Description());
  for (const AddedTokenFinder* finder : {&raw_added, &normalized_added}) {
    for (const AddedToken& token : finder->tokens()) {
      add_text(token.text);
      digest.Add(std::to_string(token.id) + (token.special ? "s" : "-") + (token.single_word ? "w" : "-") +
                 (token.strip_left ? "l" : "-") + (token.strip_right ? "r" : "-"));
    }
    digest.Add("\n");
  }
  add_ids(template_prefix);
  add_ids(template_suffix);
  return digest.Hex();
}

ByteLevelBpe::ByteLevelBpe(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ByteLevelBpe::~ByteLevelBpe() = default;

std::vector<int32_t> ByteLevelBpe::Encode(std::string_view text, bool add_special_tokens) const {
  std::string replaced;
  if (FindInvalidUtf8(text) != std::string_view::npos) text = replaced = ValidUtf8(text);
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  if (add_special_tokens) ids = parts_->template_prefix;
  parts_->EncodeText(text, &ids);
  if (add_special_tokens) ids.insert(ids.end(), parts_->template_suffix.begin(), parts_->template_suffix.end());
  return ids;
}

namespace {

std::optional<char> ByteOf(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned byte = 0;
  const auto [end, fault] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (fault != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

std::vector<std::string> WithBytes(const std::vector<std::string>& texts) {
  std::vector<std::string> result;
  std::string bytes;
  const auto put = [&] {
    if (bytes.empty()) return;
    if (FindInvalidUtf8(bytes) != std::string::npos) {
      result.insert(result.end(), bytes.size(), "\xEF\xBF\xBD");
    } else {
      result.push_back(bytes);
    }
    bytes.clear();
  };
  for (const std::string& text : texts) {
    if (const auto byte = ByteOf(text)) {
      bytes += *byte;
      continue;
    }
    put();
    result.push_back(text);
  }
  put();
  return result;
}

void Apply(const DecoderStep& step, std::vector<std::string>* texts) {
  using Kind = DecoderStep::Kind;
  if (step.kind == Kind::kByteFallback) *texts = WithBytes(*texts);
  if (step.kind == Kind::kFuse) {
    std::string all;
    for (const std::string& text : *texts) all += text;
    *texts = {all};
  }
  for (size_t i = 0; i < texts->size(); ++i) {
    std::string& text = (*texts)[i];
    if (step.kind == Kind::kReplace) ReplaceEach(step.from, step.to, &text);
    if (step.kind == Kind::kMetaspace) ReplaceEach(step.from, i == 0 && step.count == 1 ? "" : " ", &text);
    for (int64_t n = 0; step.kind == Kind::kStrip && n < step.count && text.starts_with(step.from); ++n) {
      text.erase(0, step.from.size());
    }
  }
}

}  // namespace

std::string ByteLevelBpe::Parts::DecodeCharacters(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> texts;
  for (const int32_t id : ids) {
    if (!tokens.Has(id) || id < 0 || (skip_special_tokens && is_special[id])) continue;
    const auto other = other_texts.find(id);
    texts.push_back(other != other_texts.end() ? other->second : std::string(tokens.Bytes(id)));
  }
  for (const DecoderStep& step : decoder) Apply(step, &texts);
  std::string text;
  for (const std::string& one : texts) text += one;
  return text;
}

std::string ByteLevelBpe::Decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  if (!parts_->has_byte_letters) return parts_->DecodeCharacters(ids, skip_special_tokens);
  std::string bytes;
  for (const int32_t id : ids) {
    if (id < 0 || id >= parts_->tokens.size() || (skip_special_tokens && parts_->is_special[id])) continue;
    const auto other = parts_->other_texts.find(id);
    bytes += other != parts_->other_texts.end() ? other->second : parts_->tokens.Bytes(id);
  }
  return ValidUtf8(bytes);
}

int64_t ByteLevelBpe::vocab_size() const { return parts_->tokens.size(); }
std::optional<int32_t> ByteLevelBpe::bos_id() const { return parts_->special.bos; }
std::optional<int32_t> ByteLevelBpe::eos_id() const { return parts_->special.eos; }
std::vector<int32_t> ByteLevelBpe::stop_ids() const { return parts_->special.stop; }

const std::string& ByteLevelBpe::digest() const {
  std::call_once(parts_->digest_once, [this] { parts_->digest = parts_->ComputeDigest(); });
  return parts_->digest;
}

std::optional<int32_t> ByteLevelBpe::FindToken(std::string_view text) const {
  for (const AddedTokenFinder* finder : {&parts_->raw_added, &parts_->normalized_added}) {
    for (const AddedToken& token : finder->tokens()) {
      if (token.text == text) return token.id;
    }
  }
  std::string written(text);
  if (!parts_->has_byte_letters) ReplaceEach(" ", kMetaspace, &written);
  const int32_t id = parts_->tokens.Find(written);
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

}  // namespace bitlaw
