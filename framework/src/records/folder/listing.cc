#include "records/folder/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

constexpr size_t kDigits = 64, kItemsDigits = 16;
constexpr const char *kJson = ".json", *kItems = ".items.csv", *kCodes = ".safetensors";

bool IsHex(const std::string& text) { return text.find_first_not_of("0123456789abcdef") == std::string::npos; }

// The digest with which a file's name begins, and what follows it; "" for a name that begins with none.
std::string DigestIn(const std::string& name, std::string& rest) {
  if (name.size() <= kDigits || !IsHex(name.substr(0, kDigits))) return "";
  rest = name.substr(kDigits);
  return name.substr(0, kDigits);
}

// ".<16 digits>.items.csv", or the ".items.csv" of older records.
bool IsItemsEnding(const std::string& rest) {
  if (rest == kItems) return true;
  return rest.size() == 1 + kItemsDigits + std::string(kItems).size() && rest.starts_with('.') &&
         rest.ends_with(kItems) && IsHex(rest.substr(1, kItemsDigits));
}

template <class Take>
void ForFiles(const fs::path& folder, const Take& take) {
  std::error_code error;  // What another process removes meanwhile is no fault.
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (!entry->is_directory(gone) && !gone) take(entry->path());
  }
}

}  // namespace

FolderListing ListFolder(const fs::path& output) {
  std::error_code error;
  if (!fs::is_directory(output / "records", error)) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: {}. Name the output folder of a study.", output.string(),
                            fs::is_directory(output, error) ? "it has no folder records/" : "there is no such folder"));
  }
  FolderListing listing;
  const auto belongs = [](const fs::path& file, const std::string& digest) {
    return !digest.empty() && file.parent_path().filename() == digest.substr(0, 2);
  };
  ForFiles(output / "records", [&](const fs::path& file) {
    std::string rest;
    const std::string name = file.filename().string(), digest = DigestIn(name, rest);
    if (name.ends_with(".tmp")) {
      listing.temporaries.push_back(file);
    } else if (belongs(file, digest) && rest == kJson) {
      listing.records[digest].record = true;
    } else if (belongs(file, digest) && IsItemsEnding(rest)) {
      listing.records[digest].items.push_back(file);
    } else {
      listing.foreign.push_back(file);
    }
  });
  ForFiles(output / "timings", [&](const fs::path& file) {
    std::string rest;
    const std::string name = file.filename().string(), digest = DigestIn(name, rest);
    if (name.ends_with(".tmp")) {
      listing.temporaries.push_back(file);
    } else if (belongs(file, digest) && rest == kJson) {
      listing.records[digest].timings = true;
    } else {
      listing.foreign.push_back(file);
    }
  });
  ForFiles(output / "artifacts", [&](const fs::path& file) {
    std::string rest;
    const std::string name = file.filename().string(), digest = DigestIn(name, rest);
    if (name.ends_with(".tmp")) {
      listing.temporaries.push_back(file);
    } else if (!digest.empty() && rest == kCodes) {
      listing.records[digest].codes = true;
    }
  });
  ForFiles(output / "failures", [&](const fs::path& file) {
    if (file.extension() == ".tmp") listing.temporaries.push_back(file);
  });
  // Of a bundle that was being unpacked.
  for (fs::directory_iterator entry(output, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with("incoming-") || !name.ends_with(".tmp")) continue;
    ForFiles(entry->path(), [&](const fs::path& file) { listing.temporaries.push_back(file); });
  }
  for (auto& [digest, files] : listing.records) std::sort(files.items.begin(), files.items.end());
  std::sort(listing.temporaries.begin(), listing.temporaries.end());
  std::sort(listing.foreign.begin(), listing.foreign.end());
  return listing;
}

bool IsRecordPath(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  std::string rest;
  const std::string digest = DigestIn(parts.back(), rest);
  if (digest.empty()) return false;
  if (parts.size() == 2) return parts[0] == "artifacts" && rest == kCodes;
  if (parts.size() != 3 || parts[1] != digest.substr(0, 2)) return false;
  return (parts[0] == "records" && (rest == kJson || IsItemsEnding(rest))) || (parts[0] == "timings" && rest == kJson);
}

fs::path CodesPath(const fs::path& output, const std::string& digest) {
  return output / "artifacts" / (digest + kCodes);
}

AnyRecord ReadAnyRecord(const std::string& text, const std::string& digest, const std::string& origin) {
  AnyRecord record;
  record.json = ParseJson(text, origin);
  const Value *format = record.json.Find("format"), *kind = record.json.Find("kind"), *key = record.json.Find("key");
  if (format != nullptr && format->is_int() && format->AsInt() > 0 && format->AsInt() != kRecordFormat &&
      key != nullptr && key->is_map() && RecordDigest(*key) == digest) {
    record.other_format = format->AsInt();
  } else if (kind != nullptr && *kind == Value("quantization")) {
    record.quantization = ReadQuantizationRecord(text, digest, origin);
  } else {
    record.task = ReadTaskRecord(text, digest, origin);
  }
  return record;
}

}  // namespace bitlaw
