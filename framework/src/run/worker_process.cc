#include "run/worker_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

constexpr size_t kTailBytes = 4096;
constexpr size_t kMostBytes = 1 << 20;  // Of one read, and of one line: whoever floods a pipe must not keep the others waiting.

void CloseFd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

// What the child does between fork and exec: calls that are safe after a fork of a threaded process, nothing else.
[[noreturn]] void Become(char* const* argv, int in, int out, int err, pid_t launcher) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The launcher may have died before the line above; then nobody would ever kill us.
  if (::getppid() != launcher) ::_exit(127);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  // A batch system signals every process of a job. What becomes of the trial is its launcher's to say, which ends us
  // with SIGKILL; a trial that SIGTERM ended would count as failed.
  for (const int signal : {SIGHUP, SIGUSR1, SIGINT, SIGTERM}) ::signal(signal, SIG_IGN);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(argv[0], argv);
  ::_exit(127);
}

ssize_t ReadSome(int fd, char* buffer, size_t size) {
  ssize_t got;
  do {
    got = ::read(fd, buffer, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

std::string DescribeSignal(int signal) {
  const char* name = ::sigabbrev_np(signal);
  std::string text = name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
  switch (signal) {
    case SIGSEGV: return text + " (it touched memory that is not there)";
    case SIGBUS: return text + " (a mapped file was cut off, or the disk failed)";
    case SIGABRT: return text + " (it gave up: an uncaught exception or a failed assertion)";
    case SIGFPE: return text + " (an integer was divided by zero)";
    case SIGILL: return text + " (the processor lacks an instruction)";
    case SIGKILL: return text + " (most often the system's memory ran out: see dmesg)";
    default: return text;
  }
}

WorkerProcess::WorkerProcess(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  const bool piped = ::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0 && ::pipe2(err, O_CLOEXEC) == 0;
  const pid_t launcher = ::getpid();
  if (piped) pid_ = ::fork();
  if (piped && pid_ == 0) Become(argv.data(), in[0], out[1], err[1], launcher);
  const int reason = errno;
  // Both sides of the fork set the group: whoever comes second finds it done.
  if (pid_ > 0) ::setpgid(pid_, pid_);
  for (int* fd : {&in[0], &out[1], &err[1]}) CloseFd(*fd);
  if (pid_ < 0) {
    for (int* fd : {&in[1], &out[0], &err[0]}) CloseFd(*fd);
    throw Error(ErrorKind::kIo, fmt::format("a worker process cannot be started: {}.", std::strerror(reason)));
  }
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
  ::fcntl(out_, F_SETFL, O_NONBLOCK);
  ::fcntl(err_, F_SETFL, O_NONBLOCK);
}

WorkerProcess::~WorkerProcess() {
  if (pid_ > 0) {
    Kill();
    Reap();
  }
  for (int* fd : {&in_, &out_, &err_}) CloseFd(*fd);
}

void WorkerProcess::Send(const std::string& line) {
  const std::string bytes = line + "\n";
  size_t done = 0;
  while (in_ >= 0 && done < bytes.size()) {
    const ssize_t wrote = ::write(in_, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return CloseFd(in_);
    done += static_cast<size_t>(wrote);
  }
}

WorkerProcess::Life WorkerProcess::life() const {
  if (pid_ <= 0) return Life::kEnded;
  siginfo_t state{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) != 0) return Life::kEnded;
  if (state.si_pid == 0) return Life::kRuns;
  return state.si_code == CLD_STOPPED || state.si_code == CLD_TRAPPED ? Life::kStopped : Life::kEnded;
}

bool WorkerProcess::ReadOutput(std::vector<WorkerMessage>& messages, bool* more) {
  char buffer[1 << 14];
  size_t total = 0;
  while (out_ >= 0 && total < kMostBytes) {
    const ssize_t got = ReadSome(out_, buffer, sizeof buffer);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {
      CloseFd(out_);
      break;
    }
    total += static_cast<size_t>(got);
    pending_.append(buffer, static_cast<size_t>(got));
  }
  size_t start = 0;
  for (size_t end; (end = pending_.find('\n', start)) != std::string::npos; start = end + 1) {
    if (!skips_line_) {
      if (auto message = FromLine(std::string_view(pending_).substr(start, end - start))) {
        messages.push_back(std::move(*message));
      }
    }
    skips_line_ = false;
  }
  pending_.erase(0, start);
  if (pending_.size() > kMostBytes) {
    skips_line_ = true;
    pending_.clear();
  }
  if (more != nullptr) *more = total > 0;
  return out_ >= 0;
}

void WorkerProcess::ReadErrors() {
  char buffer[1 << 12];
  size_t total = 0;
  while (err_ >= 0 && total < kMostBytes) {
    const ssize_t got = ReadSome(err_, buffer, sizeof buffer);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {
      CloseFd(err_);
      break;
    }
    total += static_cast<size_t>(got);
    stderr_tail_.append(buffer, static_cast<size_t>(got));
    if (stderr_tail_.size() > kTailBytes) stderr_tail_.erase(0, stderr_tail_.size() - kTailBytes);
  }
}

void WorkerProcess::CloseInput() { CloseFd(in_); }

void WorkerProcess::Kill() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
}

std::string WorkerProcess::Reap() {
  if (pid_ <= 0) return "";
  // Until it is reaped the number of its group belongs to nobody else.
  siginfo_t end{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) ended_by_ = WTERMSIG(status);
  if (WIFSIGNALED(status)) return DescribeSignal(ended_by_);
  return WEXITSTATUS(status) == 0 ? "" : fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace bitlaw
