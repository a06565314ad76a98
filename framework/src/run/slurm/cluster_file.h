#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// What a cluster is asked for: a file of configs/clusters.
struct BITLAW_EXPORT Cluster {
  std::string partition, account, qos;  ///< "": the cluster's default.
  std::string time;                     ///< Of one job, as sbatch takes it; "": the partition's.
  int64_t memory_mib = 0;               ///< Of one job; 0: the partition's default.
  int64_t cpus = 0;                     ///< 0: the partition's default.
  int64_t gpus = 0;
  std::string gpu_type;
  std::vector<std::string> modules;
  std::string setup;                ///< Lines of bash before bitlaw is started.
  std::vector<std::string> sbatch;  ///< Further options, "--constraint=a100".
  int64_t jobs = 8;                 ///< Of the array.
  int64_t array_parallelism = 0;    ///< That run at once; 0: all.
  int64_t workers = 0;              ///< Processes of one job that do trials; 0: one a device.
  int64_t leave_before_s = 120;     ///< Before the time limit, when workers are told to leave.
};

/// The keys of such a file, for help and for the pages that list them.
BITLAW_EXPORT const OptionSchema& ClusterSchema();

/// Error(kSpec) with every fault, each with its place: unknown keys, types, ranges, a time or memory in another form
/// than sbatch's, options of sbatch that the script sets itself, a time that is not longer than `leave_before_s`.
BITLAW_EXPORT Cluster ReadCluster(const std::filesystem::path& file);

/// Seconds of a time limit as sbatch takes it: "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours",
/// "days-hours:minutes" or "days-hours:minutes:seconds"; nullopt for another text, and for no time at all.
BITLAW_EXPORT std::optional<int64_t> SlurmSeconds(const std::string& text);

/// MiB of "512M", "64G", "64GiB" or "1T" (powers of 1024, as sbatch counts); nullopt for another text.
BITLAW_EXPORT std::optional<int64_t> SlurmMemoryMib(const std::string& text);

}  // namespace bitlaw
