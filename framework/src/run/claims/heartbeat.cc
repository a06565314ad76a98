#include "run/claims/heartbeat.h"

#include <signal.h>

#include <chrono>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {

Heartbeat::Heartbeat(SharedFiles& files, WorkerIdentity worker, int64_t campaign, double beat_s)
    : files_(files), beat_s_(beat_s) {
  beat_.worker = std::move(worker);
  beat_.campaign = campaign;
  Beat();
  if (!fault_.empty()) throw Error(ErrorKind::kIo, fault_);
  // Signals are for the thread that waits for them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_all();
  thread_.join();
  files_.Remove(BeatFile(beat_.worker.id));
}

void Heartbeat::SetTrials(std::vector<std::string> trials) {
  const std::lock_guard lock(mutex_);
  beat_.trials = std::move(trials);
}

std::string Heartbeat::fault() const {
  const std::lock_guard lock(mutex_);
  return fault_;
}

void Heartbeat::Beat() {
  std::string text, fault;
  {
    const std::lock_guard lock(mutex_);
    ++beat_.beat;
    text = WriteBeat(beat_);
  }
  try {
    files_.Replace(BeatFile(beat_.worker.id), text);
  } catch (const Error& error) {
    fault = error.what();
  }
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

void Heartbeat::Run() {
  const auto between = std::chrono::duration<double>(beat_s_);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, between, [this] { return ends_; })) return;
    }
    Beat();
  }
}

}  // namespace bitlaw
