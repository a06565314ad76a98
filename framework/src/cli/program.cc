#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <system_error>

#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/usage/exit_codes.h"
#include "cli/usage/suggestions.h"
#include "cli/usage/usage_verbs.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"

namespace {

using bitlaw::ExitCode;

// What a verb throws, as an exit code and a line on standard error.
int RunAction(const std::function<int()>& action) {
  using bitlaw::Complain;
  try {
    return action ? action() : 0;
  } catch (const bitlaw::Error& error) {
    Complain(std::string("bitlaw: ") + error.what() + "\n");
    return ExitCode(error.kind());
  } catch (const std::filesystem::filesystem_error& error) {
    std::error_code gone;
    const bool is_gone = std::filesystem::current_path(gone).empty();
    Complain(is_gone ? "bitlaw: the working directory cannot be found (" + gone.message() +
                           "): it was deleted or moved. Change to a folder that exists.\n"
                     : std::string("bitlaw: ") + error.what() + ".\n");
    return ExitCode(bitlaw::ErrorKind::kIo);
  } catch (const std::system_error& error) {
    // fmt says so when standard output takes no more; FinishOutput() tells it.
    if (std::ferror(stdout) != 0) return 0;
    Complain(std::string("bitlaw: internal error, please report it: ") + error.what() + "\n");
    return 1;
  } catch (const std::exception& error) {
    Complain(std::string("bitlaw: internal error, please report it: ") + error.what() + "\n");
    return 1;
  }
}

}  // namespace

/// The program: bin/bitlaw (cli/start/main.cc) loads this library and calls it with its own arguments.
extern "C" __attribute__((visibility("default"))) int BitlawProgram(int argc, char** argv) {
  using bitlaw::Session;
  bitlaw::OpenClosedStreams();
  ::signal(SIGPIPE, SIG_IGN);  // A log whose reader died is no reason to stop: FinishOutput() sees to standard output.
  CLI::App app{"bitlaw: which law does post-training quantization follow?", "bitlaw"};
  app.set_version_flag("--version", BITLAW_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(bitlaw::ExitCodesText());
  Session session;
  app.add_option("--plugin", session.plugin_paths, "Plugin library or folder to load beside the default folders");
  app.add_option("--configs", session.config_paths, "Folder with tasks/ and laws/ to search first");
  app.add_flag("--quiet", session.quiet, "No progress: results, warnings and errors alone");
  app.add_option_function<std::string>(
         "--colour,--color", [](const std::string& when) { bitlaw::UseColour(when); },
         "Colours of what is written to standard error: auto (where it is a terminal and NO_COLOR is not set), always "
         "or "
         "never")
      ->default_str("auto")
      ->check(bitlaw::OneOf({"auto", "always", "never"}));
  app.add_flag("--parse-only", session.parse_only, "Read the command line and do nothing")->group("");
  bitlaw::AddPluginsVerb(app, session);
  bitlaw::AddCheckVerb(app, session);
  bitlaw::AddPlanVerb(app, session);
  bitlaw::AddFitVerb(app, session);
  bitlaw::AddPredictVerb(app, session);
  bitlaw::AddRecommendVerb(app, session);
  bitlaw::AddReportVerb(app, session);
  bitlaw::AddStatusVerb(app, session);
  bitlaw::AddTasksVerb(app, session);
  bitlaw::AddSamplesVerb(app, session);
  bitlaw::AddStrataVerb(app, session);
  bitlaw::AddPairedVerb(app, session);
  bitlaw::AddImportVerb(app, session);
  bitlaw::AddRecordsVerb(app, session);
  bitlaw::AddInitVerb(app, session);
  bitlaw::AddReferenceVerb(app, session);
#ifdef BITLAW_HAS_TENSOR
  bitlaw::AddRunVerb(app, session);
  bitlaw::AddWorkerVerb(app, session);
  bitlaw::AddDoctorVerb(app, session);
  bitlaw::AddQuantizeVerb(app, session);
  bitlaw::AddEvaluateVerb(app, session);
  bitlaw::AddExportVerb(app, session);
  bitlaw::AddReproduceVerb(app, session);
#endif
  bitlaw::AddUsageVerbs(app, session);
  const auto parse_and_run = [&] {
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      // CLI11 reports --help and --version this way too, with 0.
      if (error.get_exit_code() == 0) return app.exit(error);
      bitlaw::Complain(bitlaw::ExplainRefusal(app, {argv + std::min(argc, 1), argv + argc}, error));
      return ExitCode(bitlaw::ErrorKind::kSpec);
    }
    return session.action && !session.parse_only ? session.action() : 0;
  };
  return bitlaw::FinishOutput(RunAction(parse_and_run));
}
