#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// The options `data` and `sha256` of a task or of its few-shot examples: a file, or a list of files, each by name or
/// by a pattern whose file name holds one '*'.
///
///     data: eval/arc_easy.jsonl
///     data: [eval/physics.csv, eval/law.csv]
///     data: test/*_test.csv
BITLAW_EXPORT void AddDataFields(OptionSchema& schema, bool required, const std::string& doc);

/// One data file of a task.
struct BITLAW_EXPORT DataFile {
  std::string name;   ///< As the task names it, with '*' filled in: "test/law_test.csv".
  /// What '*' stood for, "law"; without a pattern the file name without folders and last ending, "law_test".
  std::string label;
  std::filesystem::path path;
};

/// Where a data file or pattern of that name may be, in the order in which it is looked for: each of the context's data
/// folders, then the folder of the file that names it. Error(kSpec) if a variable in it is not set.
BITLAW_EXPORT std::vector<std::filesystem::path> DataPlaces(const Value& name, const TaskContext& context);

/// Where a single data file is: an absolute path as it is; otherwise the first that exists of the folders in
/// context.data_paths and the folder of the file in which `name` was written.
/// Error(kIo) that lists the places looked at, and `get`, how a user comes by the file; Error(kIo) with both
/// digests if `sha256` is not empty and the file's digest is another.
BITLAW_EXPORT std::filesystem::path FindDataFile(const Value& name, const TaskContext& context,
                                                 const std::string& get, const std::string& sha256);

/// All files of `holder`'s option `data` in the order given, those of a pattern by name. A pattern takes its files
/// from the first folder that holds any. Nothing for an empty list.
/// Errors: as FindDataFile(); Error(kSpec) for a pattern with several '*' or one in a folder's name, for a file that
/// is named twice, and if `sha256` is given and has another number of digests than there are files.
BITLAW_EXPORT std::vector<DataFile> FindDataFiles(const Options& holder, const TaskContext& context,
                                                  const std::string& get);

/// The rows of all files, one file after the other (data_rows.h). Each row has in addition the field `_file`, its
/// file's label, unless it has one of its own: option group_field, few_shot.match and templates may name it.
BITLAW_EXPORT std::vector<Value> ReadDataRows(const std::vector<DataFile>& files);

/// The names of option `data` for error texts: "a.jsonl, b.jsonl".
BITLAW_EXPORT std::string DataNames(const Options& holder);

}  // namespace bitlaw
