#include "run/claims/liveness.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

std::string FirstLine(const char* file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

// The 22nd word of /proc/<pid>/stat; the second one is a name in parentheses that may hold spaces. -1: no such process.
int64_t StartOf(int64_t pid) {
  std::ifstream stream(fmt::format("/proc/{}/stat", pid));
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return -1;
  std::istringstream words(text.substr(end + 1));
  std::string word;
  for (int i = 3; i <= 22 && words >> word; ++i) {
    // A process that ended and was not waited for is none.
    if (i == 3 && (word == "Z" || word == "X")) return -1;
  }
  return std::atoll(word.c_str());
}

// Of the namespace that this process's numbers are of; "" where /proc shows the numbers of another one.
std::string PidNamespace() {
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self", error).string();
  if (error || self != std::to_string(::getpid())) return "";
  const std::string name = std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
  return error ? "" : name;
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What a batch system calls the job that this process belongs to.
std::string JobName() {
  if (const std::string job = Variable("SLURM_JOB_ID"); !job.empty()) {
    const std::string array = Variable("SLURM_ARRAY_JOB_ID"), task = Variable("SLURM_ARRAY_TASK_ID");
    return array.empty() ? "Slurm job " + job : "Slurm job " + array + "_" + task;
  }
  if (const std::string job = Variable("PBS_JOBID"); !job.empty()) return "PBS job " + job;
  if (const std::string job = Variable("LSB_JOBID"); !job.empty()) return "LSF job " + job;
  if (const std::string job = Variable("JOB_COMPLETION_INDEX"); !job.empty()) return "Kubernetes index " + job;
  return "";
}

std::string TextOf(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  return value != nullptr && value->is_string() ? value->AsString() : "";
}
int64_t NumberOf(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  return value != nullptr && value->is_int() ? value->AsInt() : 0;
}


constexpr const char* kEnding = ".json";

}  // namespace

std::string WorkerIdentity::Text() const {
  return fmt::format("process {} on {}{}", pid, host, job.empty() ? "" : " (" + job + ")");
}

WorkerIdentity ThisWorker() {
  utsname system{};
  ::uname(&system);
  WorkerIdentity worker;
  worker.host = system.nodename;
  worker.pid = ::getpid();
  worker.started = StartOf(worker.pid);
  worker.pid_namespace = PidNamespace();
  if (!worker.pid_namespace.empty()) worker.boot_id = FirstLine("/proc/sys/kernel/random/boot_id");
  worker.job = JobName();
  std::string name = worker.host.substr(0, 64);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  }
  worker.id = fmt::format("{}-{}-{:08x}", name, worker.pid, std::random_device()());
  return worker;
}

std::string BeatFile(const std::string& worker) { return fmt::format("{}/{}{}", kWorkersFolder, worker, kEnding); }

std::string WriteBeat(const WorkerBeat& beat) {
  Value::List trials;
  for (const std::string& trial : beat.trials) trials.emplace_back(trial);
  const WorkerIdentity& worker = beat.worker;
  return PrettyJson(Value::Map{{"worker", worker.id},
                               {"host", worker.host},
                               {"pid", worker.pid},
                               {"started", worker.started},
                               {"boot_id", worker.boot_id},
                               {"pid_namespace", worker.pid_namespace},
                               {"job", worker.job},
                               {"campaign", beat.campaign},
                               {"beat", beat.beat},
                               {"trials", std::move(trials)}});
}

std::optional<WorkerBeat> ReadBeat(const std::string& text) {
  Value json;
  try {
    json = ParseJson(text, "beat");
  } catch (const Error&) {
    return std::nullopt;
  }
  if (!json.is_map()) return std::nullopt;
  WorkerBeat beat;
  beat.worker = {TextOf(json, "worker"),  TextOf(json, "host"),          NumberOf(json, "pid"), NumberOf(json, "started"),
                 TextOf(json, "boot_id"), TextOf(json, "pid_namespace"), TextOf(json, "job")};
  beat.campaign = NumberOf(json, "campaign");
  beat.beat = NumberOf(json, "beat");
  if (const Value* trials = json.Find("trials"); trials != nullptr && trials->is_list()) {
    for (const Value& trial : trials->AsList()) {
      if (trial.is_string()) beat.trials.push_back(trial.AsString());
    }
  }
  return beat.worker.id.empty() ? std::nullopt : std::optional(beat);
}

std::vector<WorkerBeat> ListWorkers(const SharedFiles& files) {
  std::vector<WorkerBeat> workers;
  for (const std::string& name : files.List(kWorkersFolder)) {
    if (!name.ends_with(kEnding)) continue;
    const auto text = files.Read(std::string(kWorkersFolder) + "/" + name);
    if (!text) continue;
    if (auto beat = ReadBeat(*text)) workers.push_back(std::move(*beat));
  }
  return workers;
}

LifeWatch::Process AskProc(const WorkerIdentity& worker) {
  static const std::string kNamespace = PidNamespace(), kBoot = FirstLine("/proc/sys/kernel/random/boot_id");
  const bool is_of_here = !worker.boot_id.empty() && !worker.pid_namespace.empty() && worker.boot_id == kBoot &&
                          worker.pid_namespace == kNamespace;
  if (!is_of_here) return LifeWatch::Process::kUnknown;
  return StartOf(worker.pid) == worker.started ? LifeWatch::Process::kRuns : LifeWatch::Process::kGone;
}

LifeWatch::LifeWatch(const SharedFiles& files, double expiry_s)
    : LifeWatch(
          files, expiry_s,
          [] {
            return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
          },
          &AskProc) {}

LifeWatch::LifeWatch(const SharedFiles& files, double expiry_s, Seconds now, AskSystem ask)
    : files_(files), expiry_s_(expiry_s), now_(std::move(now)), ask_(std::move(ask)) {}

WorkerLife LifeWatch::Of(const std::string& worker) {
  const double now = now_();
  const auto text = files_.Read(BeatFile(worker));
  const auto beat = text ? ReadBeat(*text) : std::nullopt;
  const auto [found, is_new] = seen_.try_emplace(worker);
  Seen& seen = found->second;
  if (is_new) seen.since = now;
  if (beat && (!seen.last || seen.last->beat != beat->beat)) {
    seen.changed = seen.changed || seen.last.has_value();
    seen.since = now;
    seen.last = beat;
  }
  const Process process = seen.last ? ask_(seen.last->worker) : Process::kUnknown;
  if (process == Process::kGone || now - seen.since > expiry_s_) return WorkerLife::kDead;
  return seen.changed || process == Process::kRuns ? WorkerLife::kLives : WorkerLife::kUnsure;
}

std::string WorkersText(const std::vector<WorkerBeat>& workers) {
  std::string text;
  for (const WorkerBeat& beat : workers) text += (text.empty() ? "" : ", ") + beat.worker.Text();
  return text;
}

std::optional<WatchedWorkers> WatchWorkers(const SharedFiles& files, LifeWatch& watch,
                                           const std::function<bool(const std::string& line)>& wait) {
  for (bool told = false;; told = true) {
    WatchedWorkers found;
    std::vector<WorkerBeat> unsure;
    for (WorkerBeat& beat : ListWorkers(files)) {
      const WorkerLife life = watch.Of(beat.worker.id);
      auto& list = life == WorkerLife::kLives ? found.live : life == WorkerLife::kDead ? found.dead : unsure;
      list.push_back(std::move(beat));
    }
    if (unsure.empty()) return found;
    const std::string line =
        told ? "" : fmt::format("waits to see whether workers live that were here before: {}.", WorkersText(unsure));
    if (!wait(line)) return std::nullopt;
  }
}

}  // namespace bitlaw
