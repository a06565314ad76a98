#include "fuzz/target.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw::fuzz {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSeparator = "\n%%%%\n";

std::vector<Target>& Known() {
  static auto* const known = new std::vector<Target>;
  return *known;
}

fs::path MakeScratchFolder() {
  std::error_code status;
  const char* given = std::getenv("TMPDIR");
  const fs::path memory = fs::is_directory("/dev/shm", status) ? fs::path("/dev/shm") : fs::temp_directory_path();
  const fs::path root = given != nullptr ? fs::path(given) : memory;
  std::string pattern = (root / "bitlaw_fuzz_XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    std::perror(pattern.c_str());
    std::abort();
  }
  std::atexit([] { fs::remove_all(ScratchFolder()); });
  return pattern;
}

}  // namespace

Register::Register(const char* name, void (*run)(std::string_view input), std::vector<std::string> (*samples)()) {
  Known().push_back({name, run, samples});
  std::sort(Known().begin(), Known().end(),
            [](const Target& a, const Target& b) { return std::string_view(a.name) < b.name; });
}

const std::vector<Target>& Targets() { return Known(); }

const Target* FindTarget(std::string_view name) {
  for (const Target& target : Known()) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

bool RunOnce(const Target& target, std::string_view input) {
  // A copy of exactly this size, so that a read past the end is seen.
  const std::vector<char> copy(input.begin(), input.end());
  try {
    target.run(std::string_view(copy.data(), copy.size()));
    return true;
  } catch (const Error& error) {
    if (std::getenv("BITLAW_FUZZ_ERRORS") != nullptr) std::fprintf(stderr, "%s\n", error.what());
    return false;
  }
}

void Require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: broken property: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

std::vector<std::string_view> Parts(std::string_view input, size_t count) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const size_t end = input.find(kSeparator);
    parts.push_back(input.substr(0, end));
    input = end == std::string_view::npos ? std::string_view() : input.substr(end + kSeparator.size());
  }
  parts.push_back(input);
  return parts;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string input;
  for (size_t i = 0; i < parts.size(); ++i) input += (i == 0 ? "" : std::string(kSeparator)) + parts[i];
  return input;
}

void SetContentDigest(Value& record) {
  Value::Map others;
  for (const auto& field : record.AsMap()) {
    if (field.first != "content_digest") others.push_back(field);
  }
  record.Set("content_digest", DigestOf(Value(std::move(others)).CanonicalJson()));
}

const fs::path& ScratchFolder() {
  static const auto* const folder = new fs::path(MakeScratchFolder());
  return *folder;
}

fs::path WriteScratch(const std::string& name, std::string_view bytes) {
  const fs::path path = ScratchFolder() / name;
  fs::create_directories(path.parent_path());
  FILE* file = std::fopen(path.c_str(), "wb");
  // An empty view may have a null pointer, which fwrite() does not take.
  const size_t wrote = file == nullptr || bytes.empty() ? 0 : std::fwrite(bytes.data(), 1, bytes.size(), file);
  if (file == nullptr || wrote != bytes.size() || std::fclose(file) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
  return path;
}

}  // namespace bitlaw::fuzz
