#pragma once

#include "cli/common/session.h"

namespace bitlaw {

/// `plugins new` and `plugins test`: each adds one subcommand to `plugins`.
void AddPluginsNewVerb(CLI::App& plugins, Session& session);
void AddPluginsTestVerb(CLI::App& plugins, Session& session);

}  // namespace bitlaw
