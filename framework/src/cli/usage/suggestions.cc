#include "cli/usage/suggestions.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// Verbs that are shown; those that the program alone calls have no group.
std::vector<std::string> VerbsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); }))
    names.push_back(verb->get_name());
  return names;
}

const CLI::App* FindVerb(const CLI::App& app, const std::string& name) {
  const auto found = app.get_subcommands([&](const CLI::App* one) { return one->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

// An option of the verb, or of one above it, to which it falls through.
const CLI::Option* FindOption(const CLI::App* app, const std::string& name) {
  for (; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

std::vector<std::string> OptionsOf(const CLI::App* app) {
  std::vector<std::string> names;
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options([](const CLI::Option* one) { return one->nonpositional(); })) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

bool HasPositionals(const CLI::App& app) {
  return !app.get_options([](const CLI::Option* one) { return one->get_positional(); }).empty();
}

// "bitlaw plugins describe"
std::string PathOf(const CLI::App* app) {
  std::string path;
  for (; app != nullptr; app = app->get_parent()) path = app->get_name() + (path.empty() ? "" : " " + path);
  return path;
}

std::string NoSuchOption(const CLI::App* verb, const std::string& name) {
  // "-output" is looked up as "--output", "-v" as what begins with it.
  const std::vector<std::string> options = OptionsOf(verb);
  std::string meant = DidYouMean(name[1] == '-' ? name : "-" + name, options);
  for (const std::string& option : options) {
    if (meant.empty() && name.size() == 2 && option.starts_with("-" + name)) meant = " Did you mean '" + option + "'?";
  }
  return PathOf(verb) + ": '" + name + "' is no option of it." + meant + " '" + PathOf(verb) + " --help' lists them.\n";
}

// "help" and "version" are options.
std::string NoSuchVerb(const CLI::App* verb, const std::string& word) {
  std::string meant = DidYouMean(word, VerbsOf(*verb));
  if (meant.empty()) meant = DidYouMean("--" + word, OptionsOf(verb));
  return PathOf(verb) + ": '" + word + "' is no verb." + meant + " '" + PathOf(verb) + " --help' lists them.\n";
}

// What stands between a message's first `before` and its end.
std::string After(const std::string& text, std::string_view before) {
  const size_t at = text.find(before);
  return at == std::string::npos ? text : text.substr(at + before.size());
}

std::string KindOfValue(const CLI::Option* option) {
  const std::string type = option == nullptr ? "" : option->get_type_name();
  if (type.starts_with("UINT")) return "a whole number, 0 or more";
  if (type.starts_with("INT")) return "a whole number";
  return type.starts_with("FLOAT") ? "a number" : "such a value";
}

// The parser's own refusal of words that are all known.
std::string WrongValue(const CLI::App* verb, const CLI::ParseError& error) {
  const std::string what = error.what(), name = error.get_name();
  if (name == "RequiredError") {
    if (what.starts_with("A subcommand")) return "no verb is given. Verbs: " + JoinNames(VerbsOf(*verb)) + ".";
    const std::string missing = what.substr(0, what.find(" is required"));
    const CLI::Option* option = FindOption(verb, missing);
    return missing + " is missing" + (option == nullptr ? "." : ": " + option->get_description() + ".");
  }
  if (name == "ValidationError") {  // "--top: 'x' is not ..."
    const size_t colon = what.find(": ");
    return colon == std::string::npos ? what : what.substr(0, colon) + " = " + what.substr(colon + 2);
  }
  if (name == "ConversionError" && what.starts_with("Could not convert: ")) {  // "--top = x"
    const std::string given = After(what, ": "), option = given.substr(0, given.find(" = "));
    return option + " = '" + After(given, " = ") + "' is not " + KindOfValue(FindOption(verb, option)) + ".";
  }
  if (name == "ArgumentMismatch" && what.ends_with(" missing")) {  // "--top: 1 required INT missing"
    return what.substr(0, what.find(": ")) + " stands without its value.";
  }
  if (what.starts_with("The following argument")) return "'" + After(what, ": ") + "' is more than it takes.";
  return what + (what.ends_with(".") ? "" : ".");
}

}  // namespace

std::string ExplainRefusal(const CLI::App& app, const std::vector<std::string>& arguments,
                           const CLI::ParseError& error) {
  const CLI::App* verb = &app;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") break;
    // "-1" is a number.
    if (word.size() > 1 && word[0] == '-' && std::isdigit(static_cast<unsigned char>(word[1])) == 0) {
      const std::string name = word.substr(0, word.find('='));
      const CLI::Option* option = FindOption(verb, name);
      if (option == nullptr) return NoSuchOption(verb, name);
      if (option->get_items_expected_max() > 0 && name == word) ++i;  // Its value.
      continue;
    }
    const std::vector<std::string> verbs = VerbsOf(*verb);
    if (word.empty() || word[0] == '-' || verbs.empty()) continue;
    if (const CLI::App* found = FindVerb(*verb, word)) {
      verb = found;
    } else if (!HasPositionals(*verb)) {
      return NoSuchVerb(verb, word);
    }
  }
  return PathOf(verb) + ": " + WrongValue(verb, error) + " '" + PathOf(verb) + " --help' says more.\n";
}

}  // namespace bitlaw
