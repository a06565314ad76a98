#include "records/digest_cache.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "records/durable_file.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

struct Stamp {
  int64_t size_bytes = -1, modified_ns = -1;
};

Stamp StampOf(const fs::path& file) {
  struct stat status;
  if (::stat(file.c_str(), &status) != 0) return {};
  return {status.st_size, int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string Combined(const std::vector<std::string>& digests) {
  Digest combined;
  for (const std::string& digest : digests) combined.Add(digest).Add("\n");
  return combined.Hex();
}

bool IsDigest(const Value* value) { return value != nullptr && value->is_string() && value->AsString().size() == 64; }

}  // namespace

DigestCache::DigestCache(fs::path file) : file_(std::move(file)) {
  if (!fs::exists(file_)) return;
  Value cache;
  try {
    cache = ParseJson(ReadWholeFile(file_), file_.string());
  } catch (const Error&) {
    return;  // Every digest is then taken anew.
  }
  if (const Value* files = cache.Find("files"); files != nullptr && files->is_map()) {
    for (const auto& [path, known] : files->AsMap()) {
      const Value* size = known.Find("size_bytes");
      const Value* modified = known.Find("modified_ns");
      const Value* digest = known.Find("digest");
      if (size && size->is_int() && modified && modified->is_int() && IsDigest(digest)) {
        files_[path] = {size->AsInt(), modified->AsInt(), digest->AsString()};
      }
    }
  }
  if (const Value* entries = cache.Find("entries"); entries != nullptr && entries->is_map()) {
    for (const auto& [key, digest] : entries->AsMap()) {
      if (IsDigest(&digest)) entries_[key] = digest.AsString();
    }
  }
}

std::optional<std::string> DigestCache::CachedFile(const fs::path& file) const {
  const auto known = files_.find(fs::absolute(file).string());
  if (known == files_.end()) return std::nullopt;
  const Stamp stamp = StampOf(file);
  if (stamp.size_bytes != known->second.size_bytes || stamp.modified_ns != known->second.modified_ns) return std::nullopt;
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

std::string DigestCache::Files(const std::vector<fs::path>& files) {
  std::vector<std::string> digests;
  for (const fs::path& file : files) {
    auto digest = CachedFile(file);
    if (!digest) {
      const Stamp before = StampOf(file);
      digest = DigestOfFile(file);
      // A file that changes while it is read is not remembered.
      const Stamp after = StampOf(file);
      if (before.size_bytes == after.size_bytes && before.modified_ns == after.modified_ns) {
        files_[fs::absolute(file).string()] = {before.size_bytes, before.modified_ns, *digest};
        changed_ = true;
      }
    }
    digests.push_back(*digest);
  }
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
  if (!changed_) return;
  Value::Map files, entries;
  for (const auto& [path, known] : files_) {
    files.emplace_back(path, Value::Map{{"size_bytes", known.size_bytes},
                                        {"modified_ns", known.modified_ns},
                                        {"digest", known.digest}});
  }
  for (const auto& [key, digest] : entries_) entries.emplace_back(key, digest);
  WriteDurably(file_, PrettyJson(Value::Map{{"files", files}, {"entries", entries}}));
  changed_ = false;
}

}  // namespace bitlaw
