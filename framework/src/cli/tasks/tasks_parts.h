#pragma once

#include <map>
#include <string>

#include "cli/common/session.h"

namespace bitlaw {

/// Subcommands of `bitlaw tasks` with files of their own; each is added to `verb`.
void AddTasksFetch(CLI::App& verb, Session& session);
void AddTasksImport(CLI::App& verb, Session& session);

/// data.sha256 of the configuration folders: SHA-256 by file as tasks name it. Lines are "<digest>  <file>", as
/// sha256sum writes them; Error(kIo) with the line for others.
std::map<std::string, std::string> KnownDigests(const Session& session);

}  // namespace bitlaw
