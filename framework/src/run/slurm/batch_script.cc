#include "run/slurm/batch_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace bitlaw {
namespace {

constexpr int64_t kToRequeue_s = 20;  // Of the time before the limit: to end processes and to be queued again.

// The value of an option in a line of sbatch, which knows quotes and backslashes.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// A file's name in which sbatch replaces what begins with '%'.
std::string Pattern(const std::filesystem::path& folder, const std::string& pattern) {
  std::string text;
  for (const char c : folder.string()) text += c == '%' ? "%%" : std::string(1, c);
  return Quoted(text + "/" + pattern);
}

std::string Head(const Cluster& cluster, const SlurmStudy& study, const std::string& log) {
  std::string head;
  const auto add = [&](const std::string& line) { head += "#SBATCH " + line + "\n"; };
  add("--output=" + Pattern(study.output / "slurm", log));
  add("--open-mode=append");
  add("--chdir=" + Quoted(study.directory.string()));
  add("--nodes=1");
  add("--ntasks=1");
  if (!cluster.partition.empty()) add("--partition=" + cluster.partition);
  if (!cluster.account.empty()) add("--account=" + cluster.account);
  if (!cluster.qos.empty()) add("--qos=" + cluster.qos);
  if (!cluster.time.empty()) add("--time=" + cluster.time);
  if (cluster.cpus > 0) add(fmt::format("--cpus-per-task={}", cluster.cpus));
  if (cluster.memory_mib > 0) add(fmt::format("--mem={}M", cluster.memory_mib));
  if (cluster.gpus > 0) {
    add(fmt::format("--gres=gpu:{}{}", cluster.gpu_type.empty() ? "" : cluster.gpu_type + ":", cluster.gpus));
  }
  add(fmt::format("--signal=B:USR1@{}", cluster.leave_before_s));
  add("--requeue");
  for (const std::string& option : cluster.sbatch) add(option);
  return head;
}

// Runs a command as a job that is queued again when its time is up.
std::string Body(const Cluster& cluster, std::vector<std::string> command, const std::string& job) {
  command.insert(command.end(),
                 {"--grace", std::to_string(std::max<int64_t>(10, cluster.leave_before_s - kToRequeue_s))});
  if (cluster.workers > 0) command.insert(command.end(), {"--workers", std::to_string(cluster.workers)});
  std::string body;
  if (!cluster.modules.empty()) {
    body += "module load";
    for (const std::string& module : cluster.modules) body += " " + module;
    body += "\n";
  }
  if (!cluster.setup.empty()) body += cluster.setup + (cluster.setup.ends_with('\n') ? "" : "\n");
  body += R"(
bitlaw= signaled=
# USR1 comes before the time limit: end the trials in hand, or give them back. TERM comes when the job is cancelled or
# preempted, not long before SIGKILL: what has not ended after 20 s is given back.
trap 'signaled=yes; kill -USR1 "$bitlaw"' USR1
trap 'signaled=yes; kill -TERM "$bitlaw"; (sleep 20; kill -HUP "$bitlaw") 2> /dev/null &' TERM
)";
  for (const std::string& word : command) body += ShellWord(word) + " ";
  body += R"(--threads "${SLURM_CPUS_PER_TASK:-0}" &
bitlaw=$! code=127
while :; do  # A signal ends `wait`, too.
  signaled=
  wait "$bitlaw"; status=$?
  [ "$status" = 127 ] || code=$status
  [ -n "$signaled" ] || break
done
trap - USR1 TERM
if [ "$code" = 138 ]; then
  echo "bitlaw: the time limit is near; the job is queued again and goes on."
  scontrol requeue ")" +
          job + R"(" && sleep 600  # Slurm ends this script.
  echo "bitlaw: the job could not be queued again; submit its script with sbatch, or leave the rest to other jobs." >&2
elif [ "$code" = 9 ]; then
  echo "bitlaw: nothing was recorded in all of the job's time; it is not queued again. Give it a longer time." >&2
fi
exit "$code"
)";
  return body;
}

}  // namespace

std::string ShellWord(const std::string& text) {
  const bool is_plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("._,:+=/@-").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (is_plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string WorkerScript(const Cluster& cluster, const SlurmStudy& study) {
  const auto jobs = std::max<int64_t>(1, std::min(cluster.jobs, static_cast<int64_t>(study.trials_left)));
  std::string array = fmt::format("--array=0-{}", jobs - 1);
  if (cluster.array_parallelism > 0 && cluster.array_parallelism < jobs)
    array += fmt::format("%{}", cluster.array_parallelism);
  return "#!/bin/bash\n#SBATCH --job-name=" + Quoted("bitlaw-" + study.name) + "\n#SBATCH " + array + "\n" +
         Head(cluster, study, "%A_%a.log") +
         "# Does trials of the study until none is left. Submitted by `bitlaw run --launcher slurm`.\n" +
         Body(cluster, study.worker, "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID");
}

std::string ReportScript(const Cluster& cluster, const SlurmStudy& study) {
  return "#!/bin/bash\n#SBATCH --job-name=" + Quoted("bitlaw-" + study.name + "-report") + "\n" +
         Head(cluster, study, "%j_report.log") +
         "# After the array: does what is left of the study, fits its laws and writes the report.\n" +
         Body(cluster, study.report, "$SLURM_JOB_ID");
}

}  // namespace bitlaw
