#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/record_store.h"

namespace bitlaw {

/// A file that nothing refers to.
struct BITLAW_EXPORT UnusedFile {
  std::filesystem::path file;
  std::string why;  ///< "no record names it"
  int64_t size_bytes = 0;
  std::string record{};  ///< Digest of the record that it lacks: it is of use again if there is one now.
};

/// What a study refers to, for those who look for records that it does not.
struct BITLAW_EXPORT StudyReferences {
  std::set<std::string> records;         ///< Digests: of its trials' quantizations and tasks.
  std::set<std::string> unknown_trials;  ///< Ids of trials whose records cannot be named, since a digest is not known.
};

/// The files of an output folder that nothing refers to: half-written ones, items that no record names, timings and
/// codes without a record. With `study` also records that none of its trials has, with all that belongs to them; what a
/// trial of unknown_trials may have made stays. Damaged records and what belongs to them stay too: `records verify`.
/// Errors  Error(kIo) if the folder is no output folder of a study.
BITLAW_EXPORT std::vector<UnusedFile> FindUnused(const RecordStore& store, const StudyReferences* study);

/// Removes the files, but those whose record has come since. Returns how many. Error(kIo) for one that cannot be
/// removed.
BITLAW_EXPORT size_t RemoveUnused(const RecordStore& store, const std::vector<UnusedFile>& unused);

}  // namespace bitlaw
