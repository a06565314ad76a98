#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plugin/host.h"

namespace bitlaw {

/// Why a plugin's project, its library and its component cannot have this name; empty exactly when they can.
std::string ExplainPluginName(const std::string& name);

/// "round_off" -> "RoundOff"
std::string ClassName(const std::string& name);

/// Writes the project of a new plugin into `folder`, which must not exist: the files of
/// <share>/examples/plugins/<kind>, in whose names and texts my_<kind> and My<Kind> become `name` and ClassName(name),
/// and relative paths to the models and texts of <share>/examples become absolute. Returns the files, relative to the
/// folder, in order. Errors   Error(kSpec) for a name that is none and a folder that is there; Error(kIo) with the
/// system's reason.
std::vector<std::filesystem::path> WritePluginProject(const std::filesystem::path& share, ComponentKind kind,
                                                      const std::string& name, const std::filesystem::path& folder);

}  // namespace bitlaw
