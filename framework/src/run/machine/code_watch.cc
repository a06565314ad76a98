#include "run/machine/code_watch.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// The library that an address belongs to.
void AddLibrary(const void* address, std::vector<WatchedFile>& files) {
  Dl_info found{};
  std::error_code unreadable;
  if (::dladdr(address, &found) == 0 || found.dli_fname == nullptr) return;
  const fs::path path = fs::canonical(found.dli_fname, unreadable);
  if (!unreadable) files.push_back(Watch(path));
}

}  // namespace

FileWatch WatchCode(const PluginHost& host) {
  std::vector<WatchedFile> files;
  std::error_code unreadable;
  const fs::path program = fs::read_symlink("/proc/self/exe", unreadable);
  if (!unreadable && fs::exists(program, unreadable)) files.push_back(Watch(program));
  const fs::path library = program.parent_path().parent_path() / "lib" / "bitlaw" / "bitlaw_program.so";
  if (fs::exists(library, unreadable)) files.push_back(Watch(library));
  AddLibrary(reinterpret_cast<const void*>(static_cast<FileStamp (*)(const fs::path&)>(&StampOf)), files);
  AddLibrary(reinterpret_cast<const void*>(&WatchCode), files);
  for (const LoadedPlugin& plugin : host.plugins()) {
    files.push_back(Watch(plugin.path));
    if (!files.back().stamp.SameButForStatus(plugin.stamp)) {
      throw Error(ErrorKind::kPlugin,
                  fmt::format("{}: the plugin was replaced after it was loaded. Run again.", plugin.path.string()));
    }
  }
  return FileWatch(std::move(files));
}

namespace {

const std::string* DigestOfPlugin(const LoadedPlugin& plugin, const FileWatch& code) {
  for (const WatchedFile& file : code.files())
    if (file.path == plugin.path) return &file.digest;
  return nullptr;
}

}  // namespace

Value PluginBuilds(const PluginHost& host, const FileWatch& code, std::span<const std::string> ids) {
  Value builds = Value::Map{};
  for (const LoadedPlugin& plugin : host.plugins()) {
    const std::string* digest = DigestOfPlugin(plugin, code);
    if (digest == nullptr || std::find(ids.begin(), ids.end(), plugin.id) == ids.end()) continue;
    builds.Set(plugin.id, Value::Map{{"version", plugin.version}, {"digest", *digest}});
  }
  return builds;
}

std::vector<std::string> RebuiltPlugins(const Value& timings, const PluginHost& host, const FileWatch& code) {
  std::vector<std::string> rebuilt;
  const Value* builds = timings.is_map() ? timings.Find("plugins") : nullptr;
  if (builds == nullptr || !builds->is_map()) return rebuilt;
  for (const LoadedPlugin& plugin : host.plugins()) {
    const Value* then = builds->Find(plugin.id);
    const std::string* now = DigestOfPlugin(plugin, code);
    if (then == nullptr || !then->is_map() || now == nullptr) continue;
    const Value *version = then->Find("version"), *digest = then->Find("digest");
    if (version == nullptr || digest == nullptr || !(*version == Value(plugin.version)) || *digest == Value(*now)) continue;
    rebuilt.push_back(fmt::format("'{}' {}", plugin.id, plugin.version));
  }
  return rebuilt;
}

std::string DigestOf(const FileWatch& watch) {
  std::vector<std::string> digests;
  for (const WatchedFile& file : watch.files()) digests.push_back(file.digest);
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  Digest all;
  for (const std::string& digest : digests) all.Add(digest).Add("\n");
  return all.Hex();
}

}  // namespace bitlaw
