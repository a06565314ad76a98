#include "run/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>

namespace bitlaw {
namespace {

size_t TerminalWidth(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// A log that cannot be written (a full disk, a reader that went away) is no reason to end a study.
void Say(std::FILE* file, const std::string& text) {
  std::fputs(text.c_str(), file);
  std::fflush(file);
  std::clearerr(file);
}

}  // namespace

std::string ProgressLine(const LaunchProgress& progress, size_t width) {
  const double share = progress.tasks_total == 0 ? 1.0 : static_cast<double>(progress.tasks_done) / progress.tasks_total;
  std::string line = fmt::format("[{}/{}] {:.0f} %, {} left", progress.tasks_done, progress.tasks_total,
                                 std::floor(100 * share), DurationText(progress.remaining_s));
  if (progress.trials_failed > 0) line += fmt::format(" | {} failed", progress.trials_failed);
  if (!progress.current.empty()) line += " | " + progress.current;
  if (!progress.last_score.empty()) line += " | " + progress.last_score;
  if (line.size() > width) line.resize(width);
  return line;
}

std::string LogLine(const LaunchProgress& progress, const std::string& text, std::time_t now) {
  std::tm local{};
  ::localtime_r(&now, &local);
  char clock[32];
  std::strftime(clock, sizeof clock, "%Y-%m-%d %H:%M:%S", &local);
  if (progress.tasks_total == 0) return fmt::format("{} {}", clock, text);
  std::string where =
      fmt::format("{}/{}, {} left", progress.tasks_done, progress.tasks_total, DurationText(progress.remaining_s));
  if (progress.trials_failed > 0) where += fmt::format(", {} failed", progress.trials_failed);
  return fmt::format("{} [{}] {}", clock, where, text);
}

ProgressDisplay::ProgressDisplay(std::FILE* file, bool quiet)
    : file_(file), quiet_(quiet), terminal_(::isatty(::fileno(file)) == 1), last_line_(std::chrono::steady_clock::now()) {}

ProgressDisplay::~ProgressDisplay() { Clear(); }

LaunchSink ProgressDisplay::sink() {
  LaunchSink sink;
  if (quiet_) return sink;
  sink.tick = [this](const LaunchProgress& progress) { Tick(progress); };
  sink.event = [this](const LaunchProgress& progress, const std::string& line, bool detail) {
    Event(progress, line, detail);
  };
  return sink;
}

void ProgressDisplay::Clear() {
  if (line_shown_) Say(file_, "\r\033[K");
  line_shown_ = false;
}

void ProgressDisplay::Tick(const LaunchProgress& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (terminal_) {
    Say(file_, "\r\033[K" + ProgressLine(progress, TerminalWidth(::fileno(file_)) - 1));
    line_shown_ = true;
  } else if (now - last_line_ >= std::chrono::minutes(1)) {
    std::string line = progress.current;
    if (!progress.last_score.empty()) line += " | " + progress.last_score;
    Event(progress, line, false);
  }
}

void ProgressDisplay::Event(const LaunchProgress& progress, const std::string& line, bool detail) {
  const auto now = std::chrono::steady_clock::now();
  if (detail && (terminal_ || now - last_line_ < std::chrono::seconds(10))) return;
  Clear();
  Say(file_, (terminal_ ? line : LogLine(progress, line, std::time(nullptr))) + "\n");
  last_line_ = now;
}

}  // namespace bitlaw
