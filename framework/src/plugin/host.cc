#include "plugin/host.h"

#include <dlfcn.h>

#define BOOST_DLL_USE_STD_FS
#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>

#include "base/process_state.h"
#include "bitlaw/api/corpus.h"
#include "bitlaw/api/exporter.h"
#include "bitlaw/api/law.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/api/task.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "plugin/elf_symbols.h"
#include "plugin/registration.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr char kManifestSymbol[] = "bitlaw_plugin_manifest";
constexpr char kRegisterSymbol[] = "bitlaw_plugin_register";
using RegisterFunction = void(Registrar&);

[[noreturn]] void Refuse(const fs::path& path, const std::string& why) {
  throw Error(ErrorKind::kPlugin, path.string() + ": " + why);
}

std::string Lines(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += "\n  " + sentence;
  return text;
}

// Everything that can be known of a library without running its code: fingerprint, manifest and register function.
void CheckSymbols(const fs::path& path, const std::string& host_fingerprint) {
  std::vector<std::string> fingerprints;
  bool has_manifest = false, has_register = false;
  for (const ExportedSymbol& symbol : ReadExportedSymbols(path, "bitlaw_")) {
    if (symbol.name.starts_with(kFingerprintPrefix)) fingerprints.push_back(symbol.name);
    if (symbol.name == kManifestSymbol) {
      // clang's AddressSanitizer counts the guard zone behind a variable as part of it.
      const bool is_padded = host_fingerprint.ends_with("san_asan") && symbol.size_bytes > sizeof(PluginManifest);
      has_manifest = !symbol.is_function && (is_padded || symbol.size_bytes == sizeof(PluginManifest));
    }
    if (symbol.name == kRegisterSymbol) has_register = symbol.is_function;
  }
  if (fingerprints.empty()) {
    Refuse(path, "not a bitlaw plugin: it exports no symbol whose name begins with '" +
                     std::string(kFingerprintPrefix) +
                     "'. A plugin has BITLAW_PLUGIN(...) in one source file and is built with bitlaw_add_plugin().");
  }
  if (fingerprints.size() > 1) {
    std::sort(fingerprints.begin(), fingerprints.end());
    Refuse(path, "it carries " + std::to_string(fingerprints.size()) + " build fingerprints, a plugin has one:" +
                     Lines(fingerprints) + "\nUse BITLAW_PLUGIN(...) once in a library.");
  }
  const std::string mismatch = ExplainMismatch(host_fingerprint, fingerprints.front());
  if (!mismatch.empty()) {
    Refuse(path, "built for another bitlaw, none of its code was run:\n" + mismatch +
                     "\nBuild the plugin again, with the compiler and the headers of this bitlaw.");
  }
  std::vector<std::string> missing;
  if (!has_manifest) missing.push_back("the data '" + std::string(kManifestSymbol) + "'");
  if (!has_register) missing.push_back("the function '" + std::string(kRegisterSymbol) + "'");
  if (!missing.empty()) {
    Refuse(path, "it has a fingerprint but lacks " + missing.front() +
                     (missing.size() > 1 ? " and " + missing.back() : "") +
                     ". Use BITLAW_PLUGIN(...), which defines all three.");
  }
}

// Opens the library for good: an object that outlived its library would be a segmentation fault.
boost::dll::shared_library& OpenForever(const fs::path& path) {
  static auto* opened = new std::vector<std::unique_ptr<boost::dll::shared_library>>;
  auto library = std::make_unique<boost::dll::shared_library>();
  std::error_code fault;
  library->load(path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, fault);
  if (fault) {
    const char* reason = dlerror();
    std::string text = reason == nullptr ? fault.message() : reason;
    // dlerror leads with the path when it is the library's own fault.
    if (text.starts_with(path.string() + ": ")) text.erase(0, path.string().size() + 2);
    Refuse(path, "the system's loader refuses it: " + text +
                     ". Build the plugin again, against the libraries of this bitlaw.");
  }
  opened->push_back(std::move(library));
  return *opened->back();
}

// A manifest's text; what is wrong with it is added to `faults`.
std::string ManifestText(const char* field, const char* text, std::vector<std::string>& faults) {
  static constexpr size_t kMaxBytes = 1000;
  if (text == nullptr) {
    faults.push_back(std::string(field) + " is null.");
    return "";
  }
  const size_t size = strnlen(text, kMaxBytes + 1);
  const std::string_view view(text, size);
  if (size == 0) faults.push_back(std::string(field) + " is empty.");
  if (size > kMaxBytes)
    faults.push_back(std::string(field) + " is longer than " + std::to_string(kMaxBytes) + " bytes.");
  if (std::any_of(view.begin(), view.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; })) {
    faults.push_back(std::string(field) + " holds a control character.");
  }
  return std::string(view.substr(0, kMaxBytes));
}

bool IsPluginId(std::string_view id) {
  auto is_letter_or_digit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return is_letter_or_digit(id.front()) && is_letter_or_digit(id.back()) &&
         std::all_of(id.begin(), id.end(),
                     [&](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool IsVersion(std::string_view version) {
  return version.front() >= '0' && version.front() <= '9' && version.find(' ') == std::string_view::npos;
}

LoadedPlugin ReadManifest(const fs::path& path, const PluginManifest& manifest) {
  std::vector<std::string> faults;
  LoadedPlugin plugin;
  plugin.path = path;
  plugin.id = ManifestText("id", manifest.id, faults);
  plugin.version = ManifestText("version", manifest.version, faults);
  plugin.licence = ManifestText("licence", manifest.licence, faults);
  plugin.summary = ManifestText("summary", manifest.summary, faults);
  if (faults.empty()) {
    if (!IsPluginId(plugin.id)) {
      faults.push_back("id '" + plugin.id +
                       "' is malformed: lower-case letters and digits, with '.', '-' or '_' between.");
    }
    if (!IsVersion(plugin.version)) {
      faults.push_back("version '" + plugin.version + "' is malformed: it begins with a digit and holds no space.");
    }
  }
  if (!faults.empty()) Refuse(path, "its manifest is not in order:" + Lines(faults));
  return plugin;
}

// What a plugin must leave as it is while it is opened and registers. GCC before 13 links into every shared library that
// it builds with -ffast-math code that changes the arithmetic of whoever opens it.
void CheckProcess(const fs::path& path, const ProcessState& before) {
  const std::string change = before.Change();
  if (change.empty()) return;
  before.Restore();
  Refuse(path, "opening it changed the process, which then " + change +
                   ": other numbers or files would follow. It was set right again. Build the plugin without -ffast-math "
                   "and -Ofast, or mend what it does when it is loaded.");
}

}  // namespace

struct PluginHost::State {
  std::string fingerprint;
  std::vector<LoadedPlugin> plugins;
  std::map<ComponentKey, RegisteredComponent> components;

  const RegisteredComponent& Find(ComponentKind kind, std::string_view name, const std::string& where) const;

  // Makes an object with a component's factory. What goes wrong in a factory reaches the user under the plugin's name.
  template <class Interface, typename... Arguments>
  std::unique_ptr<Interface> Make(ComponentKind kind, std::string_view name, const Arguments&... arguments) const;
};

const RegisteredComponent& PluginHost::State::Find(ComponentKind kind, std::string_view name,
                                                   const std::string& where) const {
  std::string_view short_name = name;
  const std::string kind_prefix = std::string(bitlaw::Name(kind)) + "/";
  if (short_name.starts_with(kind_prefix)) short_name.remove_prefix(kind_prefix.size());
  const auto found = components.find({kind, std::string(short_name)});
  if (found != components.end()) return found->second;
  std::vector<std::string> known;
  std::string elsewhere;
  for (const auto& [key, entry] : components) {
    if (key.first == kind) known.push_back(key.second);
    if (key.first != kind && (key.second == name || entry.component.full_name() == name)) {
      elsewhere = " '" + entry.component.full_name() + "' is another kind of component.";
    }
  }
  const std::string kind_name(bitlaw::Name(kind));
  throw Error(ErrorKind::kSpec, (where.empty() ? "" : where + ": ") + "there is no " + kind_name + " '" +
                                    std::string(short_name) + "'." + DidYouMean(short_name, known) + elsewhere +
                                    " Loaded under '" + kind_name + "': " + JoinNames(known) + ".");
}

template <class Interface, typename... Arguments>
std::unique_ptr<Interface> PluginHost::State::Make(ComponentKind kind, std::string_view name,
                                                   const Arguments&... arguments) const {
  const RegisteredComponent& entry = Find(kind, name, "");
  const Component& component = entry.component;
  auto blame = [&](const std::string& what) {
    return component.full_name() + " of plugin " + component.plugin_id + " (" + component.plugin_path +
           "): its factory " + what + ". This is a fault of the plugin.";
  };
  try {
    auto object = std::any_cast<const typename KindOf<Interface>::Factory&>(entry.factory)(arguments...);
    if (object == nullptr) throw Error(ErrorKind::kPlugin, blame("returned nothing"));
    return object;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kPlugin, blame(std::string("threw '") + error.what() + "'"));
  } catch (...) {
    throw Error(ErrorKind::kPlugin, blame("threw something that is no std::exception"));
  }
}

PluginHost::PluginHost(std::string fingerprint) : state_(std::make_unique<State>()) {
  state_->fingerprint = std::move(fingerprint);
}
PluginHost::~PluginHost() = default;

void PluginHost::LoadFolder(const fs::path& folder, std::vector<std::string>* faults) {
  std::vector<fs::path> libraries;
  try {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".so") libraries.push_back(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    const Error fault(ErrorKind::kIo,
                      folder.string() + ": this plugin folder cannot be read: " + error.code().message() + ".");
    if (faults == nullptr) throw fault;
    faults->push_back(fault.what());
  }
  std::sort(libraries.begin(), libraries.end());
  for (const fs::path& library : libraries) {
    try {
      LoadFile(library);
    } catch (const Error& error) {
      if (faults == nullptr) throw;
      faults->push_back(error.what());
    }
  }
}

void PluginHost::LoadFile(const fs::path& given_path) {
  std::error_code fault;
  const fs::path path = fs::canonical(given_path, fault);
  if (fault) throw Error(ErrorKind::kIo, given_path.string() + ": cannot be read: " + fault.message() + ".");
  if (!fs::is_regular_file(path))
    throw Error(ErrorKind::kIo, path.string() + ": cannot be read: it is no regular file.");
  const auto loaded = std::find_if(state_->plugins.begin(), state_->plugins.end(),
                                   [&](const LoadedPlugin& plugin) { return plugin.path == path; });
  if (loaded != state_->plugins.end()) return;

  const FileStamp stamp = StampOf(path);
  CheckSymbols(path, state_->fingerprint);
  const ProcessState process;
  boost::dll::shared_library& library = OpenForever(path);
  CheckProcess(path, process);
  LoadedPlugin plugin = ReadManifest(path, library.get<const PluginManifest>(kManifestSymbol));
  plugin.stamp = stamp;
  for (const LoadedPlugin& other : state_->plugins) {
    if (other.id == plugin.id)
      Refuse(path, "plugin '" + plugin.id + "' is already loaded, from " + other.path.string() + ".");
  }

  StagingRegistrar registrar;
  std::string thrown;
  try {
    library.get<RegisterFunction>(kRegisterSymbol)(registrar);
  } catch (const std::exception& error) {
    thrown = std::string("threw '") + error.what() + "'";
  } catch (...) {
    thrown = "threw something that is no std::exception";
  }
  if (!thrown.empty())
    Refuse(path, "its register function " + thrown + ". Nothing of plugin '" + plugin.id + "' was kept.");

  CheckProcess(path, process);

  std::vector<std::string> component_faults = registrar.faults();
  if (registrar.staged().empty() && component_faults.empty()) component_faults.push_back("it registers no component.");
  for (auto& [key, staged] : registrar.staged()) {
    const auto taken = state_->components.find(key);
    if (taken != state_->components.end()) {
      component_faults.push_back("'" + staged.component.full_name() + "' is already registered by " +
                                 taken->second.component.plugin_path + ".");
    }
    staged.component.plugin_id = plugin.id;
    staged.component.plugin_version = plugin.version;
    staged.component.plugin_path = path.string();
    plugin.components.push_back(staged.component.full_name());
  }
  if (!component_faults.empty()) {
    Refuse(path, "plugin '" + plugin.id + "' cannot be registered, nothing of it was kept:" + Lines(component_faults));
  }
  state_->components.merge(registrar.staged());
  state_->plugins.push_back(std::move(plugin));
}

const std::vector<LoadedPlugin>& PluginHost::plugins() const { return state_->plugins; }

std::vector<const Component*> PluginHost::components() const {
  std::vector<const Component*> all;
  for (const auto& [key, entry] : state_->components) all.push_back(&entry.component);
  return all;
}

std::vector<std::string> PluginHost::Names(ComponentKind kind) const {
  std::vector<std::string> names;
  for (const auto& [key, entry] : state_->components) {
    if (key.first == kind) names.push_back(key.second);
  }
  return names;
}

const Component& PluginHost::Find(ComponentKind kind, std::string_view name, const std::string& where) const {
  return state_->Find(kind, name, where).component;
}

std::unique_ptr<ModelBackend> PluginHost::MakeModelBackend(std::string_view name, const Options& options) const {
  return state_->Make<ModelBackend>(ComponentKind::kModel, name, options);
}
std::unique_ptr<Quantizer> PluginHost::MakeQuantizer(std::string_view name, const Options& options) const {
  return state_->Make<Quantizer>(ComponentKind::kQuantizer, name, options);
}
std::unique_ptr<Corpus> PluginHost::MakeCorpus(std::string_view name, const Options& options) const {
  return state_->Make<Corpus>(ComponentKind::kCorpus, name, options);
}
std::unique_ptr<Task> PluginHost::MakeTask(std::string_view name, const Options& options,
                                           const TaskContext& context) const {
  return state_->Make<Task>(ComponentKind::kTask, name, options, context);
}
std::unique_ptr<Exporter> PluginHost::MakeExporter(std::string_view name, const Options& options) const {
  return state_->Make<Exporter>(ComponentKind::kExporter, name, options);
}
std::unique_ptr<WeightGrid> PluginHost::MakeGrid(std::string_view name, const Options& options) const {
  return state_->Make<WeightGrid>(ComponentKind::kGrid, name, options);
}
std::unique_ptr<Transform> PluginHost::MakeTransform(std::string_view name, const Options& options) const {
  return state_->Make<Transform>(ComponentKind::kTransform, name, options);
}
std::unique_ptr<Law> PluginHost::MakeLaw(std::string_view component, const std::string& law_name,
                                         const Options& options) const {
  return state_->Make<Law>(ComponentKind::kLaw, component, law_name, options);
}

std::vector<fs::path> DefaultPluginFolders() {
  std::vector<fs::path> folders;
  std::error_code fault;
  const fs::path program = fs::read_symlink("/proc/self/exe", fault);
  if (!fault) {
    const fs::path own = program.parent_path().parent_path() / "lib" / "bitlaw" / "plugins";
    if (fs::is_directory(own)) folders.push_back(own);
  }
  const char* variable = std::getenv("BITLAW_PLUGIN_PATH");
  std::string_view rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    if (entry.empty()) continue;
    if (entry.front() != '/') {
      throw Error(ErrorKind::kSpec, "BITLAW_PLUGIN_PATH: '" + std::string(entry) +
                                        "' is a relative path. Plugins are never looked for in the working directory. "
                                        "Give absolute paths, with ':' between.");
    }
    folders.emplace_back(entry);
  }
  return folders;
}

}  // namespace bitlaw
