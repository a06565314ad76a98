#include "records/record_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

fs::path Filed(const fs::path& output, const char* folder, const std::string& digest, const char* ending) {
  return output / folder / digest.substr(0, 2) / (digest + ending);
}

constexpr const char* kItemsEnding = ".items.csv";
constexpr size_t kItemsDigits = 16;
constexpr size_t kMostAttempts = 20;

// The text of a record file, or nullopt if there is none.
std::optional<std::string> TextOf(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  return ReadWholeFile(path);
}

// Null if there is no such file, or none that can be read.
Value JsonIfAny(const fs::path& path) {
  std::error_code status;
  if (!fs::is_regular_file(path, status)) return {};
  try {
    return ParseJson(ReadWholeFile(path), path.string());
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

fs::path RecordStore::RecordPath(const std::string& digest) const { return Filed(output_, "records", digest, ".json"); }
fs::path RecordStore::ItemsPath(const std::string& digest, const std::string& items_digest) const {
  return Filed(output_, "records", digest, ("." + items_digest.substr(0, kItemsDigits) + kItemsEnding).c_str());
}
fs::path RecordStore::ItemsPath(const TaskRecord& record) const {
  return FoundItemsPath(record, RecordDigest(record.key));
}
fs::path RecordStore::FoundItemsPath(const TaskRecord& record, const std::string& digest) const {
  fs::path path = ItemsPath(digest, record.items.digest);
  std::error_code error;
  if (fs::exists(path, error)) return path;
  fs::path old = Filed(output_, "records", digest, kItemsEnding);
  return fs::exists(old, error) ? old : path;
}
fs::path RecordStore::TimingsPath(const std::string& digest) const { return Filed(output_, "timings", digest, ".json"); }
fs::path RecordStore::FailurePath(const std::string& trial) const { return output_ / "failures" / (trial + ".json"); }

void RecordStore::CheckFolder() const {
  std::error_code error;
  if (fs::is_directory(output_, error)) return;
  throw Error(ErrorKind::kIo, fmt::format("{}: the output folder is gone: it was deleted or moved while it was in use.",
                                          output_.string()));
}

size_t RecordStore::Count() const {
  size_t count = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(output_ / "records", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".json") ++count;
  }
  return count;
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

bool RecordStore::Place(const std::string& digest, const std::string& text, const std::function<bool()>& is_whole,
                        const std::function<void()>& write_items) const {
  constexpr int kTries = 3;
  for (int tries = 0; tries < kTries; ++tries) {
    write_items();
    if (WriteNewDurably(RecordPath(digest), text, output_)) return true;
    if (is_whole()) return false;
    Quarantine(digest);
  }
  throw Error(ErrorKind::kIo, fmt::format("{}: what is there is no whole record, and comes back when it is moved away. End "
                                          "the program that writes it.",
                                          RecordPath(digest).string()));
}

std::string RecordStore::Write(TaskRecord& record, const std::vector<ItemScore>& items, bool* is_new) const {
  CheckFolder();
  const std::string digest = RecordDigest(record.key);
  const std::string text = WriteItems(record.card, items);
  record.items.rows = static_cast<int64_t>(items.size());
  record.items.size_bytes = static_cast<int64_t>(text.size());
  record.items.digest = DigestOf(text);
  const fs::path items_path = ItemsPath(digest, record.items.digest);
  std::vector<std::string> faults;
  std::optional<TaskRecord> first;
  const bool placed = Place(
      digest, WriteRecord(record), [&] { return (first = FindTask(digest, faults)).has_value(); },
      [&] { WriteDurably(items_path, text, output_, Synced::kFile); });  // The record, in the same folder, syncs that.
  // Items that the record there does not name belong to nobody.
  std::error_code ignored;
  if (!placed && first->items.digest != record.items.digest) fs::remove(items_path, ignored);
  if (is_new != nullptr) *is_new = placed;
  return digest;
}

std::string RecordStore::Write(const QuantizationRecord& record, bool* is_new) const {
  CheckFolder();
  const std::string digest = RecordDigest(record.key);
  std::vector<std::string> faults;
  const bool placed = Place(
      digest, WriteRecord(record), [&] { return FindQuantization(digest, faults).has_value(); }, [] {});
  if (is_new != nullptr) *is_new = placed;
  return digest;
}

std::optional<TaskRecord> RecordStore::FindTask(const std::string& digest, std::vector<std::string>& faults) const {
  const fs::path path = RecordPath(digest);
  try {
    const auto text = TextOf(path);
    if (!text) return std::nullopt;
    TaskRecord record = ReadTaskRecord(*text, digest, path.string());
    ItemsText(record, digest);
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

std::string RecordStore::ItemsText(const TaskRecord& record, const std::string& digest) const {
  fs::path path = ItemsPath(digest, record.items.digest);
  std::error_code error;
  auto size = fs::file_size(path, error);
  if (error) size = fs::file_size(path = FoundItemsPath(record, digest), error);
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
  const std::string digest = RecordDigest(record.key);
  const fs::path path = FoundItemsPath(record, digest);
  const std::string text = ItemsText(record, digest);
  std::vector<ItemScore> items = ReadItems(record.card, text, path.string());
  if (static_cast<int64_t>(items.size()) != record.items.rows) {
    throw Error(ErrorKind::kIo, fmt::format("{}: {} items, the record says {}.", path.string(), items.size(),
                                            record.items.rows));
  }
  return items;
}

void RecordStore::Quarantine(const std::string& digest) const {
  std::vector<fs::path> moved;
  std::error_code error;
  for (fs::directory_iterator entry(RecordPath(digest).parent_path(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(digest + ".") && !name.ends_with(".tmp")) moved.push_back(entry->path());
  }
  for (const fs::path& path : moved) QuarantineFile(path);
}

void RecordStore::QuarantineFile(const fs::path& path) const {
  const fs::path folder = output_ / "quarantine";
  MakeFolders(folder, output_);
  std::error_code error;
  fs::path to = folder / path.filename();
  for (int number = 2; fs::exists(to, error); ++number)
    to = folder / fmt::format("{}.{}", path.filename().string(), number);
  fs::rename(path, to, error);
  if (error && error != std::errc::no_such_file_or_directory) {  // Somebody else moved it.
    throw Error(ErrorKind::kIo, fmt::format("{}: the file cannot be moved to {}: {}.", path.string(), folder.string(),
                                            error.message()));
  }
}

bool RecordStore::Adopt(const std::string& digest, const std::string& text, const std::string& items) const {
  CheckFolder();
  std::vector<std::string> faults;
  if (items.empty()) {
    return Place(
        digest, text, [&] { return FindQuantization(digest, faults).has_value(); }, [] {});
  }
  const fs::path items_path = ItemsPath(digest, DigestOf(items));
  std::optional<TaskRecord> first;
  const bool placed = Place(
      digest, text, [&] { return (first = FindTask(digest, faults)).has_value(); },
      [&] { WriteDurably(items_path, items, output_); });
  std::error_code ignored;
  if (!placed && first->items.digest != DigestOf(items)) fs::remove(items_path, ignored);
  return placed;
}

void RecordStore::WriteTimings(const std::string& digest, const Value& timings) const {
  CheckFolder();
  WriteDurably(TimingsPath(digest), PrettyJson(timings), output_, Synced::kNothing);
}

Value RecordStore::Timings(const std::string& digest) const { return JsonIfAny(TimingsPath(digest)); }

void RecordStore::WriteFailure(const FailureRecord& failure) const {
  CheckFolder();
  Value value = Value::Map{{"trial", failure.trial},   {"label", failure.label},
                           {"stage", failure.stage},   {"kind", failure.kind},
                           {"reason", failure.reason}, {"stderr_tail", failure.stderr_tail},
                           {"date", failure.date},     {"worker", failure.worker},
                           {"attempt", failure.attempt}};
  Value::List earlier;
  if (Value last = JsonIfAny(FailurePath(failure.trial)); last.is_map()) {
    const Value* before = last.Find("earlier");
    if (before != nullptr && before->is_list()) earlier = before->AsList();
    std::erase_if(last.AsMap(), [](const auto& entry) {
      return entry.first == "earlier" || entry.first == "trial" || entry.first == "label";
    });
    earlier.push_back(std::move(last));
    if (earlier.size() > kMostAttempts) earlier.erase(earlier.begin());
  }
  if (!earlier.empty()) value.Set("earlier", std::move(earlier));
  WriteDurably(FailurePath(failure.trial), PrettyJson(value), output_);
}

std::optional<FailureRecord> RecordStore::Failure(const std::string& trial) const {
  const Value json = JsonIfAny(FailurePath(trial));
  if (!json.is_map()) return std::nullopt;
  const auto text = [&](const char* key) {
    const Value* value = json.Find(key);
    return value != nullptr && value->is_string() ? value->AsString() : "";
  };
  const Value* attempt = json.Find("attempt");
  return FailureRecord{trial,        text("label"),       text("stage"), text("kind"),
                       text("reason"), text("stderr_tail"), text("date"),  text("worker"),
                       attempt != nullptr && attempt->is_int() ? attempt->AsInt() : 1};
}

void RecordStore::ForgetFailure(const std::string& trial) const {
  std::error_code ignored;
  fs::remove(FailurePath(trial), ignored);
}

void RecordStore::RemoveTemporaries(const std::vector<std::string>& live_writers) const {
  const auto lives = [&](const std::string& file) {
    return std::any_of(live_writers.begin(), live_writers.end(), [&](const std::string& writer) {
      return file.find("." + writer + ".") != std::string::npos;
    });
  };
  for (const char* folder : {"records", "timings", "failures", "artifacts"}) {
    std::error_code error;  // What another process removes meanwhile is no fault.
    for (fs::recursive_directory_iterator entry(output_ / folder, error), end; !error && entry != end;
         entry.increment(error)) {
      std::error_code ignored;
      if (entry->path().extension() == ".tmp" && !lives(entry->path().filename().string())) {
        fs::remove(entry->path(), ignored);
      }
    }
  }
}

}  // namespace bitlaw
