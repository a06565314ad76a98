#pragma once

#include <functional>
#include <memory>
#include <string>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/fingerprint.h"

namespace bitlaw {

class Corpus;
class Law;
class ModelBackend;
class Quantizer;
class Task;

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

using ModelBackendFactory = std::function<std::unique_ptr<ModelBackend>(const Options&)>;
using QuantizerFactory = std::function<std::unique_ptr<Quantizer>(const Options&)>;
using CorpusFactory = std::function<std::unique_ptr<Corpus>(const Options&)>;
using TaskFactory = std::function<std::unique_ptr<Task>(const Options&, const TaskContext&)>;
using LawFactory = std::function<std::unique_ptr<Law>(const std::string& name, const Options&)>;

/// Collects what one plugin offers. All-or-nothing: if the register function throws, or a name is malformed or
/// taken, nothing of the plugin is kept.
class BITLAW_EXPORT Registrar {
 public:
  virtual ~Registrar() = default;
  virtual void AddModelBackend(ComponentInfo info, OptionSchema schema, ModelBackendFactory factory) = 0;
  virtual void AddQuantizer(ComponentInfo info, OptionSchema schema, QuantizerFactory factory) = 0;
  virtual void AddCorpus(ComponentInfo info, OptionSchema schema, CorpusFactory factory) = 0;
  virtual void AddTask(ComponentInfo info, OptionSchema schema, TaskFactory factory) = 0;
  virtual void AddLaw(ComponentInfo info, OptionSchema schema, LawFactory factory) = 0;
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
