#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "records/table.h"

namespace bitlaw {

/// The recorded results of a plan, one row a (trial, task, metric), in plan order. docs/reference/notation.md lists the columns: a
/// column for every factor of the plan and of its tasks, and for every axis of the study that no factor repeats.
///
/// Reads records of `output` (the study's own folder if empty) and no weights: a model whose weights were never
/// digested in that folder gives no rows, and a warning. Missing is NaN or "".
BITLAW_EXPORT Table Observations(const Plan& plan, const PluginHost& host, const std::filesystem::path& output = {},
                                 std::vector<std::string>* warnings = nullptr);

/// As the column metric_kind has it: "accuracy", "perplexity", "mean", "ratio".
BITLAW_EXPORT const char* MetricKindName(MetricKind kind);

/// A column of observations.csv.
struct BITLAW_EXPORT ObservationColumn {
  std::string name;
  bool is_text = false;
  std::optional<Factor> factor;  ///< Without a value; nothing for a column that is no factor.
  std::string origin;            ///< Who reports the factor, for people.
};

/// The columns that the observations of a plan have, in their order, before anything is recorded.
BITLAW_EXPORT std::vector<ObservationColumn> ObservationColumns(const Plan& plan);

/// columns.json: what the factors among the columns are, so that fits to observations.csv alone know their roles.
BITLAW_EXPORT std::string WriteColumns(const std::vector<ObservationColumn>& columns);
/// Error(kIo) with `origin` for a text that WriteColumns() did not write.
BITLAW_EXPORT std::vector<ObservationColumn> ReadColumns(const std::string& text, const std::string& origin);

/// The observations as they will be: the same columns, with what is known before a trial runs, and stand-ins for what
/// is measured (half of what a model can do beyond guessing; `record` is empty). `cards` has one a task of the study.
/// For checks of what a law needs: of a plan of many trials it has the first 500, and of the others one of each kind
/// (which columns have a value).
BITLAW_EXPORT Table PlannedObservations(const Plan& plan, const std::vector<TaskCard>& cards);

/// The stratum of a task: the study's, or its own where the study names none; "" if it is in none.
BITLAW_EXPORT std::string StratumOf(const StudySpec& study, const TaskCard& card);

}  // namespace bitlaw
