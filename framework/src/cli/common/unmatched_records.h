#pragma once

#include <string>

#include "plan/plan.h"

namespace bitlaw {

/// What to say where no trial of `plan` is known to be recorded in its output folder: how many records are there, why
/// they may match none of its trials, and that `bitlaw run FILE` (`study_file`) goes on. Looks at names of records alone.
std::string UnmatchedRecords(const Plan& plan, const std::string& study_file);

}  // namespace bitlaw
