#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/file_watch.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// The extension points. A component's full name is "<kind>/<name>": "quantizer/gptq".
enum class ComponentKind { kModel, kQuantizer, kCorpus, kTask, kLaw, kExporter, kGrid, kTransform };
BITLAW_EXPORT std::string_view Name(ComponentKind kind);
/// The kind called "quantizer", ... Error(kSpec) with a "did you mean" on another word.
BITLAW_EXPORT ComponentKind ParseComponentKind(std::string_view name);

/// One registered component, with where it came from.
struct BITLAW_EXPORT Component {
  ComponentKind kind;
  ComponentInfo info;
  OptionSchema schema;
  std::string plugin_id, plugin_version, plugin_path;
  std::string full_name() const { return std::string(Name(kind)) + "/" + info.name; }
};

/// One opened plugin.
struct BITLAW_EXPORT LoadedPlugin {
  std::filesystem::path path;
  FileStamp stamp;  ///< Of the file, from before it was opened.
  std::string id, version, licence, summary;
  std::vector<std::string> components;  ///< Full names.
};

/// Finds, checks, opens and registers plugins, and makes their components. Libraries are never closed: an object
/// that outlived its library would be a segmentation fault.
class BITLAW_EXPORT PluginHost {
 public:
  /// `fingerprint`: OwnFingerprint() of the program.
  explicit PluginHost(std::string fingerprint);
  ~PluginHost();
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;

  /// Loads every *.so of a folder, in name order. A library that is no plugin or fails is an Error(kPlugin) naming it,
  /// a folder that cannot be read is an Error(kIo); with `faults`, each error text is appended there instead and the
  /// rest is loaded.
  void LoadFolder(const std::filesystem::path& folder, std::vector<std::string>* faults = nullptr);

  /// Loads one library: fingerprint from the symbol table, then dlopen(now, local), manifest, registration into a
  /// staging area, commit. Loading the same file twice does nothing. Throws Error(kPlugin), or Error(kIo) for a file
  /// that cannot be read, and keeps nothing of the plugin but its open library. A plugin that changes the process
  /// meanwhile (base/process_state.h: -ffast-math does) is refused, and the process set right.
  void LoadFile(const std::filesystem::path& path);

  const std::vector<LoadedPlugin>& plugins() const;

  /// Every component in (kind, name) order.
  std::vector<const Component*> components() const;
  std::vector<std::string> Names(ComponentKind kind) const;

  /// `name` with or without the kind in front. Error(kSpec) with a "did you mean" if there is none; `where` (a
  /// SourceMark's text, may be empty) leads the text.
  const Component& Find(ComponentKind kind, std::string_view name, const std::string& where = "") const;

  std::unique_ptr<ModelBackend> MakeModelBackend(std::string_view name, const Options& options) const;
  std::unique_ptr<Quantizer> MakeQuantizer(std::string_view name, const Options& options) const;
  std::unique_ptr<Corpus> MakeCorpus(std::string_view name, const Options& options) const;
  std::unique_ptr<Task> MakeTask(std::string_view name, const Options& options, const TaskContext& context) const;
  std::unique_ptr<Exporter> MakeExporter(std::string_view name, const Options& options) const;
  std::unique_ptr<WeightGrid> MakeGrid(std::string_view name, const Options& options) const;
  std::unique_ptr<Transform> MakeTransform(std::string_view name, const Options& options) const;
  std::unique_ptr<Law> MakeLaw(std::string_view component, const std::string& law_name, const Options& options) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Folders searched by default: <program>/../lib/bitlaw/plugins if it exists (build and install tree alike), then
/// those of $BITLAW_PLUGIN_PATH, colon-separated and absolute: a relative one is an Error(kSpec), for plugins are never
/// looked for in the working directory.
BITLAW_EXPORT std::vector<std::filesystem::path> DefaultPluginFolders();

}  // namespace bitlaw
