#pragma once

#include <string>

#include "base/file_watch.h"
#include "bitlaw/base/export.h"
#include "plugin/host.h"

namespace bitlaw {

/// Watches the program, its two libraries and the plugins of a host: a worker that starts after one of them was replaced
/// would file other numbers under the same versions. Error(kPlugin) if a plugin was replaced since it was loaded.
BITLAW_EXPORT FileWatch WatchCode(const PluginHost& host);

/// One digest over all watched contents, in any order of files.
BITLAW_EXPORT std::string DigestOf(const FileWatch& watch);

}  // namespace bitlaw
