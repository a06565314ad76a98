#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// A split of a dataset as it is called at Hugging Face.
struct BITLAW_EXPORT DatasetSplit {
  std::string dataset;  ///< "allenai/ai2_arc".
  std::string config;   ///< "ARC-Easy"; "" for none.
  std::string split;    ///< "test"; "validation" is also found as valid, val or dev.

  std::string Text() const;  ///< "allenai/ai2_arc, ARC-Easy, test".
  /// The command that brings the dataset into a folder.
  std::string Download() const;
};

/// The data files of a split under `place`: a file; the dataset's folder, as `hf download`, git or Hugging Face's cache
/// have it; or a folder of several datasets, one of which has the dataset's name. A file belongs to a split if its
/// name, or that of its folder, is the split's or begins with it ("test-00000-of-00001.parquet", "test/0000.parquet",
/// "test.jsonl.gz"), and to a configuration if a folder on its way, or its own name, has the configuration's. By name,
/// those of one folder and one ending; Parquet goes before other endings.
///
/// Errors   Error(kIo) with what was looked for and what is there, if nothing or several things fit.
BITLAW_EXPORT std::vector<std::filesystem::path> FindSplit(const DatasetSplit& split,
                                                           const std::filesystem::path& place);

/// The rows of these files, one after the other (data_rows.h).
BITLAW_EXPORT std::vector<Value> ReadSplit(const std::vector<std::filesystem::path>& files);

/// A row as a line of JSON with its line feed, keys in their order.
BITLAW_EXPORT std::string JsonLine(const Value& row);

}  // namespace bitlaw
