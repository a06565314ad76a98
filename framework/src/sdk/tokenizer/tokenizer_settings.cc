#include "sdk/tokenizer/tokenizer_settings.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "bitlaw/base/value.h"

namespace bitlaw {
namespace {

constexpr uint64_t kMaxSettingsBytes = 16 << 20;
constexpr std::array<const char*, 7> kRoles = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};

// The top level of one of the files, or null.
Value ReadMap(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return Value();
  Value value = ParseJson(ReadRegularFile(file, kMaxSettingsBytes), file.string());
  if (!value.is_map()) throw Error(ErrorKind::kIo, file.string() + ": the top level is not a map.");
  return value;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& folder) : folder_(folder) {}

  TokenizerSettings Read() {
    const Value config = ReadMap(folder_ / "tokenizer_config.json");
    if (config.is_map()) TakeConfig(config);
    const bool has_decoder = config.is_map() && config.Find("added_tokens_decoder") != nullptr;
    if (!has_decoder) {
      if (const Value map = ReadMap(folder_ / "special_tokens_map.json"); map.is_map()) TakeSpecialTokensMap(map);
      if (const Value added = ReadMap(folder_ / "added_tokens.json"); added.is_map()) TakeAddedTokens(added);
    }
    std::stable_sort(settings_.added.begin(), settings_.added.end(),
                     [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
    for (const char* role : kRoles) {
      if (const auto found = named_.find(role); found != named_.end()) settings_.special.push_back(found->second);
    }
    for (const auto& [name, token] : named_) {
      if (std::find(kRoles.begin(), kRoles.end(), name) == kRoles.end()) settings_.special.push_back(token);
    }
    const auto text_of = [&](const char* role) {
      const auto found = named_.find(role);
      return found == named_.end() ? std::string() : found->second.token.text;
    };
    settings_.bos = text_of("bos_token");
    settings_.eos = text_of("eos_token");
    return std::move(settings_);
  }

 private:
  Error Fault(const std::string& where, const Value& value, const std::string& needed) const {
    std::string text = value.Text();
    if (text.size() > 80) text = text.substr(0, 77) + "...";
    return Error(ErrorKind::kIo, where + " is " + text + ". It must be " + needed + ".");
  }

  // A text, or a map with `content` and flags.
  TokenizerSettings::Token TokenOf(const Value& value, const std::string& where) const {
    TokenizerSettings::Token result;
    result.where = where;
    AddedToken& token = result.token;
    const Value* content = value.is_map() ? value.Find("content") : &value;
    if (content == nullptr || !content->is_string()) {
      throw Fault(where, value, "the text of a token, or a map that holds it as 'content'");
    }
    token.text = content->AsString();
    if (!value.is_map()) return result;
    const auto flag = [&](const char* name, bool fallback) {
      const Value* stated = value.Find(name);
      if (stated == nullptr || stated->is_null()) return fallback;
      if (!stated->is_bool()) throw Fault(where + "." + name, *stated, "true or false");
      return stated->AsBool();
    };
    token.special = flag("special", false);
    token.single_word = flag("single_word", false);
    token.strip_left = flag("lstrip", false);
    token.strip_right = flag("rstrip", false);
    token.normalized = flag("normalized", !token.special);
    return result;
  }

  // Takes the special token `name`; null takes it away.
  void TakeNamed(const std::string& name, const Value& value, const std::string& where) {
    named_.erase(name);
    if (value.is_null()) return;
    TokenizerSettings::Token token = TokenOf(value, where);
    if (token.token.text.empty()) return;
    token.token.special = true;
    if (!value.is_map() || value.Find("normalized") == nullptr) token.token.normalized = false;
    named_.emplace(name, std::move(token));
  }

  void TakeExtra(const Value& value, const std::string& where) {
    if (value.is_null()) return;
    if (value.is_map()) {  // Named ones of a model of its own.
      for (const auto& [name, token] : value.AsMap()) TakeNamed(name, token, where + "." + name);
      return;
    }
    if (!value.is_list()) throw Fault(where, value, "a list of tokens");
    for (const Value& text : value.AsList()) {
      TokenizerSettings::Token token = TokenOf(text, where);
      token.token.special = true;
      if (!text.is_map() || text.Find("normalized") == nullptr) token.token.normalized = false;
      settings_.extra.push_back(std::move(token));
    }
  }

  void TakeConfig(const Value& config) {
    const std::string file = (folder_ / "tokenizer_config.json").string() + ": ";
    for (const auto& [name, value] : config.AsMap()) {
      const bool is_role = std::find(kRoles.begin(), kRoles.end(), name) != kRoles.end();
      // Flags such as add_bos_token end like the name of a token; only a text is one.
      const bool is_own = name.ends_with("_token") && value.is_string();
      if (is_role || is_own) TakeNamed(name, value, file + "'" + name + "'");
    }
    const Value* extra = config.Find("extra_special_tokens");
    const bool is_empty = extra == nullptr || extra->is_null() || (extra->is_list() && extra->AsList().empty()) ||
                          (extra->is_map() && extra->AsMap().empty());
    const char* extra_name = is_empty ? "additional_special_tokens" : "extra_special_tokens";
    if (const Value* list = config.Find(extra_name)) TakeExtra(*list, file + "'" + extra_name + "'");
    if (const Value* split = config.Find("split_special_tokens"); split != nullptr && !split->is_null()) {
      if (!split->is_bool()) throw Fault(file + "'split_special_tokens'", *split, "true or false");
      settings_.splits_special = split->AsBool();
    }
    const Value* decoder = config.Find("added_tokens_decoder");
    if (decoder == nullptr) return;
    if (!decoder->is_map()) throw Fault(file + "'added_tokens_decoder'", *decoder, "a map from ids to tokens");
    for (const auto& [key, value] : decoder->AsMap()) {
      const std::string where = file + "added_tokens_decoder['" + key + "']";
      int32_t id = -1;
      const auto [end, fault] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (fault != std::errc() || end != key.data() + key.size() || id < 0) {
        throw Error(ErrorKind::kIo, where + ": the key must be a token id.");
      }
      if (!value.is_map()) throw Fault(where, value, "a map that holds the token's text as 'content'");
      TokenizerSettings::Token token = TokenOf(value, where);
      token.token.id = id;
      settings_.added.push_back(std::move(token));
    }
  }

  void TakeSpecialTokensMap(const Value& map) {
    const std::string file = (folder_ / "special_tokens_map.json").string() + ": ";
    for (const auto& [name, value] : map.AsMap()) {
      const std::string where = file + "'" + name + "'";
      if (name == "additional_special_tokens" || name == "extra_special_tokens") {
        TakeExtra(value, where);
      } else {
        TakeNamed(name, value, where);
      }
    }
  }

  void TakeAddedTokens(const Value& map) {
    const std::string file = (folder_ / "added_tokens.json").string() + ": ";
    for (const auto& [text, id] : map.AsMap()) {
      const std::string where = file + "'" + text + "'";
      if (!id.is_int() || id.AsInt() < 0 || id.AsInt() > INT32_MAX) throw Fault(where, id, "a token id");
      TokenizerSettings::Token token;
      token.where = where;
      token.token.id = static_cast<int32_t>(id.AsInt());
      token.token.text = text;
      const auto is_text = [&text = text](const TokenizerSettings::Token& other) { return other.token.text == text; };
      token.token.special = std::any_of(settings_.extra.begin(), settings_.extra.end(), is_text);
      for (const auto& [name, special] : named_) token.token.special = token.token.special || is_text(special);
      token.token.normalized = !token.token.special;
      settings_.added.push_back(std::move(token));
    }
  }

  const std::filesystem::path& folder_;
  TokenizerSettings settings_;
  std::map<std::string, TokenizerSettings::Token> named_;
};

}  // namespace

TokenizerSettings ReadTokenizerSettings(const std::filesystem::path& folder) { return Reader(folder).Read(); }

}  // namespace bitlaw
