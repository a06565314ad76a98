#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "run/slurm/cluster_file.h"

namespace bitlaw {

/// A study as an array of jobs, and one more job that fits and reports.
struct BITLAW_EXPORT SlurmStudy {
  std::string name;
  std::filesystem::path output;     ///< Absolute, seen by every node.
  std::filesystem::path directory;  ///< Where the jobs begin: relative paths of the study are of there.
  size_t trials_left = 1;
  std::vector<std::string> worker;  ///< argv of `bitlaw worker --claim <output>`.
  std::vector<std::string> report;  ///< argv of `bitlaw run <study> --go-on`.
};

/// The batch script of the array: each of its jobs takes trials until nothing is left, or until SIGUSR1 comes, some
/// time before its limit; then it ends its trials or gives them back, and is queued again. SIGTERM (cancelled,
/// preempted, out of time) leaves trials 20 s. A job that could not record anything in all of its time is not queued
/// again: it never would.
BITLAW_EXPORT std::string WorkerScript(const Cluster& cluster, const SlurmStudy& study);

/// That of the job after it, which does what is left, fits and reports.
BITLAW_EXPORT std::string ReportScript(const Cluster& cluster, const SlurmStudy& study);

/// A word of a shell's line: in single quotes where it is more than letters, digits and ._,:+=/@-.
BITLAW_EXPORT std::string ShellWord(const std::string& text);

}  // namespace bitlaw
