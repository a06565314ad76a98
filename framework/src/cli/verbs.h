#pragma once

#include "cli/common/session.h"

namespace bitlaw {

/// Each adds one subcommand with its options to `app`; its callback sets session.action.
void AddPluginsVerb(CLI::App& app, Session& session);
void AddCheckVerb(CLI::App& app, Session& session);
void AddPlanVerb(CLI::App& app, Session& session);
void AddRunVerb(CLI::App& app, Session& session);
void AddWorkerVerb(CLI::App& app, Session& session);
void AddFitVerb(CLI::App& app, Session& session);
void AddPredictVerb(CLI::App& app, Session& session);
void AddRecommendVerb(CLI::App& app, Session& session);
void AddReportVerb(CLI::App& app, Session& session);
void AddTasksVerb(CLI::App& app, Session& session);
void AddSamplesVerb(CLI::App& app, Session& session);
void AddStatusVerb(CLI::App& app, Session& session);
void AddStrataVerb(CLI::App& app, Session& session);
void AddPairedVerb(CLI::App& app, Session& session);
void AddImportVerb(CLI::App& app, Session& session);
void AddRecordsVerb(CLI::App& app, Session& session);
void AddInitVerb(CLI::App& app, Session& session);
void AddReferenceVerb(CLI::App& app, Session& session);
void AddQuantizeVerb(CLI::App& app, Session& session);
void AddEvaluateVerb(CLI::App& app, Session& session);
void AddExportVerb(CLI::App& app, Session& session);
void AddReproduceVerb(CLI::App& app, Session& session);
void AddDoctorVerb(CLI::App& app, Session& session);

}  // namespace bitlaw
