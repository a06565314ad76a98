#include "records/digest_cache.h"

#include <fmt/format.h>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

std::string Combined(const std::vector<std::string>& digests) {
  Digest combined;
  for (const std::string& digest : digests) combined.Add(digest).Add("\n");
  return combined.Hex();
}

std::string ContentDigest(const Value& files, const Value& entries) {
  return DigestOf(Value(Value::Map{{"files", files}, {"entries", entries}}).CanonicalJson());
}

bool IsDigest(const Value* value) { return value != nullptr && value->is_string() && value->AsString().size() == 64; }

}  // namespace

DigestCache::DigestCache(fs::path file) : file_(std::move(file)) {
  if (!fs::exists(file_)) return;
  Value cache;
  try {
    cache = ParseJson(ReadWholeFile(file_), file_.string());
  } catch (const Error& error) {
    fault_ = fmt::format("{} Its digests are taken anew.", error.what());
    return;
  }
  const Value* files = cache.Find("files");
  const Value* entries = cache.Find("entries");
  const Value* digest = cache.Find("digest");
  if (files == nullptr || !files->is_map() || entries == nullptr || !entries->is_map() || !IsDigest(digest) ||
      digest->AsString() != ContentDigest(*files, *entries)) {
    fault_ = fmt::format("{}: its content does not give the digest in it: the file was edited, or an older bitlaw wrote "
                         "it. Its digests are taken anew.",
                         file_.string());
    return;
  }
  for (const auto& [path, known] : files->AsMap()) {
    const auto number = [&known = known](const char* name) {
      const Value* value = known.Find(name);
      return value != nullptr && value->is_int() ? value->AsInt() : -1;
    };
    const Value* settled = known.Find("settled");
    const Value* content = known.Find("digest");
    if (!IsDigest(content)) continue;
    files_[path] = {path,
                    {number("size_bytes"), number("modified_ns"), number("changed_ns"), number("inode")},
                    content->AsString(),
                    settled != nullptr && *settled == Value(true)};
  }
  for (const auto& [key, known] : entries->AsMap()) {
    if (IsDigest(&known)) entries_[key] = known.AsString();
  }
}

std::optional<std::string> DigestCache::CachedFile(const fs::path& file) const {
  const auto known = files_.find(fs::absolute(file).string());
  if (known == files_.end() || !StampOf(file).SameButForStatus(known->second.stamp)) return std::nullopt;
  return known->second.digest;
}

std::optional<std::string> DigestCache::CachedFiles(const std::vector<fs::path>& files) const {
  std::vector<std::string> digests;
  for (const fs::path& file : files) {
    const auto digest = CachedFile(file);
    if (!digest) return std::nullopt;
    digests.push_back(*digest);
  }
  return Combined(digests);
}

std::string DigestCache::Files(const std::vector<fs::path>& files, FileWatch* watch) {
  std::vector<std::string> digests;
  std::vector<WatchedFile> watched;
  for (const fs::path& file : files) {
    WatchedFile& known = files_[fs::absolute(file).string()];
    if (known.digest.empty() || !known.settled || StampOf(file) != known.stamp) {
      known = Watch(file);
      changed_ = true;
    }
    known.path = file;
    watched.push_back(known);
    digests.push_back(known.digest);
  }
  if (watch != nullptr) *watch = FileWatch(std::move(watched));
  return Combined(digests);
}

std::optional<std::string> DigestCache::CachedEntry(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

void DigestCache::SetEntry(const std::string& key, const std::string& digest) {
  std::string& entry = entries_[key];
  if (entry == digest) return;
  entry = digest;
  changed_ = true;
}

void DigestCache::Save() {
  std::error_code status;
  const bool is_lost = !(files_.empty() && entries_.empty()) && !fs::exists(file_, status);
  if (!changed_ && !is_lost) return;  // Whoever deleted it must not cost the observations their rows.
  // What others of the same folder found meanwhile; of what both know, the own.
  DigestCache there(file_);
  files_.merge(there.files_);
  entries_.merge(there.entries_);
  Value::Map files, entries;
  for (const auto& [path, known] : files_) {
    if (known.digest.empty()) continue;
    files.emplace_back(path, Value::Map{{"size_bytes", known.stamp.size_bytes},
                                        {"modified_ns", known.stamp.modified_ns},
                                        {"changed_ns", known.stamp.changed_ns},
                                        {"inode", known.stamp.inode},
                                        {"settled", known.settled},
                                        {"digest", known.digest}});
  }
  for (const auto& [key, digest] : entries_) entries.emplace_back(key, digest);
  const std::string digest = ContentDigest(files, entries);
  WriteDurably(file_, PrettyJson(Value::Map{{"files", files}, {"entries", entries}, {"digest", digest}}),
               file_.parent_path());
  changed_ = false;
}

}  // namespace bitlaw
