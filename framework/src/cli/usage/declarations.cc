#include "cli/usage/declarations.h"

namespace bitlaw {
namespace {

// The words of "TEXT:{text,markdown,csv}".
std::vector<std::string> ChoicesOf(const std::string& type) {
  const size_t begin = type.find('{'), end = type.find('}');
  std::vector<std::string> choices;
  if (begin == std::string::npos || end == std::string::npos) return choices;
  std::string word;
  for (size_t i = begin + 1; i <= end; ++i) {
    if (type[i] != ',' && type[i] != '}') {
      word += type[i];
      continue;
    }
    choices.push_back(word);
    word.clear();
  }
  return choices;
}

DeclaredOption Declared(const CLI::Option& option) {
  DeclaredOption declared;
  for (const std::string& name : option.get_lnames()) {
    if (declared.name.empty()) {
      declared.name = "--" + name;
    } else {
      declared.others.push_back("--" + name);
    }
  }
  for (const std::string& name : option.get_snames()) declared.others.push_back("-" + name);
  declared.by_place = option.get_positional();
  if (declared.by_place) declared.name = option.get_name(true);
  const std::string type = option.get_type_name();
  // "TEXT:FILE" and "TEXT:{text,csv}" say what is checked, too; "NAME=LOW:HIGH" is a form of its own.
  const bool is_form = type.find('=') != std::string::npos;
  if (option.get_items_expected_max() > 0) declared.value = is_form ? type : type.substr(0, type.find_first_of(":{"));
  if (option.get_items_expected_max() > 0 && declared.value.empty()) declared.value = "VALUE";
  declared.doc = option.get_description();
  declared.choices = ChoicesOf(type);
  declared.required = option.get_required();
  return declared;
}

void AddVerbs(const CLI::App& app, const std::string& path, std::vector<DeclaredVerb>& verbs) {
  DeclaredVerb verb{path, app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) verb.options.push_back(Declared(*option));  // Others the program alone gives.
  }
  const auto shown = app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); });
  for (const CLI::App* one : shown) verb.verbs.push_back(one->get_name());
  verbs.push_back(std::move(verb));
  for (const CLI::App* one : shown) AddVerbs(*one, path + (path.empty() ? "" : " ") + one->get_name(), verbs);
}

}  // namespace

std::vector<DeclaredVerb> DeclaredVerbs(const CLI::App& app) {
  std::vector<DeclaredVerb> verbs;
  AddVerbs(app, "", verbs);
  return verbs;
}

}  // namespace bitlaw
