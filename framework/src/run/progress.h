#pragma once

#include <cstdio>
#include <chrono>
#include <string>

#include "bitlaw/base/export.h"
#include "run/launcher.h"

namespace bitlaw {

/// "40 s", "12 min", "3.5 h", "2.1 d"; "?" for NaN.
BITLAW_EXPORT std::string DurationText(double seconds);

/// "[12/126] 10 %, 3 min left | SmolLM2 gptq bits=3: evaluate arc_easy | arc_easy acc 0.42 +- 0.02 | 1 failed", cut to
/// `width` columns.
BITLAW_EXPORT std::string ProgressLine(const LaunchProgress& progress, size_t width);

/// Shows a launch on `file`: on a terminal one line that is rewritten, with ended trials and warnings above it; elsewhere
/// plain lines: those, a score every ten seconds at most, and the progress after a minute of silence.
class BITLAW_EXPORT ProgressDisplay {
 public:
  ProgressDisplay(std::FILE* file, bool quiet);
  ~ProgressDisplay();  ///< Ends the rewritten line.
  LaunchSink sink();

 private:
  void Tick(const LaunchProgress& progress);
  void Event(const std::string& line, bool detail);
  void Clear();

  std::FILE* file_;
  bool quiet_, terminal_;
  bool line_shown_ = false;
  std::chrono::steady_clock::time_point last_line_;
};

}  // namespace bitlaw
