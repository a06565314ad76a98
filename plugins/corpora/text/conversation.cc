#include "conversation.h"

#include <utility>
#include <vector>

#include "bitlaw/base/error.h"

namespace bitlaw {

void Conversation::AddOptions(OptionSchema& schema) {
  schema.String("turn").Optional().Doc(
      "The field holds messages, and this is the text of one: a template with {{role}} and {{content}}.");
  OptionSchema turn;
  turn.String("text").Doc("The text of a message of this role.");
  schema.GroupMap("turns", turn).Optional().Doc("The same by role, before `turn`: turns: {user: {text: ...}}.");
  schema.String("begin").Default("").Doc("What stands before the first message.");
}

std::optional<Conversation> Conversation::From(const Options& options) {
  std::vector<std::pair<std::string, Options>> turns;
  if (options.Has("turns")) turns = options.GroupMap("turns");
  if (!options.Has("turn") && turns.empty()) {
    if (options.String("begin").empty()) return std::nullopt;
    const std::string mark = options.Raw("begin").mark().Text();
    throw Error(ErrorKind::kSpec, (mark.empty() ? "corpus 'text'" : mark) +
                                      ": 'begin' stands before messages. Give 'turn' or 'turns' as well.");
  }
  Conversation made;
  made.begin_ = options.String("begin");
  const auto identify = [&](const std::string& what, const std::string& text) {
    made.identity_ += what + " " + std::to_string(text.size()) + " " + text + "\n";
  };
  identify("begin", made.begin_);
  if (options.Has("turn")) {
    identify("turn", options.String("turn"));
    made.turn_.emplace(options.String("turn"), options.Raw("turn").mark());
  }
  for (const auto& [role, turn] : turns) {
    identify("turn of " + role, turn.String("text"));
    made.turns_.emplace(role, Template(turn.String("text"), turn.Raw("text").mark()));
  }
  return made;
}

std::string Conversation::Text(const Value& messages, const std::string& where) const {
  if (!messages.is_list()) throw Error(ErrorKind::kIo, where + " is " + std::string(Article(messages.type())) +
                                                           ". It must be a list of messages.");
  std::string text = begin_;
  for (size_t i = 0; i < messages.AsList().size(); ++i) {
    const Value& message = messages.AsList()[i];
    const std::string place = where + "[" + std::to_string(i) + "]";
    const Value* role = message.is_map() ? message.Find("role") : nullptr;
    if (role == nullptr || !role->is_string()) {
      throw Error(ErrorKind::kIo, place + " is " + message.Text() + ". A message must be a map with a text in 'role'.");
    }
    const auto own = turns_.find(role->AsString());
    if (own == turns_.end() && !turn_) {
      std::vector<std::string> roles;
      for (const auto& [known, unused] : turns_) roles.push_back(known);
      throw Error(ErrorKind::kIo, place + ": role '" + role->AsString() + "' has no template. Roles of 'turns': " +
                                      JoinNames(roles) + ". Add it, or a 'turn' for all others.");
    }
    try {
      text += (own == turns_.end() ? *turn_ : own->second).Render(message);
    } catch (const Error& error) {
      throw Error(error.kind() == ErrorKind::kSpec ? ErrorKind::kIo : error.kind(), place + ": " + error.what());
    }
  }
  return text;
}

}  // namespace bitlaw
