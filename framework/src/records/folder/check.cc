#include "records/folder/check.h"

#include <fmt/format.h>

#include <optional>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "records/folder/listing.h"

namespace bitlaw {
namespace fs = std::filesystem;

WholeRecord ReadWholeRecord(const RecordStore& store, const std::string& digest) {
  const fs::path path = store.RecordPath(digest);
  WholeRecord whole;
  whole.text = ReadWholeFile(path);
  AnyRecord record = ReadAnyRecord(whole.text, digest, path.string());
  whole.json = std::move(record.json);
  whole.other_format = record.other_format;
  if (record.quantization) whole.codes_digest = record.quantization->quantization.codes_digest;
  if (!record.task) return whole;
  whole.is_task = true;
  whole.rows = static_cast<int64_t>(store.Items(*record.task).size());
  whole.items = store.ItemsPath(*record.task);
  return whole;
}

std::string FaultOfTimings(const fs::path& file) {
  try {
    if (!ParseJson(ReadWholeFile(file), file.string()).is_map()) return file.string() + ": it is no JSON object.";
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

namespace {

// Null: the file is what it says.
using Fault = std::optional<std::string>;

Fault FaultOfCodes(const fs::path& path, const std::string& recorded, const CodesDigestOf& digest_of) {
  try {
    const std::string found = digest_of(path);
    if (found == recorded) return std::nullopt;
    return fmt::format("{}: its codes have SHA-256 {}, and its record says {}.", path.string(), ShortDigest(found),
                       ShortDigest(recorded));
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

FolderCheck CheckFolder(const RecordStore& store, const CodesDigestOf& codes) {
  const FolderListing listing = ListFolder(store.output());
  FolderCheck check;
  check.foreign = listing.foreign;
  for (const auto& [digest, files] : listing.records) {
    std::optional<WholeRecord> whole;
    if (files.record) {
      try {
        whole = ReadWholeRecord(store, digest);
      } catch (const Error& error) {
        check.damaged.push_back({store.RecordPath(digest), error.what(), digest});
      }
    }
    if (whole && whole->other_format != 0) {
      ++check.other_formats[whole->other_format];
      continue;
    }
    if (whole) ++(whole->is_task ? check.tasks : check.quantizations);
    if (whole) check.items += static_cast<size_t>(whole->rows);
    if (files.timings) {
      const std::string fault = FaultOfTimings(store.TimingsPath(digest));
      if (!fault.empty()) check.damaged.push_back({store.TimingsPath(digest), fault, ""});
      if (fault.empty()) ++check.timings;
    }
    // Codes without a record belong to nothing: `records gc`.
    if (files.codes && whole && !whole->is_task && codes) {
      const fs::path path = CodesPath(store.output(), digest);
      const Fault fault = FaultOfCodes(path, whole->codes_digest, codes);
      if (fault) check.damaged.push_back({path, *fault, ""});
      if (!fault) ++check.codes;
    }
  }
  return check;
}

fs::path QuarantineDamaged(const RecordStore& store, const FolderCheck& check) {
  for (const DamagedFile& damaged : check.damaged) {
    if (damaged.record.empty()) {
      store.QuarantineFile(damaged.file);
    } else {
      store.Quarantine(damaged.record);
    }
  }
  return store.output() / "quarantine";
}

}  // namespace bitlaw
