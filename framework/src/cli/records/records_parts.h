#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "base/text/counted.h"
#include "cli/common/session.h"
#include "records/folder/check.h"

namespace bitlaw {

/// The verbs of `bitlaw records`, each of a file of its own. Their callbacks set session.action.
void AddRecordsVerify(CLI::App& records, Session& session);
void AddRecordsMerge(CLI::App& records, Session& session);
void AddRecordsGc(CLI::App& records, Session& session);
void AddRecordsExport(CLI::App& records, Session& session);

/// Reads files of codes; null where this bitlaw was built without libtorch.
CodesDigestOf CodesDigests();
/// The same where it was built with it: SHA-256 of the codes, one layer at a time in memory. Error(kIo).
std::string DigestOfCodesFile(const std::filesystem::path& file);

/// "2 of format 2": formats of records that are not read, and what to do with them; "" if there are none.
std::string OtherFormatsLine(const std::map<int64_t, size_t>& formats);

/// Tells what is damaged on standard error, 20 files at most.
void ComplainOfDamage(const std::vector<DamagedFile>& damaged);

}  // namespace bitlaw
