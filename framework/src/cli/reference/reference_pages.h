#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/api/option_schema.h"
#include "plugin/host.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// Pages of docs/reference in Markdown, made of the declarations that the program itself reads by.

/// Every key of a study, its task and law files, `fit:` and `evaluate:`.
std::string StudyPage();

/// The options of every component of `host`.
std::string ComponentPage(const PluginHost& host);

/// A law file, read and opened.
struct NamedLaw {
  LawSpec spec;
  std::unique_ptr<Law> law;
};
/// Formula, columns, parameters and source of each.
std::string LawPage(const std::vector<NamedLaw>& laws);

/// "| a | b |\n": '|' and line ends in a cell are escaped.
std::string MarkdownRow(const std::vector<std::string>& cells);
/// The head of such a table with the line below it.
std::string MarkdownHead(const std::vector<std::string>& cells);
/// "`name`"; "" of nothing.
std::string Code(const std::string& text);
/// A table of options; "It has no options.\n" without any.
std::string OptionTable(const OptionSchema& schema);
/// A comment and a sentence that say which command prints a page.
std::string PageNote(const std::string& page, const std::string& of_what);

}  // namespace bitlaw
