#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/json_text.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "sdk/tokenizer/byte_level_bpe_parts.h"
#include "sdk/tokenizer/tokenizer_json_fields.h"
#include "sdk/tokenizer/tokenizer_json_reader.h"
#include "sdk/tokenizer/tokenizer_settings.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;

// The largest tokenizers of a quarter million entries take 40 MB.
constexpr uint64_t kMaxTokenizerBytes = 256 << 20;

class Builder : private TokenizerJsonFields {
 public:
  Builder(const std::string& origin, TokenizerJsonReader* read) : TokenizerJsonFields(origin), read_(*read) {}

  std::unique_ptr<ByteLevelBpe> Build(const SpecialTokenIds& special, const TokenizerSettings& settings) {
    parts_->origin = origin_;
    parts_->splits_special = settings.splits_special;
    const Json& document = read_.rest;
    if (!document.is_object() || !document.contains("model") || !document["model"].is_object()) {
      throw Malformed("has no 'model'. It must be a tokenizer.json of the tokenizers library.");
    }
    parts_->has_byte_letters = MentionsByteLevel(Field(document, "pre_tokenizer"));
    ReadModel(document["model"]);
    ReadNormalizer(Field(document, "normalizer"), "normalizer");
    ReadAddedTokens(Field(document, "added_tokens"));
    ApplySettings(settings);
    for (AddedToken& token : added_) Register(std::move(token));
    ReadPreTokenizer(Field(document, "pre_tokenizer"), "pre_tokenizer");
    ReadPostProcessor(Field(document, "post_processor"));
    if (parts_->has_byte_letters) {
      RequireByteLevelDecoder(Field(document, "decoder"));
    } else {
      ReadDecoder(Field(document, "decoder"), "decoder");
    }
    parts_->special = special;
    if (settings.has_roles()) {
      parts_->special.bos = RoleId(settings.bos);
      if (!settings.eos.empty()) parts_->special.eos = RoleId(settings.eos);
    } else if (!special.bos && parts_->template_prefix.size() == 1) {
      parts_->special.bos = parts_->template_prefix[0];
    }
    parts_->Finish();
    return std::make_unique<ByteLevelBpe>(std::move(parts_));
  }

 private:
  bool MentionsByteLevel(const Json& stage) const {
    if (!stage.is_object()) return false;
    const Json& list = Field(stage, "pretokenizers");
    const auto mentions = [&](const Json& one) { return MentionsByteLevel(one); };
    return Field(stage, "type") == "ByteLevel" || (list.is_array() && std::any_of(list.begin(), list.end(), mentions));
  }

  void ReadModel(const Json& model) {
    // Old files leave out the type; then it is BPE, or the keys below are missing.
    const std::string type = model.contains("type") ? Type(model, "model") : "BPE";
    if (type != "BPE") throw Unsupported("model.type is '" + type + "'. bitlaw reads BPE only.");
    const auto refuse_text = [&](const char* name) {
      const Json& value = Field(model, name);
      if (!value.is_null() && value != "") {
        throw Unsupported(std::string("model.") + name + " is " + Shown(value) + ". bitlaw reads only null.");
      }
    };
    refuse_text("continuing_subword_prefix");
    refuse_text("end_of_word_suffix");
    if (const Json& dropout = Field(model, "dropout"); !dropout.is_null() && dropout != 0.0) {
      throw Unsupported("model.dropout is " + Shown(dropout) + ". bitlaw reads only null.");
    }
    parts_->byte_fallback = Flag(model, "byte_fallback", false, "model");
    if (parts_->byte_fallback && parts_->has_byte_letters) {
      throw Unsupported("model.byte_fallback is true. With a ByteLevel pre_tokenizer it must be false.");
    }
    parts_->ignore_merges = Flag(model, "ignore_merges", false, "model");
    parts_->fuse_unknown = Flag(model, "fuse_unk", false, "model");

    for (const char* name : {"vocab", "merges"}) {  // These two are read aside, unless they have the wrong type.
      if (model.contains(name)) {
        throw Malformed(std::string("model.") + name + " is " + Shown(model[name]) + ", not " +
                                     (name[0] == 'v' ? "an object." : "a list."));
      }
    }
    if (!read_.has_merges) throw Malformed("model.merges is missing. A list without entries is allowed.");
    if (read_.vocabulary.empty()) throw Malformed("model.vocab has no entries.");
    // A hostile id must not make a huge table: real vocabularies have few holes.
    const auto limit = static_cast<int64_t>(4 * read_.vocabulary.size() + 65536);
    parts_->tokens.Reserve(read_.vocabulary.size());
    // In id order, so that equal tables come from equal files however these are sorted.
    std::sort(read_.vocabulary.begin(), read_.vocabulary.end(),
              [](const auto& a, const auto& b) { return a.second < b.second; });
    for (const auto& [written, id] : read_.vocabulary) {
      CheckId(id, limit, "model.vocab['" + written + "']");
      if (!parts_->AddToken(static_cast<int32_t>(id), written)) {
        throw Malformed(
                        "model.vocab gives id " + std::to_string(id) + " to '" + written + "' and to another token.");
      }
    }
    id_limit_ = limit;
    if (const Json& unknown = Field(model, "unk_token"); !unknown.is_null()) {
      if (!unknown.is_string()) throw Malformed("model.unk_token is " + Shown(unknown) + ", not a string.");
      const std::string text = unknown.get<std::string>();
      parts_->unknown_id = parts_->tokens.Find(parts_->BytesOf(text));
      if (parts_->unknown_id < 0) throw Malformed("model.unk_token '" + text + "' is not in model.vocab.");
    }
    if (!read_.merges.empty() && !read_.pairs.empty()) {
      throw Malformed("model.merges mixes 'left right' and ['left', 'right'].");
    }
    parts_->merges.Reserve(read_.merges.size() + read_.pairs.size());
    int32_t rank = 0;
    for (const std::string& line : read_.merges) parts_->AddMergeLine(rank++, line);
    for (const auto& [left, right] : read_.pairs) parts_->AddMerge(rank++, left, right);
  }

  void CheckId(int64_t id, int64_t limit, const std::string& where) const {
    if (id < 0 || id >= limit) {
      throw Malformed(where + " has id " + std::to_string(id) + ". Ids must lie in [0, " +
                                   std::to_string(limit) + ") for a vocabulary of this size.");
    }
  }

  void ReadNormalizer(const Json& normalizer, const std::string& where) {
    using Kind = NormalizerStep::Kind;
    if (normalizer.is_null()) return;
    const std::string type = Type(normalizer, where);
    if (type == "NFC") {
      parts_->normalizer.push_back({Kind::kNfc, "", ""});
    } else if (type == "Prepend") {
      parts_->normalizer.push_back({Kind::kPrepend, "", Text(normalizer, "prepend", where)});
    } else if (type == "Replace") {
      parts_->normalizer.push_back({Kind::kReplace, Literal(normalizer, where), Text(normalizer, "content", where)});
    } else if (type == "Sequence" && Field(normalizer, "normalizers").is_array()) {
      for (const Json& part : normalizer["normalizers"]) ReadNormalizer(part, where);
    } else {
      throw Unsupported(where + " '" + type +
                                     "' is not supported. bitlaw reads null, NFC, Prepend, Replace and Sequence.");
    }
  }

  void ReadAddedTokens(const Json& list) {
    if (list.is_null()) return;
    if (!list.is_array()) throw Malformed("added_tokens is " + Shown(list) + ", not a list.");
    id_limit_ += static_cast<int64_t>(4 * list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string where = "added_tokens[" + std::to_string(i) + "]";
      const Json& entry = list[i];
      const Json& content = entry.is_object() ? Field(entry, "content") : entry;
      const Json& id = entry.is_object() ? Field(entry, "id") : entry;
      if (!entry.is_object() || !content.is_string() || !id.is_number_integer()) {
        throw Malformed(where + " is " + Shown(entry) + ". It needs an integer 'id' and a string 'content'.");
      }
      AddedToken token;
      CheckId(id.get<int64_t>(), id_limit_, where);
      token.id = id.get<int32_t>();
      token.text = content.get<std::string>();
      token.special = Flag(entry, "special", false, where);
      token.single_word = Flag(entry, "single_word", false, where);
      token.strip_left = Flag(entry, "lstrip", false, where);
      token.strip_right = Flag(entry, "rstrip", false, where);
      token.normalized = Flag(entry, "normalized", !token.special, where);
      if (AddedToken* twin = FindAdded(token.text); twin != nullptr && twin->id != token.id) {
        throw Malformed(where + " gives id " + std::to_string(token.id) + " to '" + token.text +
                                     "', which has id " + std::to_string(twin->id) + " already.");
      }
      Append(std::move(token), where);
    }
  }

  // The rules of transformers 5: what the settings say of a token replaces its flags, except that a special token
  // stays special; a token that is new gets the id of the vocabulary's entry of this text, or the next free one.
  void ApplySettings(const TokenizerSettings& settings) {
    for (const auto& [stated, where] : settings.added) {
      if (stated.text.empty()) continue;
      if (AddedToken* known = FindAdded(stated.text)) {
        RequireSameId(stated, where, known->id, "which " + origin_ + " gives it");
        const bool special = known->special || stated.special;
        *known = stated;
        known->special = special;
      } else {
        RequireSameId(stated, where, AppendAdded(stated, where), "which is its own or the next free one in " + origin_);
      }
    }
    for (const auto& [token, where] : settings.special) {
      if (AddedToken* known = FindAdded(token.text)) {
        known->special = true;
      } else {
        AppendAdded(token, where);
      }
    }
    for (const auto& [token, where] : settings.extra) {
      if (!token.text.empty() && FindAdded(token.text) == nullptr) AppendAdded(token, where);
    }
  }

  AddedToken* FindAdded(const std::string& text) {
    const auto found = added_index_.find(text);
    return found == added_index_.end() ? nullptr : &added_[found->second];
  }

  void Append(AddedToken token, const std::string& where) {
    largest_added_id_ = std::max(largest_added_id_, token.id);
    added_index_.emplace(token.text, added_.size());
    added_where_.push_back(where);
    added_.push_back(std::move(token));
  }

  int32_t AppendAdded(AddedToken token, const std::string& where) {
    if (written_index_.empty()) {
      for (const auto& [written, id] : read_.vocabulary) written_index_.emplace(written, static_cast<int32_t>(id));
    }
    const auto entry = written_index_.find(token.text);
    const int32_t id = entry != written_index_.end()
                           ? entry->second
                           : std::max(static_cast<int32_t>(read_.vocabulary.size()), largest_added_id_ + 1);
    token.id = id;
    Append(std::move(token), where);
    return id;
  }

  static void RequireSameId(const AddedToken& stated, const std::string& where, int32_t id, const std::string& whose) {
    if (stated.id == id) return;
    throw Error(ErrorKind::kIo, where + " gives '" + stated.text + "' the id " + std::to_string(stated.id) + ", not " +
                                    std::to_string(id) + ", " + whose + ". The files contradict each other.");
  }

  void Register(AddedToken token) {
    const std::string& where = added_where_[registered_++];
    // As in the public library, the normalized form is what is looked for and what is decoded to.
    const std::string stated = token.text;
    if (token.normalized && !parts_->normalizer.empty()) token.text = parts_->Normalized(stated);
    if (!parts_->tokens.Has(token.id)) {
      parts_->has_byte_letters ? parts_->AddToken(token.id, token.text)
                               : parts_->tokens.Add(token.id, token.text, /*findable=*/false);
    }
    const std::string held(parts_->tokens.Bytes(token.id)), bytes = parts_->BytesOf(token.text);
    if (held != bytes && held != parts_->BytesOf(stated)) {
      const std::string file = where.starts_with("added_tokens[") ? origin_ + ": " : "";
      throw Error(ErrorKind::kIo, file + where + " gives id " + std::to_string(token.id) + " to '" + token.text +
                                      "', but the vocabulary has another token there.");
    }
    if (held != bytes) parts_->other_texts[token.id] = token.text;
    // Of special tokens it leaves out those whose text is still the stated one.
    const bool is_other = token.text != stated;
    const auto id = static_cast<size_t>(token.id);
    parts_->AddAdded(std::move(token));
    if (is_other) parts_->is_special[id] = false;
  }

  std::optional<int32_t> RoleId(const std::string& text) {
    const AddedToken* token = FindAdded(text);
    return token == nullptr ? std::nullopt : std::optional(token->id);
  }

  void ReadPreTokenizer(const Json& stage, const std::string& where) {
    if (stage.is_null()) return;
    const std::string type = Type(stage, where);
    if (has_byte_level_) {
      throw Unsupported(where + " '" + type + "' comes after ByteLevel. bitlaw reads ByteLevel last only.");
    }
    if (type == "Sequence") {
      const Json& list = Field(stage, "pretokenizers");
      if (!list.is_array()) throw Malformed(where + ".pretokenizers is " + Shown(list) + ", not a list.");
      for (size_t i = 0; i < list.size(); ++i) {
        ReadPreTokenizer(list[i], where + ".pretokenizers[" + std::to_string(i) + "]");
      }
    } else if (type == "ByteLevel") {
      has_byte_level_ = true;
      if (Flag(stage, "add_prefix_space", true, where)) parts_->splitter.AddPrefixSpace();
      if (Flag(stage, "use_regex", true, where)) {
        parts_->splitter.AddPattern(kGpt2WordPattern, WordSplitter::Keep::kBoth, origin_ + ": " + where);
      }
    } else if (type == "Digits") {
      parts_->splitter.AddDigits(Flag(stage, "individual_digits", false, where));
    } else if (type == "Split") {
      ReadSplit(stage, where);
    } else if (type == "Metaspace" && !parts_->has_byte_letters) {
      using Prepend = WordSplitter::Prepend;
      const std::string scheme = PrependScheme(stage, where);
      const Prepend prepend = scheme == "always"  ? Prepend::kAlways
                              : scheme == "first" ? Prepend::kFirst
                                                  : Prepend::kNever;
      parts_->splitter.AddMetaspace(Text(stage, "replacement", where), prepend, Flag(stage, "split", true, where));
    } else {
      throw Unsupported(where + " '" + type +
                                     "' is not supported. bitlaw reads ByteLevel, Split, Digits and Sequence, and "
                                     "Metaspace without ByteLevel.");
    }
  }

  // "always", "first" or "never"; older files have a flag in its place.
  std::string PrependScheme(const Json& stage, const std::string& where) const {
    const bool adds = Flag(stage, "add_prefix_space", true, where);
    const Json& scheme = Field(stage, "prepend_scheme");
    if (scheme.is_null()) return adds ? "always" : "never";
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      throw Malformed(where + ".prepend_scheme is " + Shown(scheme) + ". It must be always, first or never.");
    }
    return scheme.get<std::string>();
  }

  // Of characters: what makes a text of tokens.
  void ReadDecoder(const Json& decoder, const std::string& where) {
    using Kind = DecoderStep::Kind;
    const std::string type = decoder.is_null() ? "null" : Type(decoder, where);
    if (type == "Sequence" && Field(decoder, "decoders").is_array()) {
      for (const Json& part : decoder["decoders"]) ReadDecoder(part, where);
    } else if (type == "Replace") {
      parts_->decoder.push_back({Kind::kReplace, Literal(decoder, where), Text(decoder, "content", where)});
    } else if (type == "ByteFallback") {
      parts_->decoder.push_back({Kind::kByteFallback, "", ""});
    } else if (type == "Fuse") {
      parts_->decoder.push_back({Kind::kFuse, "", ""});
    } else if (type == "Strip" && Field(decoder, "start").is_number_integer() && Field(decoder, "stop") == 0) {
      parts_->decoder.push_back({Kind::kStrip, Text(decoder, "content", where), "", decoder["start"].get<int64_t>()});
    } else if (type == "Metaspace") {
      const bool drops_first = PrependScheme(decoder, where) != "never";
      parts_->decoder.push_back({Kind::kMetaspace, Text(decoder, "replacement", where), "", drops_first ? 1 : 0});
    } else {
      throw Unsupported(where + " " + Shown(decoder) +
                                     " is not supported where no pre_tokenizer is ByteLevel. bitlaw reads Replace, "
                                     "ByteFallback, Fuse, Strip of leading characters, Metaspace and Sequence.");
    }
  }

  void ReadSplit(const Json& stage, const std::string& where) {
    const Json& pattern = Field(stage, "pattern");
    const Json& regex = pattern.is_object() ? Field(pattern, "Regex") : pattern;
    const Json& literal = pattern.is_object() ? Field(pattern, "String") : pattern;
    std::string text;
    if (pattern.is_object() && regex.is_string()) {
      text = regex.get<std::string>();
    } else if (pattern.is_object() && literal.is_string()) {
      for (const char c : literal.get<std::string>()) {
        const bool plain = static_cast<unsigned char>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c));
        if (!plain) text += '\\';
        text += c;
      }
    } else {
      throw Malformed(where + ".pattern is " + Shown(pattern) + ". It must be {Regex: ...} or {String: ...}.");
    }
    const Json& behavior = Field(stage, "behavior");
    const bool inverted = Flag(stage, "invert", false, where);
    WordSplitter::Keep keep = WordSplitter::Keep::kBoth;
    if (behavior == "Removed") {
      keep = inverted ? WordSplitter::Keep::kMatches : WordSplitter::Keep::kBetween;
    } else if (behavior == "MergedWithPrevious") {
      keep = inverted ? WordSplitter::Keep::kWithPreviousInverted : WordSplitter::Keep::kWithPrevious;
    } else if (behavior != "Isolated") {
      throw Unsupported(where + ".behavior is " + Shown(behavior) +
                                     ". bitlaw reads 'Isolated', 'Removed' and 'MergedWithPrevious'.");
    }
    parts_->splitter.AddPattern(text, keep, origin_ + ": " + where);
  }

  void ReadPostProcessor(const Json& processor) {
    if (processor.is_null()) return;
    const std::string type = Type(processor, "post_processor");
    if (type == "ByteLevel") return;  // It only moves offsets, which bitlaw does not keep.
    if (type == "Sequence" && Field(processor, "processors").is_array()) {
      for (const Json& part : processor["processors"]) ReadPostProcessor(part);
      return;
    }
    if (type != "TemplateProcessing") {
      throw Unsupported("post_processor '" + type +
                                     "' is not supported. bitlaw reads ByteLevel, TemplateProcessing and Sequence.");
    }
    const Json& single = Field(processor, "single");
    if (!single.is_array()) throw Malformed("post_processor.single is " + Shown(single) + ", not a list.");
    int sequences = 0;
    for (const Json& piece : single) {
      const Json& token = piece.is_object() ? Field(piece, "SpecialToken") : piece;
      if (piece.is_object() && piece.contains("Sequence")) {
        ++sequences;
      } else if (piece.is_object() && token.is_object() && Field(token, "id").is_string()) {
        auto& side = sequences == 0 ? parts_->template_prefix : parts_->template_suffix;
        const std::vector<int32_t> ids = TemplateTokenIds(processor, token["id"].get<std::string>());
        side.insert(side.end(), ids.begin(), ids.end());
      } else {
        throw Malformed("post_processor.single holds " + Shown(piece) +
                                     ". Each piece must be a Sequence or a SpecialToken.");
      }
    }
    if (sequences != 1) {
      throw Malformed("post_processor.single has " + std::to_string(sequences) + " Sequences, not one.");
    }
  }

  std::vector<int32_t> TemplateTokenIds(const Json& processor, const std::string& name) const {
    const Json& table = Field(processor, "special_tokens");
    const Json& entry = table.is_object() ? Field(table, name.c_str()) : table;
    const Json& ids = entry.is_object() ? Field(entry, "ids") : entry;
    if (!ids.is_array()) throw Malformed("post_processor.special_tokens has no ids of '" + name + "'.");
    std::vector<int32_t> known;
    for (const Json& id : ids) {
      const int64_t number = id.is_number_integer() ? id.get<int64_t>() : -1;
      if (number < 0 || number >= parts_->tokens.size()) {
        throw Malformed("post_processor.special_tokens['" + name + "'] has id " + Shown(id) +
                                     ", which is outside the vocabulary of " + std::to_string(parts_->tokens.size()) +
                                     ".");
      }
      known.push_back(static_cast<int32_t>(number));
    }
    return known;
  }

  void RequireByteLevelDecoder(const Json& decoder) const {
    if (decoder.is_object() && Field(decoder, "type") == "ByteLevel") return;
    const Json& list = decoder.is_object() ? Field(decoder, "decoders") : decoder;
    if (list.is_array() && list.size() == 1) return RequireByteLevelDecoder(list[0]);
    throw Unsupported("decoder " + Shown(decoder) + " is not supported. bitlaw reads ByteLevel.");
  }

  TokenizerJsonReader& read_;
  std::unique_ptr<ByteLevelBpe::Parts> parts_ = std::make_unique<ByteLevelBpe::Parts>();
  std::vector<AddedToken> added_;
  std::vector<std::string> added_where_;  // Of each.
  std::unordered_map<std::string, size_t> added_index_;
  std::unordered_map<std::string_view, int32_t> written_index_;  // The vocabulary by text, filled when it is needed.
  int32_t largest_added_id_ = -1;
  size_t registered_ = 0;
  int64_t id_limit_ = 0;
  bool has_byte_level_ = false;
};

std::unique_ptr<ByteLevelBpe> Read(std::string_view text, const std::string& origin, const SpecialTokenIds& special,
                                   const TokenizerSettings& settings) {
  size_t offset = 0;
  TokenizerJsonReader reader(offset);
  if (!Json::sax_parse(CountingIterator(text.data(), &offset), CountingIterator(text.data() + text.size(), &offset),
                       &reader)) {
    throw Error(ErrorKind::kIo, origin + ": " + reader.fault);
  }
  return Builder(origin, &reader).Build(special, settings);
}

}  // namespace

std::unique_ptr<ByteLevelBpe> ByteLevelBpe::FromTokenizerJsonText(std::string_view text, const std::string& origin,
                                                                  const SpecialTokenIds& special) {
  return Read(text, origin, special, {});
}

std::unique_ptr<ByteLevelBpe> ByteLevelBpe::FromTokenizerJson(const std::filesystem::path& file,
                                                              const SpecialTokenIds& special) {
  return Read(ReadRegularFile(file, kMaxTokenizerBytes), file.string(), special,
              ReadTokenizerSettings(file.parent_path()));
}

}  // namespace bitlaw
