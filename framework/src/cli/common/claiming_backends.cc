#include "cli/common/claiming_backends.h"

#include "bitlaw/api/model_backend.h"

namespace bitlaw {

std::vector<std::string> ClaimingBackends(const PluginHost& host, const std::filesystem::path& path) {
  std::vector<std::string> claims;
  for (const std::string& name : host.Names(ComponentKind::kModel)) {
    const Options defaults = host.Find(ComponentKind::kModel, name).schema.Resolve(Value(), "model '" + name + "'");
    if (host.MakeModelBackend(name, defaults)->Claims(path)) claims.push_back(name);
  }
  return claims;
}

}  // namespace bitlaw
