#include "cli/usage/exit_codes.h"

#include <fmt/format.h>

#include "cli/common/output.h"

namespace bitlaw {

const std::vector<ExitMeaning>& ExitMeanings() {
  static const std::vector<ExitMeaning> meanings = {
      {0, "done"},
      {1, "a bug in bitlaw or a plugin"},
      {ExitCode(ErrorKind::kSpec), "the study, another file of settings or the command line is wrong"},
      {ExitCode(ErrorKind::kUnsupported), "something is not supported; of doctor --strict: a problem was found"},
      {ExitCode(ErrorKind::kPlugin), "a plugin cannot be loaded, or broke its contract"},
      {ExitCode(ErrorKind::kIo), "a file or folder is missing, broken or cannot be written"},
      {ExitCode(ErrorKind::kNumerical),
       "the arithmetic has no answer; of fit: no law could be fitted, and the report says why"},
      {ExitCode(ErrorKind::kBudget), "memory or another budget does not suffice"},
      {kExitFailedTrials, "the study ended, but trials failed"},
      {kExitNothingRecorded, "SIGUSR1 came before anything was recorded of the trials in hand: they need more time"},
      {130, "stopped by Ctrl-C; 143 by SIGTERM, 138 by SIGUSR1, 129 by SIGHUP: the same command goes on"},
  };
  return meanings;
}

std::string ExitCodesText() {
  std::string text = "Exit codes:\n";
  for (const ExitMeaning& one : ExitMeanings()) text += fmt::format("  {:<4} {}\n", one.code, one.meaning);
  return text;
}

}  // namespace bitlaw
