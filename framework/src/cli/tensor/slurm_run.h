#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/common/session.h"
#include "run/claims/campaign.h"
#include "run/slurm/batch_script.h"

namespace bitlaw {

/// What `bitlaw run --launcher slurm` was given beside the study.
struct SlurmRun {
  std::string spec, cluster, only;
  std::filesystem::path output;
  CampaignSettings campaign;
  bool no_fit = false;
};

/// The cluster file that --cluster names: a path, or a file of clusters/ in a folder of configuration.
/// Error(kSpec) with those that there are.
Cluster FindCluster(const SlurmRun& given, const Session& session);

/// The jobs that do the study, with the options and plugins of this call.
SlurmStudy MakeSlurmStudy(const SlurmRun& given, const Session& session, const std::string& name, size_t trials_left);

/// Prints their scripts, each below the file that it would be.
void PrintScripts(const SlurmStudy& study, const Cluster& cluster);

/// Submits them and says so.
void SubmitStudy(const SlurmStudy& study, const Cluster& cluster, int64_t campaign);

}  // namespace bitlaw
