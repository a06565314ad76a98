#include "records/folder/garbage.h"

#include <optional>
#include <system_error>

#include "bitlaw/base/error.h"
#include "records/folder/check.h"
#include "records/folder/listing.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

class Search {
 public:
  Search(const RecordStore& store, const StudyReferences* study) : store_(store), study_(study) {}

  std::vector<UnusedFile> Run() {
    const FolderListing listing = ListFolder(store_.output());
    for (const fs::path& file : listing.temporaries) Add(file, "it was never finished");
    for (const auto& [digest, files] : listing.records) Look(digest, files);
    return std::move(unused_);
  }

 private:
  void Look(const std::string& digest, const RecordFiles& files) {
    if (!files.record) {
      for (const fs::path& items : files.items) Add(items, "no record names it", digest);
      if (files.timings) Add(store_.TimingsPath(digest), "it is of no record", digest);
      if (files.codes) Add(CodesPath(store_.output(), digest), "no quantization has a record of it", digest);
      return;
    }
    std::optional<WholeRecord> whole;
    try {
      whole = ReadWholeRecord(store_, digest);
    } catch (const Error&) {
      return;  // Damaged; its items may be what is needed to see how.
    }
    if (whole->other_format != 0) return;
    if (study_ != nullptr && !IsOfStudy(digest, whole->json)) {
      Add(store_.RecordPath(digest), "no trial of the study has it");
      for (const fs::path& items : files.items) Add(items, "it belongs to such a record");
      if (files.timings) Add(store_.TimingsPath(digest), "it belongs to such a record");
      if (files.codes) Add(CodesPath(store_.output(), digest), "it belongs to such a record");
      return;
    }
    for (const fs::path& items : files.items) {
      if (items != whole->items) Add(items, "its record names other items");
    }
    if (files.codes && whole->is_task) Add(CodesPath(store_.output(), digest), "it is named after a task's record");
  }

  bool IsOfStudy(const std::string& digest, const Value& record) const {
    if (study_->records.contains(digest)) return true;
    const Value *trial = record.Find("trial"), *id = trial == nullptr ? nullptr : trial->Find("id");
    return id != nullptr && id->is_string() && study_->unknown_trials.contains(id->AsString());
  }

  void Add(const fs::path& file, const char* why, const std::string& record = "") {
    std::error_code gone;
    const auto size = fs::file_size(file, gone);
    if (!gone) unused_.push_back({file, why, static_cast<int64_t>(size), record});
  }

  const RecordStore& store_;
  const StudyReferences* study_;
  std::vector<UnusedFile> unused_;
};

}  // namespace

std::vector<UnusedFile> FindUnused(const RecordStore& store, const StudyReferences* study) {
  return Search(store, study).Run();
}

size_t RemoveUnused(const RecordStore& store, const std::vector<UnusedFile>& unused) {
  size_t removed = 0;
  for (const UnusedFile& one : unused) {
    std::error_code error;
    if (!one.record.empty() && fs::exists(store.RecordPath(one.record), error)) continue;
    fs::remove(one.file, error);
    if (error)
      throw Error(ErrorKind::kIo, one.file.string() + ": the file cannot be removed: " + error.message() + ".");
    ++removed;
    // Of folders of a bundle that was being unpacked what is empty now.
    for (fs::path folder = one.file.parent_path(); folder.string().find("/incoming-") != std::string::npos;
         folder = folder.parent_path()) {
      if (!fs::is_empty(folder, error) || error) break;
      fs::remove(folder, error);
    }
  }
  return removed;
}

}  // namespace bitlaw
