#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plugin/host.h"

namespace bitlaw {

/// The names of the model backends that take `path` for a checkpoint of their format.
std::vector<std::string> ClaimingBackends(const PluginHost& host, const std::filesystem::path& path);

}  // namespace bitlaw
