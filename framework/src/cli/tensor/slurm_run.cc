#include "cli/tensor/slurm_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "run/machine/machine.h"
#include "run/slurm/slurm_queue.h"
#include "spec/find_files.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

// This program with the plugins of this call.
std::vector<std::string> Program(const Session& session) {
  std::vector<std::string> words = {fs::read_symlink("/proc/self/exe").string()};
  for (const fs::path& plugin : session.plugin_paths)
    words.insert(words.end(), {"--plugin", fs::absolute(plugin).string()});
  return words;
}

// Who takes part in a campaign must be given the same, or nothing.
std::vector<std::string> CampaignOptions(const CampaignSettings& settings) {
  const CampaignSettings usual;
  std::vector<std::string> words;
  if (settings == usual) return words;
  words = {"--beat",          fmt::format("{}", settings.beat_s),
           "--claim-expiry",  fmt::format("{}", settings.expiry_s),
           "--trial-timeout", fmt::format("{}", settings.trial_timeout_s),
           "--retries",       std::to_string(settings.retries),
           "--max-failures",  std::to_string(settings.max_failures),
           "--worker-memory", std::to_string(settings.worker_memory_bytes)};
  if (settings.keep_codes) words.emplace_back("--keep-codes");
  return words;
}

}  // namespace

Cluster FindCluster(const SlurmRun& given, const Session& session) {
  const fs::path home = fs::absolute(given.spec).parent_path();
  std::vector<fs::path> folders = StudyFolders(home);
  const std::vector<fs::path> shared = session.SearchFolders();
  folders.insert(folders.end(), shared.begin(), shared.end());
  if (given.cluster.empty()) {
    throw Error(ErrorKind::kSpec,
                "--launcher slurm needs --cluster: what a job is given, a file of configs/clusters or the "
                "path of your own (docs/clusters.md).");
  }
  std::error_code error;
  if (fs::is_regular_file(given.cluster, error)) return ReadCluster(given.cluster);
  const NamedFile file = FindNamedFile(given.cluster, "clusters", home, folders);
  if (!file.problem.empty()) throw Error(ErrorKind::kSpec, "--cluster " + given.cluster + ": " + file.problem);
  return ReadCluster(file.path);
}

SlurmStudy MakeSlurmStudy(const SlurmRun& given, const Session& session, const std::string& name, size_t trials_left) {
  SlurmStudy study;
  study.name = name;
  study.output = fs::absolute(given.output).lexically_normal();
  study.directory = fs::current_path();
  study.trials_left = trials_left;
  study.worker = Program(session);
  study.worker.insert(study.worker.end(), {"worker", "--claim", study.output.string()});
  study.report = Program(session);
  for (const fs::path& folder : session.config_paths) {
    study.report.insert(study.report.end(), {"--configs", fs::absolute(folder).string()});
  }
  study.report.insert(study.report.end(),
                      {"run", fs::absolute(given.spec).string(), "--output", study.output.string(), "--go-on"});
  if (!given.only.empty()) study.report.insert(study.report.end(), {"--only", given.only});
  if (given.no_fit) study.report.emplace_back("--no-fit");
  const std::vector<std::string> options = CampaignOptions(given.campaign);
  study.report.insert(study.report.end(), options.begin(), options.end());
  return study;
}

void PrintScripts(const SlurmStudy& study, const Cluster& cluster) {
  Say(fmt::format("# {}\n{}\n", WorkerFile(study.output).string(), WorkerScript(cluster, study)));
  Say(fmt::format("# {}, after it\n{}", ReportFile(study.output).string(), ReportScript(cluster, study)));
}

void SubmitStudy(const SlurmStudy& study, const Cluster& cluster, int64_t campaign) {
  const SlurmJobs jobs = Submit(study.output, WorkerScript(cluster, study), ReportScript(cluster, study), UtcNow());
  Say(fmt::format(
      "{}: campaign {} is open, {} left. Submitted Slurm job {}, an array that does them, and job {}, which "
      "then fits and reports.\n",
      study.name, campaign, Counted(study.trials_left, "trial is", "trials are"), jobs.array, jobs.report));
  Say(fmt::format("Scripts and logs: {}. `bitlaw status {}` says how far they are.\n",
                  (study.output / kSlurmFolder).string(), study.output.string()));
}

}  // namespace bitlaw
