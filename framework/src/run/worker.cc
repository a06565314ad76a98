#include "run/worker.h"

#include <ATen/Parallel.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

#include "base/allowed_cores.h"
#include "base/files/durable_file.h"
#include "base/resource_limits.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/device_code.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "plan/work_study.h"
#include "quantize/kept_statistics.h"
#include "run/claims/claim_folder.h"
#include "run/claims/liveness.h"
#include "run/machine/code_watch.h"
#include "run/trial.h"
#include "run/trial_failure.h"

namespace bitlaw {
namespace {

void WriteAll(int fd, const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) ::_exit(1);  // The launcher is gone; nobody waits for a result.
    done += static_cast<size_t>(wrote);
  }
}

// The lines of a pipe.
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}

  // The next line, without its end; false at the end of the input.
  bool Next(std::string& line) {
    size_t end = 0;
    while ((end = held_.find('\n')) == std::string::npos) {
      char piece[4096];
      const ssize_t got = ::read(fd_, piece, sizeof piece);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      held_.append(piece, static_cast<size_t>(got));
    }
    line = held_.substr(0, end);
    held_.erase(0, end + 1);
    return true;
  }

 private:
  int fd_;
  std::string held_;
};

// A worker that starts late may find another model, other code or another study than its launcher did.
void CheckOrder(const TrialOrder& order, const std::string& code_digest, const WorkStudy& work,
                PlanContents& contents) {
  if (order.work_digest != work.digest) {
    throw Error(ErrorKind::kIo, "the study's work file in the output folder is of another run. Run again.");
  }
  if (order.code_digest != code_digest) {
    throw Error(ErrorKind::kPlugin, "bitlaw or a plugin was replaced while the study ran. Run again.");
  }
  CheckTrial(order.trial, work.plan);
  if (order.weights_digest != contents.WeightsDigest(order.trial.model)) {
    throw Error(ErrorKind::kIo, "model '" + work.plan.models.at(order.trial.model).spec.name +
                                    "' was replaced while the study ran. Run again for the model that is there now.");
  }
}

// What statistics may take that are kept from trial to trial: of a quarter of the free memory, as much as this worker has of
// the processor's cores.
int64_t BytesForStatistics(int threads) {
  std::ifstream memory("/proc/meminfo");
  int64_t free_kib = 0;
  for (std::string name; memory >> name;) {
    if (name == "MemAvailable:" && memory >> free_kib) break;
  }
  const int cores = std::max(1, AllowedCores());
  return free_kib * 1024 / 4 * std::min(threads, cores) / cores;
}

// Private memory that is written to: mapped model files and what a device's driver reserves do not count.
void LimitMemory(int64_t bytes) {
  if (bytes <= 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_DATA, &limit);
  limit.rlim_cur = std::min(static_cast<rlim_t>(bytes), limit.rlim_max);
  ::setrlimit(RLIMIT_DATA, &limit);
}

// While it lives, a plugin's exit() ends the process at once. Otherwise libtorch would be taken down beside threads that
// still use it, and now and then a signal would stand in for the exit code.
class ExitIsAtOnce {
 public:
  ExitIsAtOnce() {
    is_wanted_ = true;
    static const int registered = ::on_exit(
        [](int status, void*) {
          if (!is_wanted_) return;
          std::fflush(nullptr);
          ::_exit(status);
        },
        nullptr);
    static_cast<void>(registered);
  }
  ~ExitIsAtOnce() { is_wanted_ = false; }
  ExitIsAtOnce(const ExitIsAtOnce&) = delete;
  ExitIsAtOnce& operator=(const ExitIsAtOnce&) = delete;

 private:
  static std::atomic<bool> is_wanted_;
};

std::atomic<bool> ExitIsAtOnce::is_wanted_ = false;

}  // namespace

int ServeTrials(const PluginHost& host, const ProcessState& state, const WorkerOptions& options) {
  NameTemporaries(options.name);
  LimitMemory(options.memory_bytes);
  const int threads = SetTorchThreads(options.threads);
  const std::filesystem::path file = WorkFile(options.output);
  const WorkStudy work = ReadWorkStudy(ReadWholeFile(file), file.string());
  const RecordStore store(options.output);
  DigestCache cache = CacheOf(options.output);
  PlanContents contents(work.plan, host, cache);
  FileWatch code = WatchCode(host);
  const std::string code_digest = DigestOf(code);
  Value provenance = options.build;
  provenance.Set("code_digest", code_digest);
  provenance.Set("study_digest", work.digest);
  if (const std::string job = ThisWorker().job; !job.empty()) provenance.Set("job", job);
  // A line of its own, whatever a plugin left unfinished there.
  const Tell tell = [&](const WorkerMessage& message) { WriteAll(options.out, "\n" + ToLine(message)); };
  TellOfUncaught(tell);
  tell({});
  KeptStatistics kept(BytesForStatistics(threads));
  KeptText text;
  const ResourceLimits limits;
  const ExitIsAtOnce exit_is_at_once;
  LineReader orders(options.in);
  for (std::string line; orders.Next(line);) {
    WorkerMessage end;
    end.kind = WorkerMessage::Kind::kDone;
    try {
      const TrialOrder order = FromOrderLine(line);
      // Whatever the last trial left must not reach this one.
      state.Restore();
      at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) { state.RestoreThread(); });
      CheckOrder(order, code_digest, work, contents);
      const std::string& kind = order.trial.compute.device;
      const std::string& device = options.device.empty() ? kind : options.device;
      // On a device statistics stay there, whose memory is for the models.
      const TrialSetting setting{work.evaluate, device, threads, device == "cpu" ? &kept : nullptr, &text,
                                 options.keep_codes,
                                 [&] {
                                   if (!order.claim.empty() && !IsClaimHeld(options.output / order.claim)) throw ClaimLost();
                                 },
                                 provenance};
      RunTrial(contents, order.trial, setting, store, cache, code, state, tell);
    } catch (const ClaimLost&) {
      end.kind = WorkerMessage::Kind::kFailed;
      end.error_kind = kClaimLost;
      end.text = "another worker has taken the trial over";
    } catch (...) {
      end = FailureOf(std::current_exception());
    }
    end.spent = !limits.Restore() || end.spent;
    if (end.kind == WorkerMessage::Kind::kFailed) {
      // A device that failed answers nothing more to this process.
      try {
        WaitForDevice(at::Device(options.device.empty() ? "cpu" : options.device));
      } catch (const std::exception&) {
        end.spent = true;
        if (end.error_kind == "bug") end.error_kind = "device";
      }
    }
    tell(end);
    if (end.spent) break;
  }
  return 0;
}

}  // namespace bitlaw
