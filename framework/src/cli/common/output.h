#pragma once

#include <cmath>
#include <string>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// Exit codes: 0 done, 1 bug, 2-7 by ErrorKind (bitlaw/base/error.h), 8 a study that ended with failed trials.
inline int ExitCode(ErrorKind kind) { return 2 + static_cast<int>(kind); }
inline constexpr int kExitFailedTrials = 8;
inline constexpr int kExitNothingRecorded = 9;  ///< SIGUSR1 ended it before it had recorded anything of its trials.

/// A number of a JSON report: null for what is no number.
inline Value NumberOrNull(double value) { return std::isfinite(value) ? Value(value) : Value(); }

/// Writes to standard output, never throws: what goes wrong is told at the end, by FinishOutput().
void Say(const std::string& text);

/// Writes a table as "text", "markdown" or "csv" to standard output.
struct ReportTable;
void PrintReportTable(const ReportTable& table, const std::string& format);

/// Writes to standard error, never throws: a log that cannot be written is no reason to stop.
void Complain(const std::string& text);

/// "auto", "always" or "never": whether Complain() colours what its text begins with, "bitlaw: " and "warning: ". Auto,
/// as from the start: where standard error is a terminal other than a dumb one and NO_COLOR (no-color.org) is not set.
void UseColour(const std::string& when);

/// Opens /dev/null under each of the descriptors 0 to 2 that is closed: otherwise the next file or pipe that is opened
/// would be taken for standard output. Call it before anything is opened.
void OpenClosedStreams();

/// The exit code after everything was written: `code`, or that of a file error if standard output took less than it was
/// given, which is then told on standard error. A reader that went away ends the process by SIGPIPE, as it does other
/// programs.
int FinishOutput(int code);

}  // namespace bitlaw
