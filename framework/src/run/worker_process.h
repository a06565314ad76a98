#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "run/worker_message.h"

namespace bitlaw {

/// A worker process as its launcher sees it: lines in, messages out, the tail of what it writes to stderr.
///
/// The child leads a process group of its own, so that Ctrl-C reaches the launcher alone, and the kernel kills it when
/// the launcher dies. Create and use it from the thread that stays alive: the kernel watches the creating thread.
class BITLAW_EXPORT WorkerProcess {
 public:
  /// Starts `command` (argv). Error(kIo) if it cannot be started.
  explicit WorkerProcess(const std::vector<std::string>& command);
  ~WorkerProcess();  ///< Kills and reaps.
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  int output() const { return out_; }  ///< Poll these two for reading; -1 once closed.
  int errors() const { return err_; }
  pid_t pid() const { return pid_; }

  enum class Life { kRuns, kStopped, kEnded };
  /// Asks the kernel: a pipe may outlive its process, in the hands of a child, and a process its pipe.
  Life life() const;

  /// Sends one line. A worker that is gone is noticed when its output ends.
  void Send(const std::string& line);

  /// Reads what is there, a megabyte at most, and appends whole messages; lines longer than that are no messages. False
  /// once the worker has closed its output. `more`: whether anything was read.
  bool ReadOutput(std::vector<WorkerMessage>& messages, bool* more = nullptr);
  /// Reads what is there, a megabyte at most; what the last 4 kB were is in stderr_tail().
  void ReadErrors();
  const std::string& stderr_tail() const { return stderr_tail_; }

  /// No more trials: the worker ends by itself.
  void CloseInput();
  void Kill();  ///< With its children.
  /// Waits for the end, kills children that are left, and says how it came: "" after exit code 0, else "exit code 3", "SIGSEGV (segmentation fault)".
  std::string Reap();
  int ended_by() const { return ended_by_; }  ///< After Reap(): the signal; 0: it left.

 private:
  pid_t pid_ = -1;
  int ended_by_ = 0;
  int in_ = -1, out_ = -1, err_ = -1;
  std::string pending_, stderr_tail_;
  bool skips_line_ = false;  ///< What is read belongs to a line that was too long.
};

/// "SIGKILL" and what usually sends it.
BITLAW_EXPORT std::string DescribeSignal(int signal);

}  // namespace bitlaw
