#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"

namespace bitlaw {

/// The host of a test with the built plugins of quantizers, grids and transforms; lives as long as the process.
inline PluginHost& QuantizerHost() {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    for (const char* name :
         {"quantizer_rtn", "quantizer_gptq", "quantizer_hqq", "grid_uniform", "grid_nf4", "grid_mxfp4", "grid_mxfp8",
          "grid_nvfp4", "grid_fp8", "transform_smooth_scale", "transform_awq", "transform_rotation"}) {
      const std::string path = std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_" + name + ".so";
      if (std::filesystem::exists(path)) made->LoadFile(path);  // A test builds those that it uses.
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

inline std::unique_ptr<WeightGrid> MakeGrid(const std::string& name, const Value::Map& options) {
  const Component& component = QuantizerHost().Find(ComponentKind::kGrid, name);
  return QuantizerHost().MakeGrid(name, component.schema.Resolve(Value(options), component.full_name()));
}

inline std::unique_ptr<Transform> MakeTransform(const std::string& name, const Value::Map& options) {
  const Component& component = QuantizerHost().Find(ComponentKind::kTransform, name);
  return QuantizerHost().MakeTransform(name, component.schema.Resolve(Value(options), component.full_name()));
}

}  // namespace bitlaw
