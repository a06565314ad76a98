#pragma once

#include <map>
#include <optional>
#include <string>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/text/template.h"

namespace bitlaw {

/// How the messages of a conversation become one text: a template a message, of its role where there is one.
///
/// Errors   From: Error(kSpec) for a template that is none. Text: Error(kIo) at the place of the messages if they are no list
///          of maps with a text in `role`, if a role has no template, and for what a template refuses.
class Conversation {
 public:
  /// The options turn, turns and begin.
  static void AddOptions(OptionSchema& schema);
  /// nullopt if neither turn nor turns is given.
  static std::optional<Conversation> From(const Options& options);

  /// begin, then each message in order. `where`: their place, for errors.
  std::string Text(const Value& messages, const std::string& where) const;

  /// Of all templates, for a digest.
  const std::string& identity() const { return identity_; }

 private:
  Conversation() = default;
  std::string begin_, identity_;
  std::optional<Template> turn_;
  std::map<std::string, Template> turns_;  // By role.
};

}  // namespace bitlaw
