#include <fmt/format.h>

#include "bitlaw/base/error.h"
#include "cli/usage/declarations.h"

namespace bitlaw {
namespace {

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::vector<std::string> OptionNames(const DeclaredVerb& verb) {
  std::vector<std::string> names;
  for (const DeclaredOption& option : verb.options) {
    if (!option.by_place) names.push_back(option.name);
  }
  return names;
}

// Where a verb has none of what is asked for, nothing is completed and the shell offers files.
std::string BashFunction(const std::vector<DeclaredVerb>& verbs) {
  std::string steps, values, words;
  for (const DeclaredVerb& verb : verbs) {
    for (const std::string& name : verb.verbs)
      steps += fmt::format("      '{}{}{}') path='{}{}{}' ;;\n", verb.path, " ", name, verb.path, verb.path.empty() ? "" : " ", name);
    for (const DeclaredOption& option : verb.options) {
      if (option.by_place || option.choices.empty()) continue;
      const std::string place = verb.path.empty() ? "*' " + option.name + "'" : "'" + verb.path + " " + option.name + "'";
      values += fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n", place, Joined(option.choices));
    }
    std::vector<std::string> options = OptionNames(verb);
    if (!verb.path.empty()) {
      for (const std::string& global : OptionNames(verbs.front())) {
        if (global != "--help" && global != "--version") options.push_back(global);
      }
    }
    words += fmt::format("    '{}') verbs='{}' options='{}' ;;\n", verb.path, Joined(verb.verbs), Joined(options));
  }
  return "_bitlaw() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path='' verbs='' options='' i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"$path ${COMP_WORDS[i]}\" in\n" + steps +
         "    esac\n"
         "  done\n"
         "  case \"$path $prev\" in\n" + values +
         "  esac\n"
         "  case \"$path\" in\n" + words +
         "  esac\n"
         "  if [[ $cur == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"))\n"
         "  fi\n"
         "}\n";
}

std::string FishQuoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// Verbs of verbs are known by the last word alone.
std::string FishScript(const std::vector<DeclaredVerb>& verbs) {
  std::string script;
  for (const DeclaredVerb& verb : verbs) {
    const std::string last = verb.path.substr(verb.path.rfind(' ') == std::string::npos ? 0 : verb.path.rfind(' ') + 1);
    const std::string here = verb.path.empty() ? "" : " -n '__fish_seen_subcommand_from " + last + "'";
    for (const DeclaredVerb& one : verbs) {
      const size_t space = one.path.rfind(' ');
      if (one.path.empty() || (space == std::string::npos ? "" : one.path.substr(0, space)) != verb.path) continue;
      const std::string name = space == std::string::npos ? one.path : one.path.substr(space + 1);
      const std::string where =
          verb.path.empty() ? "__fish_use_subcommand"
                            : "__fish_seen_subcommand_from " + last + "; and not __fish_seen_subcommand_from " + Joined(verb.verbs);
      script += fmt::format("complete -c bitlaw -f -n '{}' -a {} -d {}\n", where, name, FishQuoted(one.doc));
    }
    for (const DeclaredOption& option : verb.options) {
      if (option.by_place || !option.name.starts_with("--")) continue;
      script += fmt::format("complete -c bitlaw{} -l {}{}{} -d {}\n", here, option.name.substr(2), option.value.empty() ? "" : " -r",
                            option.choices.empty() ? "" : " -f -a " + FishQuoted(Joined(option.choices)), FishQuoted(option.doc));
    }
  }
  return script;
}

}  // namespace

std::string CompletionScript(const std::vector<DeclaredVerb>& verbs, const std::string& shell) {
  if (shell == "fish") return FishScript(verbs);
  if (shell == "bash") return BashFunction(verbs) + "complete -o default -F _bitlaw bitlaw\n";
  if (shell != "zsh") throw InternalError("no completion for " + shell);
  // zsh runs bash's by its own emulation; as a file of $fpath it is called to complete, otherwise it is sourced.
  std::string function = BashFunction(verbs);
  function.replace(0, std::string("_bitlaw").size(), "_bitlaw_words");
  return "#compdef bitlaw\nautoload -U +X bashcompinit && bashcompinit\n" + function +
         "if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then\n"
         "  _bash_complete -o default -F _bitlaw_words\n"
         "else\n"
         "  complete -o default -F _bitlaw_words bitlaw\n"
         "fi\n";
}

}  // namespace bitlaw
