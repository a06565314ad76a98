#include <algorithm>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "sdk/byte_level_bpe_parts.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;

// The largest tokenizers of a quarter million entries take 40 MB.
constexpr uint64_t kMaxTokenizerBytes = 256 << 20;
constexpr uint64_t kMaxConfigBytes = 16 << 20;

Error Malformed(const std::string& origin, const std::string& what) {
  return Error(ErrorKind::kIo, origin + ": " + what);
}
Error Unsupported(const std::string& origin, const std::string& what) {
  return Error(ErrorKind::kUnsupported, origin + ": " + what);
}

std::string Shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

/// Reads the document once. Vocabulary and merges, nearly all of the file, go into flat lists; the rest becomes a tree.
class TokenizerJsonReader : public nlohmann::json_sax<Json> {
 public:
  Json rest;
  std::vector<std::pair<std::string, int64_t>> vocabulary;
  std::vector<std::string> merges;                // "left right"
  std::vector<std::array<std::string, 2>> pairs;  // ["left", "right"]
  bool has_merges = false;
  std::string fault;

  bool null() override { return Scalar(nullptr); }
  bool boolean(bool value) override { return Scalar(value); }
  bool number_integer(number_integer_t value) override { return Integer(value); }
  bool number_unsigned(number_unsigned_t value) override {
    return Integer(value > INT64_MAX ? INT64_MAX : static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return Scalar(value); }
  bool binary(binary_t&) override { return Fail("binary values are not JSON."); }
  bool string(string_t& value) override {
    if (where_ == Where::kMerges) {
      if (in_pair_) {
        if (pair_size_ >= 2) return Fail(MergeFault());
        pairs.back()[pair_size_++] = std::move(value);
      } else {
        merges.push_back(std::move(value));
      }
      return true;
    }
    return Scalar(std::move(value));
  }
  bool start_object(std::size_t) override {
    if (where_ == Where::kMerges) return Fail(MergeFault());
    if (where_ == Where::kVocabulary) return Fail(VocabularyFault());
    if (open_.size() == 2 && key_ == "vocab" && in_model_) {
      where_ = Where::kVocabulary;
      return true;
    }
    if (open_.size() == 1 && key_ == "model") in_model_ = true;
    return Open(Json::object());
  }
  bool end_object() override {
    if (where_ == Where::kVocabulary) {
      where_ = Where::kTree;
      return true;
    }
    open_.pop_back();
    if (open_.size() == 1) in_model_ = false;
    return true;
  }
  bool start_array(std::size_t) override {
    if (where_ == Where::kVocabulary) return Fail(VocabularyFault());
    if (where_ == Where::kMerges) {
      if (in_pair_) return Fail(MergeFault());
      in_pair_ = true;
      pair_size_ = 0;
      pairs.emplace_back();
      return true;
    }
    if (open_.size() == 2 && key_ == "merges" && in_model_) {
      where_ = Where::kMerges;
      has_merges = true;
      return true;
    }
    return Open(Json::array());
  }
  bool end_array() override {
    if (where_ == Where::kMerges) {
      if (in_pair_ && pair_size_ != 2) return Fail(MergeFault());
      if (!in_pair_) where_ = Where::kTree;
      in_pair_ = false;
      return true;
    }
    open_.pop_back();
    return true;
  }
  bool key(string_t& value) override {
    if (where_ == Where::kTree && open_.back()->contains(value)) return Fail("key '" + value + "' stands twice.");
    key_ = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return Fail("is not JSON from byte " + std::to_string(position) + " on. The file is cut off or damaged.");
  }

 private:
  enum class Where { kTree, kVocabulary, kMerges };

  bool Fail(const std::string& what) {
    if (fault.empty()) fault = what;
    return false;
  }
  std::string MergeFault() const {
    return "merge " + std::to_string(merges.size() + pairs.size() - (in_pair_ ? 1 : 0)) +
           " is neither 'left right' nor ['left', 'right'].";
  }
  std::string VocabularyFault() const { return "model.vocab['" + key_ + "'] is not an integer."; }

  bool Integer(int64_t value) {
    if (where_ != Where::kVocabulary) return Scalar(value);
    vocabulary.emplace_back(std::move(key_), value);
    return true;
  }
  bool Scalar(Json value) {
    if (where_ == Where::kVocabulary) return Fail(VocabularyFault());
    if (where_ == Where::kMerges) return Fail(MergeFault());
    Place(std::move(value));
    return true;
  }
  bool Open(Json value) {
    if (open_.size() >= 64) return Fail("is nested more than 64 deep.");
    open_.push_back(Place(std::move(value)));
    return true;
  }
  Json* Place(Json value) {
    if (open_.empty()) return &(rest = std::move(value));
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    return &((*open_.back())[key_] = std::move(value));
  }

  Where where_ = Where::kTree;
  std::vector<Json*> open_;  // Only the innermost container grows, so that pointers to the outer ones stay good.
  std::string key_;
  bool in_model_ = false, in_pair_ = false;
  size_t pair_size_ = 0;
};

class Builder {
 public:
  Builder(const std::string& origin, TokenizerJsonReader* read) : origin_(origin), read_(*read) {}

  std::unique_ptr<ByteLevelBpe> Build(const SpecialTokenIds& special) {
    parts_->origin = origin_;
    const Json& document = read_.rest;
    if (!document.is_object() || !document.contains("model") || !document["model"].is_object()) {
      throw Malformed(origin_, "has no 'model'. It must be a tokenizer.json of the tokenizers library.");
    }
    ReadModel(document["model"]);
    ReadNormalizer(Field(document, "normalizer"));
    ReadAddedTokens(Field(document, "added_tokens"));
    ReadPreTokenizer(Field(document, "pre_tokenizer"), "pre_tokenizer");
    if (!has_byte_level_) {
      throw Unsupported(origin_, "pre_tokenizer " + Shown(Field(document, "pre_tokenizer")) +
                                     " has no ByteLevel stage. bitlaw reads byte-level BPE only.");
    }
    ReadPostProcessor(Field(document, "post_processor"));
    RequireByteLevelDecoder(Field(document, "decoder"));
    parts_->special = special;
    if (!parts_->special.bos && parts_->template_prefix.size() == 1) {
      parts_->special.bos = parts_->template_prefix[0];
    }
    parts_->Finish();
    return std::make_unique<ByteLevelBpe>(std::move(parts_));
  }

 private:
  const Json& Field(const Json& object, const char* name) const {
    static const Json kNull;
    const auto found = object.find(name);
    return found == object.end() ? kNull : *found;
  }
  std::string Type(const Json& object, const std::string& where) const {
    const Json& type = object.is_object() ? Field(object, "type") : object;
    if (!type.is_string()) throw Malformed(origin_, where + " is " + Shown(object) + ", which has no 'type'.");
    return type.get<std::string>();
  }
  bool Flag(const Json& object, const char* name, bool fallback, const std::string& where) const {
    const Json& value = Field(object, name);
    if (value.is_null()) return fallback;
    if (!value.is_boolean()) throw Malformed(origin_, where + "." + name + " is " + Shown(value) + ", not a boolean.");
    return value.get<bool>();
  }

  void ReadModel(const Json& model) {
    // Old files leave out the type; then it is BPE, or the keys below are missing.
    const std::string type = model.contains("type") ? Type(model, "model") : "BPE";
    if (type != "BPE") throw Unsupported(origin_, "model.type is '" + type + "'. bitlaw reads byte-level BPE only.");
    const auto refuse_text = [&](const char* name) {
      const Json& value = Field(model, name);
      if (!value.is_null() && value != "") {
        throw Unsupported(origin_, std::string("model.") + name + " is " + Shown(value) + ". bitlaw reads only null.");
      }
    };
    refuse_text("continuing_subword_prefix");
    refuse_text("end_of_word_suffix");
    if (const Json& dropout = Field(model, "dropout"); !dropout.is_null() && dropout != 0.0) {
      throw Unsupported(origin_, "model.dropout is " + Shown(dropout) + ". bitlaw reads only null.");
    }
    if (Flag(model, "byte_fallback", false, "model")) {
      throw Unsupported(origin_, "model.byte_fallback is true. bitlaw reads byte-level BPE only, where it is false.");
    }
    parts_->ignore_merges = Flag(model, "ignore_merges", false, "model");
    parts_->fuse_unknown = Flag(model, "fuse_unk", false, "model");

    for (const char* name : {"vocab", "merges"}) {  // These two are read aside, unless they have the wrong type.
      if (model.contains(name)) {
        throw Malformed(origin_, std::string("model.") + name + " is " + Shown(model[name]) + ", not " +
                                     (name[0] == 'v' ? "an object." : "a list."));
      }
    }
    if (!read_.has_merges) throw Malformed(origin_, "model.merges is missing. A list without entries is allowed.");
    if (read_.vocabulary.empty()) throw Malformed(origin_, "model.vocab has no entries.");
    // A hostile id must not make a huge table: real vocabularies have few holes.
    const auto limit = static_cast<int64_t>(4 * read_.vocabulary.size() + 65536);
    parts_->tokens.Reserve(read_.vocabulary.size());
    // In id order, so that equal tables come from equal files however these are sorted.
    std::sort(read_.vocabulary.begin(), read_.vocabulary.end(),
              [](const auto& a, const auto& b) { return a.second < b.second; });
    for (const auto& [written, id] : read_.vocabulary) {
      CheckId(id, limit, "model.vocab['" + written + "']");
      if (!parts_->AddToken(static_cast<int32_t>(id), written)) {
        throw Malformed(origin_,
                        "model.vocab gives id " + std::to_string(id) + " to '" + written + "' and to another token.");
      }
    }
    id_limit_ = limit;
    if (const Json& unknown = Field(model, "unk_token"); !unknown.is_null()) {
      if (!unknown.is_string()) throw Malformed(origin_, "model.unk_token is " + Shown(unknown) + ", not a string.");
      const std::string text = unknown.get<std::string>();
      parts_->unknown_id = parts_->tokens.Find(BytesOfLetters(text).value_or(text));
      if (parts_->unknown_id < 0) throw Malformed(origin_, "model.unk_token '" + text + "' is not in model.vocab.");
    }
    if (!read_.merges.empty() && !read_.pairs.empty()) {
      throw Malformed(origin_, "model.merges mixes 'left right' and ['left', 'right'].");
    }
    parts_->merges.Reserve(read_.merges.size() + read_.pairs.size());
    int32_t rank = 0;
    for (const std::string& line : read_.merges) parts_->AddMergeLine(rank++, line);
    for (const auto& [left, right] : read_.pairs) parts_->AddMerge(rank++, left, right);
  }

  void CheckId(int64_t id, int64_t limit, const std::string& where) const {
    if (id < 0 || id >= limit) {
      throw Malformed(origin_, where + " has id " + std::to_string(id) + ". Ids must lie in [0, " +
                                   std::to_string(limit) + ") for a vocabulary of this size.");
    }
  }

  void ReadNormalizer(const Json& normalizer) {
    if (normalizer.is_null()) return;
    const std::string type = Type(normalizer, "normalizer");
    if (type == "NFC") {
      parts_->compose_nfc = true;
    } else if (type == "Sequence" && Field(normalizer, "normalizers").is_array()) {
      for (const Json& part : normalizer["normalizers"]) ReadNormalizer(part);
    } else {
      throw Unsupported(origin_, "normalizer '" + type + "' is not supported. bitlaw reads null, NFC and Sequence.");
    }
  }

  void ReadAddedTokens(const Json& list) {
    if (list.is_null()) return;
    if (!list.is_array()) throw Malformed(origin_, "added_tokens is " + Shown(list) + ", not a list.");
    id_limit_ += static_cast<int64_t>(4 * list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string where = "added_tokens[" + std::to_string(i) + "]";
      const Json& entry = list[i];
      const Json& content = entry.is_object() ? Field(entry, "content") : entry;
      const Json& id = entry.is_object() ? Field(entry, "id") : entry;
      if (!entry.is_object() || !content.is_string() || !id.is_number_integer()) {
        throw Malformed(origin_, where + " is " + Shown(entry) + ". It needs an integer 'id' and a string 'content'.");
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
      // As in the public library, the normalized form is what is looked for and what is decoded to.
      if (token.normalized && parts_->compose_nfc) token.text = ComposedNfc(token.text);
      const std::string bytes = BytesOfLetters(token.text).value_or(token.text);
      if (parts_->tokens.Has(token.id) ? parts_->tokens.Bytes(token.id) != bytes
                                       : !parts_->AddToken(token.id, token.text)) {
        throw Malformed(origin_, where + " gives id " + std::to_string(token.id) + " to '" + token.text +
                                     "', but the vocabulary has another token there.");
      }
      parts_->AddAdded(std::move(token));
    }
  }

  void ReadPreTokenizer(const Json& stage, const std::string& where) {
    if (stage.is_null()) return;
    const std::string type = Type(stage, where);
    if (has_byte_level_) {
      throw Unsupported(origin_, where + " '" + type + "' comes after ByteLevel. bitlaw reads ByteLevel last only.");
    }
    if (type == "Sequence") {
      const Json& list = Field(stage, "pretokenizers");
      if (!list.is_array()) throw Malformed(origin_, where + ".pretokenizers is " + Shown(list) + ", not a list.");
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
    } else {
      throw Unsupported(
          origin_, where + " '" + type + "' is not supported. bitlaw reads ByteLevel, Split, Digits and Sequence.");
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
      throw Malformed(origin_, where + ".pattern is " + Shown(pattern) + ". It must be {Regex: ...} or {String: ...}.");
    }
    const Json& behavior = Field(stage, "behavior");
    const bool inverted = Flag(stage, "invert", false, where);
    WordSplitter::Keep keep = WordSplitter::Keep::kBoth;
    if (behavior == "Removed") {
      keep = inverted ? WordSplitter::Keep::kMatches : WordSplitter::Keep::kBetween;
    } else if (behavior != "Isolated") {
      throw Unsupported(origin_,
                        where + ".behavior is " + Shown(behavior) + ". bitlaw reads 'Isolated' and 'Removed'.");
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
      throw Unsupported(origin_, "post_processor '" + type +
                                     "' is not supported. bitlaw reads ByteLevel, TemplateProcessing and Sequence.");
    }
    const Json& single = Field(processor, "single");
    if (!single.is_array()) throw Malformed(origin_, "post_processor.single is " + Shown(single) + ", not a list.");
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
        throw Malformed(origin_, "post_processor.single holds " + Shown(piece) +
                                     ". Each piece must be a Sequence or a SpecialToken.");
      }
    }
    if (sequences != 1) {
      throw Malformed(origin_, "post_processor.single has " + std::to_string(sequences) + " Sequences, not one.");
    }
  }

  std::vector<int32_t> TemplateTokenIds(const Json& processor, const std::string& name) const {
    const Json& table = Field(processor, "special_tokens");
    const Json& entry = table.is_object() ? Field(table, name.c_str()) : table;
    const Json& ids = entry.is_object() ? Field(entry, "ids") : entry;
    if (!ids.is_array()) throw Malformed(origin_, "post_processor.special_tokens has no ids of '" + name + "'.");
    std::vector<int32_t> known;
    for (const Json& id : ids) {
      const int64_t number = id.is_number_integer() ? id.get<int64_t>() : -1;
      if (number < 0 || number >= parts_->tokens.size()) {
        throw Malformed(origin_, "post_processor.special_tokens['" + name + "'] has id " + Shown(id) +
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
    throw Unsupported(origin_, "decoder " + Shown(decoder) + " is not supported. bitlaw reads ByteLevel.");
  }

  std::string origin_;
  TokenizerJsonReader& read_;
  std::unique_ptr<ByteLevelBpe::Parts> parts_ = std::make_unique<ByteLevelBpe::Parts>();
  int64_t id_limit_ = 0;
  bool has_byte_level_ = false;
};

/// bos_token and eos_token of tokenizer_config.json are a string, or an object with 'content', or null.
std::optional<int32_t> IdFromConfig(const Json& config, const char* name, const ByteLevelBpe& tokenizer) {
  const auto found = config.find(name);
  if (found == config.end()) return std::nullopt;
  const Json& text = found->is_object() && found->contains("content") ? (*found)["content"] : *found;
  return text.is_string() ? tokenizer.FindToken(text.get<std::string>()) : std::nullopt;
}

}  // namespace

std::unique_ptr<ByteLevelBpe> ByteLevelBpe::FromTokenizerJsonText(std::string_view text, const std::string& origin,
                                                                  const SpecialTokenIds& special) {
  TokenizerJsonReader reader;
  if (!Json::sax_parse(text.begin(), text.end(), &reader)) throw Malformed(origin, reader.fault);
  return Builder(origin, &reader).Build(special);
}

std::unique_ptr<ByteLevelBpe> ByteLevelBpe::FromTokenizerJson(const std::filesystem::path& file,
                                                              const SpecialTokenIds& special) {
  std::unique_ptr<ByteLevelBpe> tokenizer = FromTokenizerJsonText(ReadRegularFile(file, kMaxTokenizerBytes), file.string(), special);
  const std::filesystem::path beside = file.parent_path() / "tokenizer_config.json";
  if ((special.bos && special.eos) || !std::filesystem::exists(beside)) return tokenizer;
  const Json config = Json::parse(ReadRegularFile(beside, kMaxConfigBytes), nullptr, false);
  if (!config.is_object()) throw Malformed(beside.string(), "is not a JSON object. The file is cut off or damaged.");
  SpecialTokenIds& roles = tokenizer->parts_->special;
  if (!special.bos) {
    if (const auto id = IdFromConfig(config, "bos_token", *tokenizer)) roles.bos = id;
  }
  if (!special.eos) {
    if (const auto id = IdFromConfig(config, "eos_token", *tokenizer)) {
      roles.eos = id;
      roles.stop.erase(std::remove(roles.stop.begin(), roles.stop.end(), *id), roles.stop.end());
      roles.stop.insert(roles.stop.begin(), *id);
    }
  }
  return tokenizer;
}

}  // namespace bitlaw
