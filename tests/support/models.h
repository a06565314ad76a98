#pragma once

#include <memory>
#include <string>

#include "bitlaw/api/model.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"

namespace bitlaw {

/// A model backend, "hf" or "gguf", from the built plugin. The host lives as long as the process.
inline std::unique_ptr<ModelBackend> MakeModelBackend(const std::string& name, const Value::Map& options = {}) {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    for (const char* plugin : {"hf", "gguf"}) {
      made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_model_" + plugin + ".so");
    }
    return made;
  }();
  const Component& component = host->Find(ComponentKind::kModel, name);
  return host->MakeModelBackend(name, component.schema.Resolve(Value(options), component.full_name()));
}

}  // namespace bitlaw
