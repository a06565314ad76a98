#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "run/claims/shared_files.h"

namespace bitlaw {

/// A process that takes trials, told apart from every other one on any machine at any time.
struct BITLAW_EXPORT WorkerIdentity {
  std::string id;             ///< "<host>-<pid>-<8 hex digits>"
  std::string host;
  int64_t pid = 0;
  int64_t started = 0;        ///< In the clock ticks of /proc/<pid>/stat: a number that is used again starts later.
  std::string boot_id, pid_namespace;  ///< "" where the system does not tell; then nobody asks the system about it.
  std::string job;            ///< "Slurm job 4711, task 3"; "" if no batch system says.
  /// "process 4711 on node7 (Slurm job 12)"
  std::string Text() const;
};
/// Of this process; another id each time.
BITLAW_EXPORT WorkerIdentity ThisWorker();

/// What a worker's file workers/<id>.json says. It is replaced every few seconds, with another `beat`.
struct BITLAW_EXPORT WorkerBeat {
  WorkerIdentity worker;
  int64_t campaign = 0;
  int64_t beat = 0;
  std::vector<std::string> trials;  ///< In hand: ids.
};
inline constexpr const char* kWorkersFolder = "workers";
BITLAW_EXPORT std::string BeatFile(const std::string& worker);  ///< "workers/<id>.json"
BITLAW_EXPORT std::string WriteBeat(const WorkerBeat& beat);
/// nullopt for another text.
BITLAW_EXPORT std::optional<WorkerBeat> ReadBeat(const std::string& text);
/// Of every worker that has such a file.
BITLAW_EXPORT std::vector<WorkerBeat> ListWorkers(const SharedFiles& files);

enum class WorkerLife {
  kLives,   ///< Its beat was seen to change, or its process runs on this machine; not longer ago than the expiry.
  kUnsure,  ///< Not seen to change yet, and not watched for long enough.
  kDead,    ///< Did not change for the expiry, or its process, of this very machine, is gone.
};

/// Tells whether workers live, by watching their beats change: no clock of another machine and no time of a file is looked
/// at. A beat that cannot be read counts as one that did not change. Not thread-safe.
class BITLAW_EXPORT LifeWatch {
 public:
  using Seconds = std::function<double()>;  ///< A clock that never goes back.
  enum class Process { kUnknown, kRuns, kGone };
  using AskSystem = std::function<Process(const WorkerIdentity&)>;

  /// As the machine is: its steady clock, /proc.
  LifeWatch(const SharedFiles& files, double expiry_s);
  LifeWatch(const SharedFiles& files, double expiry_s, Seconds now, AskSystem ask);

  /// Looks, and remembers.
  WorkerLife Of(const std::string& worker);

 private:
  struct Seen {
    std::optional<WorkerBeat> last;
    double since = 0;  ///< When it changed, or was first looked for.
    bool changed = false;
  };
  const SharedFiles& files_;
  double expiry_s_;
  Seconds now_;
  AskSystem ask_;
  std::map<std::string, Seen> seen_;
};

/// The workers of a folder, by whether they live.
struct BITLAW_EXPORT WatchedWorkers {
  std::vector<WorkerBeat> live, dead;
};
/// Watches until it is known of each whether it lives: the expiry at most, and not at all for those of this machine.
/// `wait`: called while it is not, with a line for people once; returns after a moment, false: give up (nullopt).
BITLAW_EXPORT std::optional<WatchedWorkers> WatchWorkers(const SharedFiles& files, LifeWatch& watch,
                                                         const std::function<bool(const std::string& line)>& wait);
/// "process 4711 on node7, process 12 on node8"
BITLAW_EXPORT std::string WorkersText(const std::vector<WorkerBeat>& workers);

/// Whether a process of this very machine runs; kUnknown of any other one.
BITLAW_EXPORT LifeWatch::Process AskProc(const WorkerIdentity& worker);

}  // namespace bitlaw
