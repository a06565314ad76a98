#pragma once

#include <any>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/fingerprint.h"

namespace bitlaw {

class Corpus;
class Exporter;
class Law;
class ModelBackend;
class Quantizer;
class Task;
class Transform;
class WeightGrid;

/// What a plugin says of itself before any of its code runs: plain data in the library's data section.
struct PluginManifest {
  const char* id;       ///< "bitlaw.gptq": unique among all plugins.
  const char* version;  ///< "1.2.0"; goes into every record made with the plugin.
  const char* licence;  ///< SPDX identifier.
  const char* summary;  ///< One sentence.
};

/// A component within a plugin: "gptq" under quantizers is "quantizer/gptq" in specs.
struct BITLAW_EXPORT ComponentInfo {
  std::string name;     ///< [a-z][a-z0-9_]*
  std::string summary;  ///< One sentence.
  std::string source;   ///< Paper or specification it follows; "" if none.
};

/// What a factory gets beside the options.
struct BITLAW_EXPORT TaskContext {
  std::string name;                    ///< The name under which the study lists the task.
  std::vector<std::string> data_paths; ///< Folders in which relative data files are looked for, in order.
};

/// Which kind of component an interface is, and how one is made. Specialized once for each interface that plugins offer:
///
///     kName    the kind in specs and full names: "quantizer"
///     Factory  std::function<std::unique_ptr<Interface>(const Options&, ...)>
///
/// A new kind is a new specialization; nothing here changes its layout, so it costs no epoch.
template <class Interface>
struct KindOf;

template <>
struct KindOf<ModelBackend> {
  static constexpr std::string_view kName = "model";
  using Factory = std::function<std::unique_ptr<ModelBackend>(const Options&)>;
};
template <>
struct KindOf<Quantizer> {
  static constexpr std::string_view kName = "quantizer";
  using Factory = std::function<std::unique_ptr<Quantizer>(const Options&)>;
};
template <>
struct KindOf<Corpus> {
  static constexpr std::string_view kName = "corpus";
  using Factory = std::function<std::unique_ptr<Corpus>(const Options&)>;
};
template <>
struct KindOf<Task> {
  static constexpr std::string_view kName = "task";
  using Factory = std::function<std::unique_ptr<Task>(const Options&, const TaskContext&)>;
};
template <>
struct KindOf<Law> {
  static constexpr std::string_view kName = "law";
  using Factory = std::function<std::unique_ptr<Law>(const std::string& name, const Options&)>;
};
template <>
struct KindOf<Exporter> {
  static constexpr std::string_view kName = "exporter";
  using Factory = std::function<std::unique_ptr<Exporter>(const Options&)>;
};
template <>
struct KindOf<WeightGrid> {
  static constexpr std::string_view kName = "grid";
  using Factory = std::function<std::unique_ptr<WeightGrid>(const Options&)>;
};
template <>
struct KindOf<Transform> {
  static constexpr std::string_view kName = "transform";
  using Factory = std::function<std::unique_ptr<Transform>(const Options&)>;
};

/// Collects what one plugin offers. All-or-nothing: if the register function throws, a name is malformed or taken, or
/// the host has no such kind, nothing of the plugin is kept.
class BITLAW_EXPORT Registrar {
 public:
  virtual ~Registrar() = default;

  /// registrar.Add<Quantizer>({"rtn", "Rounds ...", ""}, schema, [](const Options& options) { ... });
  template <class Interface>
  void Add(ComponentInfo info, OptionSchema schema, typename KindOf<Interface>::Factory factory) {
    AddComponent(KindOf<Interface>::kName, std::move(info), std::move(schema),
                 factory ? std::any(std::move(factory)) : std::any());
  }

 private:
  /// `factory` holds the KindOf<...>::Factory of the kind; nothing for an empty function.
  virtual void AddComponent(std::string_view kind, ComponentInfo info, OptionSchema schema, std::any factory) = 0;
};

}  // namespace bitlaw

/// Makes a shared library a bitlaw plugin. Used once, at namespace scope, in register.cc:
///
///     BITLAW_PLUGIN("bitlaw.rtn", "1.0.0", "Apache-2.0", "Round to nearest.", RegisterRtn)
///
/// where  void RegisterRtn(bitlaw::Registrar& registrar).
#define BITLAW_PLUGIN(id, version, licence, summary, register_function)                             \
  extern "C" {                                                                                      \
  BITLAW_EXPORT extern const int BITLAW_FINGERPRINT_SYMBOL;                                         \
  const int BITLAW_FINGERPRINT_SYMBOL = BITLAW_API_EPOCH;                                           \
  BITLAW_EXPORT extern const bitlaw::PluginManifest bitlaw_plugin_manifest;                         \
  const bitlaw::PluginManifest bitlaw_plugin_manifest = {id, version, licence, summary};            \
  BITLAW_EXPORT void bitlaw_plugin_register(bitlaw::Registrar& registrar) { register_function(registrar); } \
  }
