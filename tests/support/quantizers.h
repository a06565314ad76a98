#pragma once

#include <memory>
#include <string>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"

namespace bitlaw {

/// The host of a test with the built quantizer plugins "rtn" and "gptq"; lives as long as the process.
inline PluginHost& QuantizerHost() {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    for (const char* name : {"rtn", "gptq"}) {
      made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_quantizer_" + name + ".so");
    }
    return made;
  }();
  return *host;
}

/// A quantizer from its options as a spec would give them, e.g. MakeQuantizer("gptq", {{"bits", 3}}).
inline std::unique_ptr<Quantizer> MakeQuantizer(const std::string& name, const Value::Map& options) {
  const Component& component = QuantizerHost().Find(ComponentKind::kQuantizer, name);
  return QuantizerHost().MakeQuantizer(name, component.schema.Resolve(Value(options), component.full_name()));
}

}  // namespace bitlaw
