#include "run/machine/output_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "bitlaw/base/error.h"
#include "run/machine/machine.h"

namespace bitlaw {

OutputLock::OutputLock(const std::filesystem::path& output) : output_(output) {
  std::error_code error;
  std::filesystem::create_directories(output, error);
  if (error) throw Error(ErrorKind::kIo, fmt::format("{}: the output folder cannot be made: {}.", output.string(), error.message()));
  const std::string path = (output / "lock").string();
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    const std::string reason = std::strerror(errno);
    throw Error(ErrorKind::kIo, fmt::format("{}: the lock file cannot be opened: {}.", path, reason));
  }
}

bool OutputLock::Take(const std::function<bool(const std::string& line)>& wait) {
  const std::string path = (output_ / "lock").string();
  // The kernel drops the lock with the process; the text in the file is only for people.
  for (bool told = false; ::flock(fd_, LOCK_EX | LOCK_NB) != 0; told = true) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      throw Error(ErrorKind::kIo, fmt::format("{}: the lock cannot be taken: {}.", path, std::strerror(errno)));
    }
    char text[256] = {};
    const ssize_t got = told ? 0 : ::pread(fd_, text, sizeof text - 1, 0);
    std::string holder(text, got > 0 ? static_cast<size_t>(got) : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    if (holder.empty()) holder = "(unknown)";
    if (!wait(told ? "" : fmt::format("waits for another run that begins or ends in {}: {}.", output_.string(), holder))) return false;
  }
  is_held_ = true;
  utsname system{};
  ::uname(&system);
  const std::string text = fmt::format("process {} on {} since {}\n", ::getpid(), system.nodename, UtcNow());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    const std::string reason = std::strerror(errno);
    Release();
    throw Error(ErrorKind::kIo, fmt::format("{}: the lock file cannot be written: {}.", path, reason));
  }
  return true;
}

void OutputLock::Release() {
  if (!is_held_) return;
  // The file stays: unlinking it would let two processes lock two files of one name.
  if (::ftruncate(fd_, 0) != 0) errno = 0;
  ::flock(fd_, LOCK_UN);
  is_held_ = false;
}

void OutputLock::CheckHeld() const {
  struct stat held{}, named{};
  const bool same = ::fstat(fd_, &held) == 0 && ::stat((output_ / "lock").c_str(), &named) == 0 &&
                    held.st_ino == named.st_ino && held.st_dev == named.st_dev;
  if (same) return;
  throw Error(ErrorKind::kIo, fmt::format("{}: the output folder was deleted, moved or replaced while the study ran. What "
                                          "was recorded in it went with it. Run again, and leave the folder alone.",
                                          output_.string()));
}

OutputLock::~OutputLock() {
  if (fd_ < 0) return;
  Release();
  ::close(fd_);
}

}  // namespace bitlaw
