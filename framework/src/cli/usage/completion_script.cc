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

// Options of a verb, and those of all verbs.
std::vector<DeclaredOption> OptionsAt(const std::vector<DeclaredVerb>& verbs, const DeclaredVerb& verb) {
  std::vector<DeclaredOption> options;
  for (const DeclaredOption& option : verb.options) {
    if (!option.by_place && option.name.starts_with("--")) options.push_back(option);
  }
  if (verb.path.empty()) return options;
  for (const DeclaredOption& option : verbs.front().options) {
    if (option.name != "--help" && option.name != "--version") options.push_back(option);
  }
  return options;
}

// What may stand in the place of a verb's argument, where only some words may: its verbs, or an argument's choices.
std::vector<std::string> WordsAt(const DeclaredVerb& verb) {
  if (!verb.verbs.empty()) return verb.verbs;
  for (const DeclaredOption& option : verb.options) {
    if (option.by_place) return option.choices;
  }
  return {};
}

const std::string& DocOf(const std::vector<DeclaredVerb>& verbs, const DeclaredVerb& of, const std::string& word) {
  static const std::string kNone;
  for (const DeclaredVerb& one : verbs) {
    if (one.path == of.path + (of.path.empty() ? "" : " ") + word) return one.doc;
  }
  return kNone;
}

// `assign` makes a statement of the shell that the words have led to a verb.
template <class Assign>
std::string Steps(const std::vector<DeclaredVerb>& verbs, const Assign& assign) {
  std::string steps;
  for (const DeclaredVerb& verb : verbs) {
    for (const std::string& name : verb.verbs)
      steps += assign(verb.path + " " + name, verb.path + (verb.path.empty() ? "" : " ") + name);
  }
  return steps;
}

// The text in single quotes of a shell that ends such a text to write one.
std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Where there are no words to offer the shell offers files; so it does for the value of an option.
std::string BashScript(const std::vector<DeclaredVerb>& verbs) {
  std::string values, words;
  for (const DeclaredVerb& verb : verbs) {
    std::vector<std::string> options;
    for (const DeclaredOption& option : OptionsAt(verbs, verb)) {
      options.push_back(option.name);
      const std::string place = Quoted(verb.path + " " + option.name);
      if (!option.choices.empty())
        values += fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n", place,
                              Joined(option.choices));
      else if (!option.value.empty())
        values += fmt::format("    {}) return ;;\n", place);
    }
    words += fmt::format("    '{}') words='{}' options='{}' ;;\n", verb.path, Joined(WordsAt(verb)), Joined(options));
  }
  return "_bitlaw() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at='' words='' options='' i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"$at ${COMP_WORDS[i]}\" in\n" +
         Steps(verbs, [](const std::string& seen,
                         const std::string& at) { return fmt::format("      '{}') at='{}' ;;\n", seen, at); }) +
         "    esac\n"
         "  done\n"
         "  case \"$at $prev\" in\n" +
         values +
         "  esac\n"
         "  case \"$at\" in\n" +
         words +
         "  esac\n"
         "  if [[ $cur == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  fi\n"
         "}\n"
         "complete -o default -F _bitlaw bitlaw\n";
}

// "plan:What it does", for _describe.
std::string Described(const std::string& word, const std::string& doc) {
  std::string text;
  for (const char c : word) text += (c == ':' ? "\\:" : std::string(1, c));
  return Quoted(doc.empty() ? text : text + ":" + doc);
}

std::string ZshScript(const std::vector<DeclaredVerb>& verbs) {
  std::string values, words;
  for (const DeclaredVerb& verb : verbs) {
    std::string offered, options;
    for (const std::string& word : WordsAt(verb)) offered += " " + Described(word, DocOf(verbs, verb, word));
    for (const DeclaredOption& option : OptionsAt(verbs, verb)) {
      options += " " + Described(option.name, option.doc);
      const std::string place = Quoted(verb.path + " " + option.name);
      if (!option.choices.empty())
        values += fmt::format("    {}) compadd -- {}; return ;;\n", place, Joined(option.choices));
      else if (!option.value.empty())
        values += fmt::format("    {}) _files; return ;;\n", place);
    }
    words += fmt::format("    '{}')\n      offered=({})\n      options=({}) ;;\n", verb.path, offered, options);
  }
  return "#compdef bitlaw\n"
         "_bitlaw() {\n"
         "  local at='' i\n"
         "  local -a offered options\n"
         "  for ((i = 2; i < CURRENT; ++i)); do\n"
         "    case \"$at ${words[i]}\" in\n" +
         Steps(verbs, [](const std::string& seen,
                         const std::string& at) { return fmt::format("      '{}') at='{}' ;;\n", seen, at); }) +
         "    esac\n"
         "  done\n"
         "  case \"$at ${words[CURRENT-1]}\" in\n" +
         values +
         "  esac\n"
         "  case \"$at\" in\n" +
         words +
         "  esac\n"
         "  if [[ ${words[CURRENT]} == -* ]]; then\n"
         "    _describe -o option options\n"
         "  elif (( $#offered )); then\n"
         "    _describe word offered\n"
         "  else\n"
         "    _files\n"
         "  fi\n"
         "}\n"
         // As a file of $fpath it is called to complete; sourced, it is made known.
         "if [[ ${funcstack[1]} == _bitlaw ]]; then\n"
         "  _bitlaw \"$@\"\n"
         "else\n"
         "  compdef _bitlaw bitlaw\n"
         "fi\n";
}

std::string FishQuoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string FishScript(const std::vector<DeclaredVerb>& verbs) {
  std::string script =
      "# Whether the words before the cursor have led to this verb.\n"
      "function __bitlaw_at\n"
      "  set -l at ''\n"
      "  for word in (commandline -opc)[2..]\n"
      "    switch \"$at $word\"\n" +
      Steps(verbs,
            [](const std::string& seen, const std::string& at) {
              return fmt::format("      case '{}'\n        set at '{}'\n", seen, at);
            }) +
      "    end\n"
      "  end\n"
      "  test \"$at\" = \"$argv[1]\"\n"
      "end\n";
  for (const DeclaredVerb& verb : verbs) {
    const std::string here = " -n \"__bitlaw_at '" + verb.path + "'\"";
    for (const std::string& word : WordsAt(verb)) {
      const std::string& doc = DocOf(verbs, verb, word);
      script += "complete -c bitlaw -f" + here + " -a " + word + (doc.empty() ? "" : " -d " + FishQuoted(doc)) + "\n";
    }
    for (const DeclaredOption& option : verb.options) {
      if (option.by_place || !option.name.starts_with("--")) continue;
      script += fmt::format("complete -c bitlaw{} -l {}{}{} -d {}\n", verb.path.empty() ? "" : here,
                            option.name.substr(2), option.value.empty() ? "" : " -r",
                            option.choices.empty() ? "" : " -f -a " + FishQuoted(Joined(option.choices)),
                            FishQuoted(option.doc));
    }
  }
  return script;
}

}  // namespace

std::string CompletionScript(const std::vector<DeclaredVerb>& verbs, const std::string& shell) {
  if (shell == "bash") return BashScript(verbs);
  if (shell == "zsh") return ZshScript(verbs);
  if (shell == "fish") return FishScript(verbs);
  throw InternalError("no completion for " + shell);
}

}  // namespace bitlaw
