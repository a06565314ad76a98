#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "records/table.h"

namespace bitlaw {

/// The recorded results of a plan, one row a (trial, task, metric), in plan order. docs/notation.md lists the columns;
/// after `dtype` there is a column for every axis of the study whose name is not taken.
///
/// Reads records of `output` (the study's own folder if empty) and no weights: a model whose weights were never
/// digested in that folder gives no rows, and a warning. Missing is NaN or "".
BITLAW_EXPORT Table Observations(const Plan& plan, const PluginHost& host, const std::filesystem::path& output = {},
                                 std::vector<std::string>* warnings = nullptr);

}  // namespace bitlaw
