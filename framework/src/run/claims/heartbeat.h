#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bitlaw/base/export.h"
#include "run/claims/liveness.h"

namespace bitlaw {

/// Beats for a worker from construction to destruction, on a thread that takes no signals: writes its file with a number
/// that rises. Destruction removes the file. A beat that cannot be written (a full disk) is tried again at the next one;
/// fault() says why.
class BITLAW_EXPORT Heartbeat {
 public:
  /// The first beat is written before it returns: Error(kIo) if it cannot be. `files` must outlive the object.
  Heartbeat(SharedFiles& files, WorkerIdentity worker, int64_t campaign, double beat_s);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  void SetTrials(std::vector<std::string> trials);  ///< In hand; told with the next beat.
  std::string fault() const;                        ///< "" while the last beat could be written.

 private:
  void Beat();
  void Run();

  SharedFiles& files_;
  double beat_s_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  WorkerBeat beat_;
  std::string fault_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace bitlaw
