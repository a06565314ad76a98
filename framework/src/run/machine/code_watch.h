#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/file_watch.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "plugin/host.h"

namespace bitlaw {

/// Watches the program, its two libraries and the plugins of a host: a worker that starts after one of them was replaced
/// would file other numbers under the same versions. Error(kPlugin) if a plugin was replaced since it was loaded.
BITLAW_EXPORT FileWatch WatchCode(const PluginHost& host);

/// Which builds of plugins made a record: id -> {version, digest}, the digest over the library's bytes. A timings file
/// holds it under "plugins". `ids`: the plugins that had a part in it.
BITLAW_EXPORT Value PluginBuilds(const PluginHost& host, const FileWatch& code, std::span<const std::string> ids);

/// Of those builds the plugins that have the same version now and another library, "id version": what their author
/// changed is not told by the version, and so not by the record's name. `timings` may be null.
BITLAW_EXPORT std::vector<std::string> RebuiltPlugins(const Value& timings, const PluginHost& host, const FileWatch& code);

/// One digest over all watched contents, in any order of files.
BITLAW_EXPORT std::string DigestOf(const FileWatch& watch);

}  // namespace bitlaw
