#include "cli/common/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>

#include "report/document.h"

namespace bitlaw {

void Say(const std::string& text) { std::fputs(text.c_str(), stdout); }

void PrintReportTable(const ReportTable& table, const std::string& format) {
  Say(format == "csv" ? RenderCsv(table) : format == "markdown" ? RenderMarkdown(table) : RenderText(table));
}

namespace {

enum class Colour { kAuto, kAlways, kNever };
Colour colour = Colour::kAuto;

bool IsColoured() {
  if (colour != Colour::kAuto) return colour == Colour::kAlways;
  const char *none = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
  if ((none != nullptr && *none != '\0') || (terminal != nullptr && std::string_view(terminal) == "dumb")) return false;
  return ::isatty(STDERR_FILENO) == 1;
}

// The word that says what a line is: red for an error, yellow for a warning.
std::string Coloured(const std::string& text) {
  static constexpr struct {
    std::string_view word;
    const char* code;
  } kKinds[] = {{"bitlaw: ", "\x1b[1;31m"}, {"bitlaw ", "\x1b[1;31m"}, {"warning: ", "\x1b[1;33m"}};
  for (const auto& kind : kKinds) {
    if (!text.starts_with(kind.word)) continue;
    const size_t end = text.find(':');
    if (end != std::string::npos) return kind.code + text.substr(0, end + 1) + "\x1b[0m" + text.substr(end + 1);
  }
  return text;
}

// The reader of standard output, if it is a pipe, has closed it.
bool ReaderIsGone() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

}  // namespace

void UseColour(const std::string& when) {
  colour = when == "always" ? Colour::kAlways : when == "never" ? Colour::kNever : Colour::kAuto;
}

void Complain(const std::string& text) {
  std::fputs((IsColoured() ? Coloured(text) : text).c_str(), stderr);
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
  // What failed earlier left its reason behind.
  if (reason == EPIPE || (reason == 0 && ReaderIsGone())) {
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
  }
  Complain(fmt::format("bitlaw: standard output cannot be written{}. What it should hold is cut off.\n",
                       reason == 0 ? std::string() : std::string(": ") + std::strerror(reason)));
  return code == 0 ? ExitCode(ErrorKind::kIo) : code;
}

}  // namespace bitlaw
