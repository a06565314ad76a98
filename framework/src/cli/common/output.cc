#include "cli/common/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>

namespace bitlaw {

void Say(const std::string& text) { std::fputs(text.c_str(), stdout); }

void Complain(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::clearerr(stderr);
}

void OpenClosedStreams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    const int opened = ::open("/dev/null", O_RDWR);  // The lowest free number: this one.
    if (opened >= 0 && opened != fd) ::close(opened);
  }
}

int FinishOutput(int code) {
  std::cout.flush();
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || failed_before;
  if (!failed) return code;
  const int reason = errno;
  if (reason == EPIPE) {
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
  }
  Complain(fmt::format("bitlaw: standard output cannot be written{}. What it should hold is cut off.\n",
                       reason == 0 ? std::string() : std::string(": ") + std::strerror(reason)));
  return code == 0 ? ExitCode(ErrorKind::kIo) : code;
}

}  // namespace bitlaw
