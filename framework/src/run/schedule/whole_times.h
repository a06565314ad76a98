#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "cost/measured_costs.h"
#include "run/claims/claim_folder.h"

namespace bitlaw {

/// Seconds between the claim and the end of trials that are done, by the times of their files: of 200 of them at most,
/// since on a network each answer takes a moment. `states`: folder.List().
BITLAW_EXPORT std::vector<std::pair<std::string, double>> WholeTimes(const std::filesystem::path& output,
                                                                     const ClaimFolder& folder,
                                                                     const std::map<std::string, ClaimState>& states);
/// The same of the last campaign of an output folder; none where there is none that can be read.
BITLAW_EXPORT std::vector<std::pair<std::string, double>> WholeTimes(const std::filesystem::path& output);

/// When a file was written, in seconds of the system's clock; NaN if it is not there.
BITLAW_EXPORT double TimeOf(const std::filesystem::path& file);

}  // namespace bitlaw
