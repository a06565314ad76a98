#include "cli/usage/suggestions.h"

#include <algorithm>

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

}  // namespace

std::string ExplainRefusal(const CLI::App& app, const std::vector<std::string>& arguments,
                           const CLI::ParseError& error) {
  const CLI::App* verb = &app;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") break;
    if (word.size() > 1 && word[0] == '-' && word[1] == '-') {
      const std::string name = word.substr(0, word.find('='));
      const CLI::Option* option = FindOption(verb, name);
      if (option == nullptr) {
        return PathOf(verb) + ": '" + name + "' is no option of it." + DidYouMean(name, OptionsOf(verb)) + " '" +
               PathOf(verb) + " --help' lists them.\n";
      }
      if (option->get_items_expected_max() > 0 && name == word) ++i;  // Its value.
      continue;
    }
    const std::vector<std::string> verbs = VerbsOf(*verb);
    if (word.empty() || word[0] == '-' || verbs.empty()) continue;
    if (const CLI::App* found = FindVerb(*verb, word)) {
      verb = found;
    } else if (!HasPositionals(*verb)) {
      return PathOf(verb) + ": '" + word + "' is no verb." + DidYouMean(word, verbs) + " '" + PathOf(verb) +
             " --help' lists them.\n";
    }
  }
  return PathOf(verb) + ": " + error.what() + (std::string(error.what()).ends_with(".") ? "" : ".") + " '" +
         PathOf(verb) + " --help' says more.\n";
}

}  // namespace bitlaw
