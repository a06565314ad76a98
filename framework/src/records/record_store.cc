#include "records/record_store.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

fs::path Filed(const fs::path& output, const char* folder, const std::string& digest, const char* ending) {
  return output / folder / digest.substr(0, 2) / (digest + ending);
}

// The text of a record file, or nullopt if there is none.
std::optional<std::string> TextOf(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  return ReadWholeFile(path);
}

}  // namespace

fs::path RecordStore::RecordPath(const std::string& digest) const { return Filed(output_, "records", digest, ".json"); }
fs::path RecordStore::ItemsPath(const std::string& digest) const {
  return Filed(output_, "records", digest, ".items.csv");
}
fs::path RecordStore::TimingsPath(const std::string& digest) const { return Filed(output_, "timings", digest, ".json"); }
fs::path RecordStore::FailurePath(const std::string& trial) const { return output_ / "failures" / (trial + ".json"); }

void RecordStore::CheckFolder() const {
  std::error_code error;
  if (fs::is_directory(output_, error)) return;
  throw Error(ErrorKind::kIo, fmt::format("{}: the output folder is gone: it was deleted or moved while it was in use.",
                                          output_.string()));
}

size_t RecordStore::CountOtherFormats() const {
  size_t count = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(output_ / "records", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != ".json") continue;
    // The format is the first thing in a record.
    std::ifstream file(entry->path(), std::ios::binary);
    std::string start(40, '\0');
    file.read(start.data(), static_cast<std::streamsize>(start.size()));
    start.resize(static_cast<size_t>(file.gcount()));
    static const std::string kField = "\"format\":";
    const size_t at = start.find(kField);
    if (at != std::string::npos && std::atoll(start.c_str() + at + kField.size()) != kRecordFormat) ++count;
  }
  return count;
}

std::string RecordStore::Write(TaskRecord& record, const std::vector<ItemScore>& items) const {
  CheckFolder();
  const std::string digest = RecordDigest(record.key);
  const std::string text = WriteItems(record.card, items);
  record.items.rows = static_cast<int64_t>(items.size());
  record.items.size_bytes = static_cast<int64_t>(text.size());
  record.items.digest = DigestOf(text);
  WriteDurably(ItemsPath(digest), text, output_);
  WriteDurably(RecordPath(digest), WriteRecord(record), output_);
  return digest;
}

std::string RecordStore::Write(const QuantizationRecord& record) const {
  CheckFolder();
  const std::string digest = RecordDigest(record.key);
  WriteDurably(RecordPath(digest), WriteRecord(record), output_);
  return digest;
}

std::optional<TaskRecord> RecordStore::FindTask(const std::string& digest, std::vector<std::string>& faults) const {
  const fs::path path = RecordPath(digest);
  try {
    const auto text = TextOf(path);
    if (!text) return std::nullopt;
    TaskRecord record = ReadTaskRecord(*text, digest, path.string());
    ItemsText(record);
    return record;
  } catch (const Error& error) {
    faults.emplace_back(error.what());
    return std::nullopt;
  }
}

std::optional<QuantizationRecord> RecordStore::FindQuantization(const std::string& digest,
                                                                std::vector<std::string>& faults) const {
  const fs::path path = RecordPath(digest);
  try {
    const auto text = TextOf(path);
    if (!text) return std::nullopt;
    return ReadQuantizationRecord(*text, digest, path.string());
  } catch (const Error& error) {
    faults.emplace_back(error.what());
    return std::nullopt;
  }
}

std::string RecordStore::ItemsText(const TaskRecord& record) const {
  const fs::path path = ItemsPath(RecordDigest(record.key));
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) throw Error(ErrorKind::kIo, fmt::format("{}: the items of a record are missing.", path.string()));
  if (static_cast<int64_t>(size) != record.items.size_bytes) {
    throw Error(ErrorKind::kIo, fmt::format("{}: the file has {} bytes, its record says {}.", path.string(), size,
                                            record.items.size_bytes));
  }
  std::string text = ReadWholeFile(path);
  if (DigestOf(text) != record.items.digest) {
    throw Error(ErrorKind::kIo, fmt::format("{}: the items are not those of their record: the file was changed.",
                                            path.string()));
  }
  return text;
}

std::vector<ItemScore> RecordStore::Items(const TaskRecord& record) const {
  const fs::path path = ItemsPath(RecordDigest(record.key));
  const std::string text = ItemsText(record);
  std::vector<ItemScore> items = ReadItems(record.card, text, path.string());
  if (static_cast<int64_t>(items.size()) != record.items.rows) {
    throw Error(ErrorKind::kIo, fmt::format("{}: {} items, the record says {}.", path.string(), items.size(),
                                            record.items.rows));
  }
  return items;
}

void RecordStore::Quarantine(const std::string& digest) const {
  for (const fs::path& path : {RecordPath(digest), ItemsPath(digest)}) {
    if (!fs::exists(path)) continue;
    const fs::path folder = output_ / "quarantine";
    std::error_code error;
    fs::create_directories(folder, error);
    fs::rename(path, folder / path.filename(), error);
    if (error) {
      throw Error(ErrorKind::kIo, fmt::format("{}: the file cannot be moved to {}: {}.", path.string(), folder.string(),
                                              error.message()));
    }
  }
}

void RecordStore::WriteTimings(const std::string& digest, const Value& timings) const {
  CheckFolder();
  WriteDurably(TimingsPath(digest), PrettyJson(timings), output_);
}

Value RecordStore::Timings(const std::string& digest) const {
  const fs::path path = TimingsPath(digest);
  std::error_code status;
  if (!fs::is_regular_file(path, status)) return {};
  try {
    return ParseJson(ReadWholeFile(path), path.string());
  } catch (const Error&) {
    return {};
  }
}

void RecordStore::WriteFailure(const FailureRecord& failure) const {
  CheckFolder();
  const Value value = Value::Map{{"trial", failure.trial},   {"label", failure.label},
                                 {"stage", failure.stage},   {"kind", failure.kind},
                                 {"reason", failure.reason}, {"stderr_tail", failure.stderr_tail},
                                 {"date", failure.date}};
  WriteDurably(FailurePath(failure.trial), PrettyJson(value), output_);
}

void RecordStore::ForgetFailure(const std::string& trial) const {
  std::error_code ignored;
  fs::remove(FailurePath(trial), ignored);
}

void RecordStore::RemoveTemporaries() const {
  for (const char* folder : {"records", "timings", "failures", "artifacts"}) {
    const fs::path root = output_ / folder;
    if (!fs::is_directory(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (entry.path().extension() == ".tmp") fs::remove(entry.path());
    }
  }
}

}  // namespace bitlaw
