#include <fmt/format.h>

#include "cli/usage/declarations.h"
#include "cli/usage/exit_codes.h"

namespace bitlaw {
namespace {

// A text that troff prints as it stands.
std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool begins_line = out.empty() || out.back() == '\n';
    if (begins_line && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string OptionEntry(const DeclaredOption& option) {
  std::string names = "\\fB" + Escaped(option.name) + "\\fR";
  for (const std::string& other : option.others) names += ", \\fB" + Escaped(other) + "\\fR";
  if (!option.by_place && !option.value.empty()) names += " \\fI" + Escaped(option.value) + "\\fR";
  std::string doc = option.doc;
  if (!option.choices.empty() && doc.find(option.choices.front()) == std::string::npos) {
    doc += (doc.empty() ? "" : ". ") + std::string("One of: ");
    for (size_t i = 0; i < option.choices.size(); ++i) doc += (i == 0 ? "" : ", ") + option.choices[i];
  }
  return ".TP\n" + names + "\n" + Escaped(doc.empty() ? "-" : doc) + "\n";
}

std::string Synopsis(const DeclaredVerb& verb) {
  std::string text = "\\fBbitlaw" + (verb.path.empty() ? "" : " " + Escaped(verb.path)) + "\\fR";
  if (!verb.verbs.empty()) text += " \\fIVERB\\fR";
  for (const DeclaredOption& option : verb.options) {
    if (option.by_place) text += (option.required ? " \\fI" : " [\\fI") + Escaped(option.name) + (option.required ? "\\fR" : "\\fR]");
  }
  return text + " [\\fIOPTIONS\\fR]";
}

}  // namespace

std::string ManualPage(const std::vector<DeclaredVerb>& verbs) {
  std::string page = fmt::format(".TH BITLAW 1 \"\" \"bitlaw {}\" \"User commands\"\n", BITLAW_VERSION);
  page += ".SH NAME\nbitlaw \\- scaling laws of post\\-training quantized language models\n.SH SYNOPSIS\n";
  for (const DeclaredVerb& verb : verbs) {
    if (verb.verbs.empty()) page += Synopsis(verb) + "\n.br\n";
  }
  page += ".SH DESCRIPTION\n"
          "Quantizes language models over bits, group size, calibration text and any other axis of a study, scores them on benchmarks, "
          "and fits scaling laws to the scores. A study is a YAML file; results lie in its output folder, and a run that was killed goes "
          "on where it was.\n"
          ".PP\nA first study of a model, checked, run and looked at:\n.PP\n.nf\n"
          "    bitlaw init MODEL_FOLDER \\-\\-output study.yaml\n    bitlaw check study.yaml\n    bitlaw run study.yaml\n"
          "    bitlaw recommend study.yaml\n.fi\n";
  for (const DeclaredVerb& verb : verbs) {
    page += verb.path.empty() ? ".SH OPTIONS OF ALL VERBS\n"
                              : (verb.path == verbs.at(1).path ? std::string(".SH VERBS\n") : std::string()) + ".SS bitlaw " +
                                    Escaped(verb.path) + "\n" + Escaped(verb.doc) + ".\n";
    for (const DeclaredOption& option : verb.options) {
      if (verb.path.empty() || option.name != "--help") page += OptionEntry(option);
    }
  }
  page += ".SH EXIT STATUS\n";
  for (const ExitMeaning& one : ExitMeanings()) page += fmt::format(".TP\n.B {}\n{}\n", one.code, Escaped(one.meaning));
  page += ".SH ENVIRONMENT\n"
          ".TP\n.B BITLAW_DATA_PATH\nFolders with data of benchmarks, separated by colons\n"
          ".TP\n.B NO_COLOR\nIf set and not empty, nothing is coloured\n"
          ".SH FILES\n"
          ".TP\n.I share/bitlaw/configs\nTasks, laws, recipes and studies that come with bitlaw\n"
          ".TP\n.I share/doc/bitlaw\nThe book; begin with README.md\n"
          ".TP\n.I lib/bitlaw/plugins\nPlugins, loaded by every verb that needs them\n";
  return page;
}

}  // namespace bitlaw
