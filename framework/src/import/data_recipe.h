#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "import/dataset_files.h"

namespace bitlaw {

/// How a data file of a task is made of a dataset: an entry of configs/sources.yaml.
///
///     eval/arc_easy.jsonl:
///       dataset: allenai/ai2_arc
///       config: ARC-Easy
///       split: test
///       fields:
///         question: "{{question}}"                              # a template (bitlaw/sdk/text/template.h): a text
///         choices: {copy: choices.text}                         # a field as it is
///         answer: {text: "{{answerKey}}", among: choices.label}  # the place of a text in a list, from 0
///
/// Further forms: {list: [template, ...]} texts; {whole: template, minus: 1} a whole number; {marked: path} the place
/// of the only 1 or true of a list; {each: path} the texts of a list; {json: template} what a text holds as JSON. With
/// `clean`, a text or each text is trimmed, and then a pattern (a string) is taken out or, of a pair, the first text
/// replaced by the second, in this order. `lines: template` instead of `fields` makes lines of a text file.
/// `quoted: true`: cells of a .tsv file are quoted as those of CSV, which pandas writes ("[""a""]" is ["a"]).
struct BITLAW_EXPORT DataRecipe {
  std::string file;  ///< As tasks name it: "eval/arc_easy.jsonl".
  DatasetSplit source;
  Value fields, lines;
  bool quoted = false;
};

/// Error(kSpec) with the place of every entry that is no recipe.
BITLAW_EXPORT std::vector<DataRecipe> ReadDataRecipes(const std::filesystem::path& path);

/// The bytes of the data file: JSON lines, or the lines of a text. Error(kSpec) at the row's place where a field is not
/// what the recipe says.
BITLAW_EXPORT std::string MakeDataFile(const DataRecipe& recipe, const std::vector<Value>& rows);

}  // namespace bitlaw
