#pragma once

#include <string>
#include <utility>

#include "bitlaw/base/error.h"
#include "sdk/tokenizer/tokenizer_json_reader.h"

namespace bitlaw {

/// Typed access to the pieces of a tokenizer.json, with errors that name the file and the place.
class TokenizerJsonFields {
 protected:
  using Json = nlohmann::json;

  explicit TokenizerJsonFields(std::string origin) : origin_(std::move(origin)) {}

  Error Malformed(const std::string& what) const { return {ErrorKind::kIo, origin_ + ": " + what}; }
  Error Unsupported(const std::string& what) const { return {ErrorKind::kUnsupported, origin_ + ": " + what}; }

  static std::string Shown(const Json& value) {
    std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > 80) text = text.substr(0, 77) + "...";
    return text;
  }

  const Json& Field(const Json& object, const char* name) const {
    static const Json kNull;
    const auto found = object.find(name);
    return found == object.end() ? kNull : *found;
  }
  std::string Type(const Json& object, const std::string& where) const {
    const Json& type = object.is_object() ? Field(object, "type") : object;
    if (!type.is_string()) throw Malformed(where + " is " + Shown(object) + ", which has no 'type'.");
    return type.get<std::string>();
  }
  bool Flag(const Json& object, const char* name, bool fallback, const std::string& where) const {
    const Json& value = Field(object, name);
    if (value.is_null()) return fallback;
    if (!value.is_boolean()) throw Malformed(where + "." + name + " is " + Shown(value) + ", not a boolean.");
    return value.get<bool>();
  }

  std::string Text(const Json& object, const char* name, const std::string& where) const {
    const Json& value = Field(object, name);
    if (!value.is_string()) {
      throw Malformed(where + "." + name + " is " + Shown(value) + ". It must be a string.");
    }
    return value.get<std::string>();
  }

  // The pattern of a Replace, which must be a text.
  std::string Literal(const Json& object, const std::string& where) const {
    const Json& pattern = Field(object, "pattern");
    const Json& literal = pattern.is_object() ? Field(pattern, "String") : pattern;
    if (!pattern.is_object() || !literal.is_string() || literal.get<std::string>().empty()) {
      throw Unsupported(where + ".pattern is " + Shown(pattern) + ". bitlaw replaces a text: {String: ...}.");
    }
    return literal.get<std::string>();
  }

  const std::string origin_;
};

}  // namespace bitlaw
