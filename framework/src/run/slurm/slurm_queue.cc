#include "run/slurm/slurm_queue.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "run/slurm/batch_script.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct Answer {
  int exit_code = -1;  ///< -1: a signal ended it.
  std::string out, err;
};

// Runs a program of PATH without input and waits for it; nullopt if there is none of that name.
std::optional<Answer> RunProgram(const std::vector<std::string>& words) {
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0) throw Error(ErrorKind::kIo, fmt::format("no pipe: {}.", std::strerror(errno)));
  if (::pipe2(err, O_CLOEXEC) != 0) {
    ::close(out[0]), ::close(out[1]);
    throw Error(ErrorKind::kIo, fmt::format("no pipe: {}.", std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = -1;
  const int failed = ::posix_spawnp(&child, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]), ::close(err[1]);
  Answer answer;
  if (failed == 0) {
    pollfd files[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
    std::string* const texts[2] = {&answer.out, &answer.err};
    while (files[0].fd >= 0 || files[1].fd >= 0) {
      if (::poll(files, 2, -1) < 0 && errno != EINTR) break;
      for (int i = 0; i < 2; ++i) {
        if (files[i].fd < 0 || files[i].revents == 0) continue;
        char buffer[4096];
        const ssize_t got = ::read(files[i].fd, buffer, sizeof buffer);
        if (got > 0) texts[i]->append(buffer, static_cast<size_t>(got));
        if (got == 0 || (got < 0 && errno != EINTR)) files[i].fd = -1;
      }
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) answer.exit_code = WEXITSTATUS(status);
  }
  ::close(out[0]), ::close(err[0]);
  return failed == 0 ? std::optional(answer) : std::nullopt;
}

// One line of what a program complained of.
std::string OneLine(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// sbatch --parsable: "4711" or "4711;cluster".
std::string SubmitScript(const std::vector<std::string>& words) {
  const auto answer = RunProgram(words);
  if (!answer) CheckSlurm();
  std::string number;
  if (answer && answer->exit_code == 0) number = answer->out.substr(0, answer->out.find_first_of(";\n"));
  const bool is_number = !number.empty() && std::all_of(number.begin(), number.end(),
                                                        [](unsigned char c) { return std::isdigit(c) != 0; });
  if (is_number) return number;
  throw Error(ErrorKind::kUnsupported, fmt::format("sbatch refused {}: {}", words.back(),
                                                   answer ? OneLine(answer->err + answer->out) : "it was not found"));
}

fs::path JobsFile(const fs::path& output) { return output / kSlurmFolder / "jobs.json"; }

void WriteJobs(const fs::path& output, const SlurmJobs& jobs) {
  WriteDurably(JobsFile(output),
               PrettyJson(Value::Map{{"array", jobs.array}, {"report", jobs.report}, {"date", jobs.date}}), output);
}

}  // namespace

fs::path WorkerFile(const fs::path& output) { return output / kSlurmFolder / "worker.sbatch"; }
fs::path ReportFile(const fs::path& output) { return output / kSlurmFolder / "report.sbatch"; }

SlurmJobs ReadSlurmJobs(const fs::path& output) {
  SlurmJobs jobs;
  std::error_code error;
  if (!fs::exists(JobsFile(output), error)) return jobs;
  try {
    const Value json = ParseJson(ReadWholeFile(JobsFile(output)), JobsFile(output).string());
    const auto text = [&](const char* key) {
      const Value* value = json.Find(key);
      return value != nullptr && value->is_string() ? value->AsString() : "";
    };
    jobs = {text("array"), text("report"), text("date")};
  } catch (const Error&) {  // For people; nothing depends on it.
  }
  return jobs;
}

void CheckSlurm() {
  const char* path = std::getenv("PATH");
  for (const std::string program : {"sbatch", "squeue"}) {
    bool is_there = false;
    std::string rest = path == nullptr ? "" : path;
    while (!rest.empty() && !is_there) {
      const size_t end = rest.find(':');
      is_there = ::access((fs::path(rest.substr(0, end)) / program).c_str(), X_OK) == 0;
      rest = end == std::string::npos ? "" : rest.substr(end + 1);
    }
    if (is_there) continue;
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format(
            "--launcher slurm: there is no program '{}' in PATH. Run this on a login node of the cluster (after "
            "`module load slurm` on some), print the scripts with --dry-run, or begin the study with --prepare "
            "and start `bitlaw worker --claim` by other means (docs/clusters.md).",
            program));
  }
}

void CheckNoJobs(const fs::path& output) {
  const SlurmJobs jobs = ReadSlurmJobs(output);
  std::string numbers = jobs.array;
  if (!jobs.report.empty()) numbers += (numbers.empty() ? "" : ",") + jobs.report;
  if (numbers.empty()) return;
  const auto answer = RunProgram({"squeue", "--noheader", "--format=%i %T", "--jobs=" + numbers});
  // Numbers that Slurm has forgotten are an error of squeue's.
  if (!answer || answer->exit_code != 0 || OneLine(answer->out).empty()) return;
  throw Error(
      ErrorKind::kSpec,
      fmt::format(
          "{}: jobs that were submitted on {} are still in Slurm's queue: {}. They do what is missing. Wait for "
          "them, or `scancel {}{}{}` and run again.",
          JobsFile(output).string(), jobs.date, OneLine(answer->out), jobs.array, jobs.report.empty() ? "" : " ",
          jobs.report));
}

SlurmJobs Submit(const fs::path& output, const std::string& worker_script, const std::string& report_script,
                 const std::string& date) {
  const fs::path worker = WorkerFile(output), report = ReportFile(output);
  WriteDurably(worker, worker_script, output);
  WriteDurably(report, report_script, output);
  SlurmJobs jobs;
  jobs.date = date;
  jobs.array = SubmitScript({"sbatch", "--parsable", worker.string()});
  WriteJobs(output, jobs);
  const std::string after = "--dependency=afterany:" + jobs.array;
  try {
    jobs.report = SubmitScript({"sbatch", "--parsable", after, report.string()});
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("{}\nThe array, job {}, was submitted and does its trials. Submit the job that fits "
                            "after it: sbatch {} {}",
                            error.what(), jobs.array, after, ShellWord(report.string())));
  }
  WriteJobs(output, jobs);
  return jobs;
}

}  // namespace bitlaw
