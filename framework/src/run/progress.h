#pragma once

#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>

#include "bitlaw/base/export.h"
#include "run/launcher.h"
#include "run/status/duration_text.h"

namespace bitlaw {

/// "[12/126] 10 %, 3 min left | SmolLM2 gptq bits=3: evaluate arc_easy | arc_easy acc 0.42 +- 0.02 | 1 failed", cut to
/// `width` columns.
BITLAW_EXPORT std::string ProgressLine(const LaunchProgress& progress, size_t width);

/// "2026-11-28 14:03:12 [12/126, 3 min left] text": a line of a log, at local time; without tasks no brackets.
BITLAW_EXPORT std::string LogLine(const LaunchProgress& progress, const std::string& text, std::time_t now);

/// Shows a launch on `file`: on a terminal one line that is rewritten, with ended trials and warnings above it;
/// elsewhere lines of a log: those, a score every ten seconds at most, and the progress after a minute of silence.
class BITLAW_EXPORT ProgressDisplay {
 public:
  ProgressDisplay(std::FILE* file, bool quiet);
  ~ProgressDisplay();  ///< Ends the rewritten line.
  LaunchSink sink();

 private:
  void Tick(const LaunchProgress& progress);
  void Event(const LaunchProgress& progress, const std::string& line, bool detail);
  void Clear();

  std::FILE* file_;
  bool quiet_, terminal_;
  bool line_shown_ = false;
  std::chrono::steady_clock::time_point last_line_;
};

}  // namespace bitlaw
