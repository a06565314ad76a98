#pragma once

#include "cli/common/session.h"

namespace bitlaw {

/// `completion` and `manual`, which print what the declarations of all other verbs say. Call it after those.
void AddUsageVerbs(CLI::App& app, Session& session);

}  // namespace bitlaw
