#include <fmt/format.h>

#include "api/help/option_rows.h"
#include "cli/reference/reference_pages.h"

namespace bitlaw {

std::string MarkdownRow(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const std::string& cell : cells) {
    row += ' ';
    for (const char c : cell) {
      if (c == '|') row += '\\';
      row += c == '\n' ? ' ' : c;
    }
    row += cell.empty() ? "|" : " |";
  }
  return row + "\n";
}

std::string MarkdownHead(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (size_t i = 0; i < cells.size(); ++i) line += "---|";
  return MarkdownRow(cells) + line + "\n";
}

std::string Code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

std::string OptionTable(const OptionSchema& schema) {
  if (schema.fields().empty()) return "It has no options.\n";
  std::string table = MarkdownHead({"option", "type", "range", "default", "meaning"});
  std::vector<std::string> path;
  for (const OptionRow& row : OptionRows(schema)) {
    path.resize(static_cast<size_t>(row.depth));
    std::string name;
    for (const std::string& part : path) name += part + ".";
    path.push_back(row.name);
    const std::string fallback =
        row.fallback == "required" || row.fallback == "none" ? row.fallback : Code(row.fallback);
    table += MarkdownRow({Code(name + row.name), row.type + (row.unit.empty() ? "" : ", " + row.unit), Code(row.range),
                          fallback, row.doc});
  }
  return table;
}

std::string PageNote(const std::string& page, const std::string& of_what) {
  return fmt::format(
      "Printed by `bitlaw reference {}`, {}. A test compares this page with what the program prints:\n\n"
      "    build/release/bin/bitlaw reference {} > docs/reference/{}.md      # renews it\n",
      page, of_what, page, page);
}

}  // namespace bitlaw
