#pragma once

#include <filesystem>
#include <string>

namespace bitlaw {

/// Whether a word may be the beginning of a record's digest: 6 to 64 digits of it.
bool IsDigestStart(const std::string& text);

/// A record's file, absolute: as `what` names it, or by the beginning of its digest in the output folder `results`.
/// Error(kSpec) if there is none, or more than one.
std::filesystem::path RecordFile(const std::string& what, const std::string& results);

}  // namespace bitlaw
