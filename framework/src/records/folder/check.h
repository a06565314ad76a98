#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/record_store.h"

namespace bitlaw {

/// A file of an output folder that is not what it says.
struct BITLAW_EXPORT DamagedFile {
  std::filesystem::path file;
  std::string why;     ///< One sentence that begins with the file.
  std::string record;  ///< Digest of the record that cannot be used for it; "" where none is concerned.
};

/// What an output folder holds, every file of it read.
struct BITLAW_EXPORT FolderCheck {
  size_t tasks = 0, quantizations = 0;      ///< Whole records.
  size_t items = 0;                         ///< Rows of the items of whole task records.
  size_t codes = 0, timings = 0;            ///< Whole files.
  std::map<int64_t, size_t> other_formats;  ///< Format -> records of it, which this bitlaw does not read.
  std::vector<DamagedFile> damaged;
  std::vector<std::filesystem::path> foreign;  ///< Below records/ and timings/, with no name that bitlaw gives.
};

/// SHA-256 of the codes in a file of quantized weights, computed of them. Error(kIo) for a file that is damaged.
using CodesDigestOf = std::function<std::string(const std::filesystem::path&)>;

/// Reads every record of the store's folder with its items, timings and codes, and compares each with the digests that
/// it is named by and that are in it: the key, the content, the items, the codes. `codes` null: those are not read.
/// Errors  Error(kIo) if the folder is no output folder of a study.
BITLAW_EXPORT FolderCheck CheckFolder(const RecordStore& store, const CodesDigestOf& codes);

/// Moves the damaged files to <output>/quarantine, of a damaged record or its items both, so that a run does them
/// again. Returns where to. Error(kIo) if one cannot be moved.
BITLAW_EXPORT std::filesystem::path QuarantineDamaged(const RecordStore& store, const FolderCheck& check);

/// A record that is whole with its items.
struct BITLAW_EXPORT WholeRecord {
  std::string text;
  std::filesystem::path items;  ///< "" of a quantization, which has none.
  int64_t rows = 0;
  std::string codes_digest;  ///< Of a quantization.
  bool is_task = false;
  int64_t other_format = 0;  ///< Not 0: of that format, and nothing else is known of it.
  Value json;
};
/// Why a timings file is none, a sentence; "" if it is one.
BITLAW_EXPORT std::string FaultOfTimings(const std::filesystem::path& file);

/// Error(kIo) with the first fault of what stands under `digest`.
BITLAW_EXPORT WholeRecord ReadWholeRecord(const RecordStore& store, const std::string& digest);

}  // namespace bitlaw
