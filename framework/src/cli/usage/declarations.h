#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace bitlaw {

/// What a verb declares, in the form that the manual page and completions need.
struct DeclaredOption {
  std::string name;                  ///< "--format"; of an argument by place "study".
  std::vector<std::string> others;   ///< Its other names: "-h".
  std::string value;                 ///< "TEXT"; "" of a flag.
  std::string doc;
  std::vector<std::string> choices;  ///< Where only these are taken.
  bool by_place = false, required = false;
};
struct DeclaredVerb {
  std::string path;  ///< "" of the program itself, "plugins describe"
  std::string doc;
  std::vector<DeclaredOption> options;
  std::vector<std::string> verbs;  ///< Names of its own verbs.
};

/// The program and every verb that is shown, each after the one that it belongs to.
std::vector<DeclaredVerb> DeclaredVerbs(const CLI::App& app);

/// A page for man(1), troff with the man macros.
std::string ManualPage(const std::vector<DeclaredVerb>& verbs);

/// A completion script of "bash", "zsh" or "fish".
std::string CompletionScript(const std::vector<DeclaredVerb>& verbs, const std::string& shell);

}  // namespace bitlaw
