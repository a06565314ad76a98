#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Jobs that were submitted for a study: <output>/slurm/jobs.json.
struct BITLAW_EXPORT SlurmJobs {
  std::string array, report;  ///< Numbers of jobs; "" if there is none.
  std::string date;           ///< UTC, ISO 8601.
};
inline constexpr const char* kSlurmFolder = "slurm";
BITLAW_EXPORT std::filesystem::path WorkerFile(const std::filesystem::path& output);  ///< The array's script.
BITLAW_EXPORT std::filesystem::path ReportFile(const std::filesystem::path& output);
/// Without numbers where there is no such file, or none that can be read.
BITLAW_EXPORT SlurmJobs ReadSlurmJobs(const std::filesystem::path& output);

/// Error(kUnsupported) unless sbatch and squeue are there, with what to do.
BITLAW_EXPORT void CheckSlurm();

/// Error(kSpec) if jobs that were submitted for the folder before are still in Slurm's queue.
BITLAW_EXPORT void CheckNoJobs(const std::filesystem::path& output);

/// Writes both scripts into <output>/slurm and submits them, the second to run when every job of the first has ended,
/// however it did. Error(kUnsupported) with what sbatch said; of a script that was submitted before the error says so.
BITLAW_EXPORT SlurmJobs Submit(const std::filesystem::path& output, const std::string& worker_script,
                               const std::string& report_script, const std::string& date);

}  // namespace bitlaw
