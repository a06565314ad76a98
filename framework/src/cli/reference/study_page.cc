#include "api/help/option_rows.h"
#include "cli/reference/reference_pages.h"
#include "fit/options/fit_options.h"
#include "plan/evaluate_options.h"
#include "spec/keys/spec_keys.h"

namespace bitlaw {
namespace {

std::string Paragraph(const std::string& doc) { return doc.empty() ? "" : doc + "\n\n"; }

std::string KeyTable(const SpecMap& map) {
  std::string table = MarkdownHead({"key", "value", "default", "meaning"});
  for (const SpecKey& key : map.keys) table += MarkdownRow({Code(key.name), key.value, key.fallback, key.doc});
  return table;
}

// As OptionTable(), with the flag of `bitlaw fit` beside each key.
std::string FitTable() {
  std::string table = MarkdownHead({"option of `fit:`", "of `bitlaw fit`", "type", "range", "default", "meaning"});
  const std::vector<OptionRow> rows = OptionRows(FitSchema());
  for (const FitOption& option : FitOptions()) {
    for (const OptionRow& row : rows) {
      if (row.depth > 0 || row.name != option.name) continue;
      const bool is_none = row.fallback == "none" || row.fallback == "''";
      table += MarkdownRow({Code(row.name), Code(option.flag), row.type, Code(row.range),
                            is_none ? "none" : Code(row.fallback), row.doc});
    }
  }
  return table;
}

}  // namespace

std::string StudyPage() {
  std::string page =
      "# Reference: the study file\n\n" + PageNote("study", "of the declarations by which a study is read") +
      "\nThe guide is [the study file](../study.md); what YAML is accepted, where paths begin and how axes make a grid "
      "stands there. A key that is not listed is an error, with the closest one that is.\n";
  for (const SpecMap& map : SpecMaps()) {
    if (!map.where.empty()) page += "\n## " + map.where + "\n\n" + Paragraph(map.doc) + KeyTable(map);
    if (map.kind != "quantize") continue;
    page += "\nIts parts are maps of options:\n";
    for (const SpecPart& part : SpecParts()) {
      if (part.where.find("quantize") != std::string::npos)
        page += "\n### " + part.where + "\n\n" + Paragraph(part.doc) + OptionTable(part.schema);
    }
  }
  for (const SpecPart& part : SpecParts()) {
    if (part.where.find("quantize") == std::string::npos)
      page += "\n## " + part.where + "\n\n" + Paragraph(part.doc) + OptionTable(part.schema);
  }
  page +=
      "\n## `fit:`\n\nOptions of the fits; what they do is in [fits](fits.md). `bitlaw fit` has them as flags, which "
      "come over the "
      "study's. Flags of lists are repeated; those of true and false stand alone and turn the default round.\n\n" +
      FitTable();
  page +=
      "\n## `evaluate:`\n\nOptions of the evaluation ([how requests are "
      "scheduled](../evaluation.md#how-requests-are-scheduled)).\n\n" +
      OptionTable(EvaluateOptions::Schema());
  return page;
}

}  // namespace bitlaw
