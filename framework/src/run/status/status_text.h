#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "run/status/study_status.h"

namespace bitlaw {

/// For people: a line of counts, the time left, trials in hand and failed, `most` of each, and what to do next.
BITLAW_EXPORT std::string StatusText(const StudyStatus& status, const std::filesystem::path& output, size_t most);

/// For programs, with all trials in hand and failed; null for what is not known.
BITLAW_EXPORT Value StatusJson(const StudyStatus& status, const std::filesystem::path& output);

}  // namespace bitlaw
