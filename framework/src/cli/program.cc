#include <cstdio>
#include <exception>

#include "bitlaw/base/error.h"
#include "cli/verbs.h"

namespace {

// Exit codes: 0 done, 1 bug, 2-7 by ErrorKind (bitlaw/base/error.h), 8 a study that ended with failed trials.
int ExitCode(bitlaw::ErrorKind kind) { return 2 + static_cast<int>(kind); }

}  // namespace

/// The program: bin/bitlaw (cli/start/main.cc) loads this library and calls it with its own arguments.
extern "C" __attribute__((visibility("default"))) int BitlawProgram(int argc, char** argv) {
  using bitlaw::Session;
  CLI::App app{"bitlaw: which law does post-training quantization follow?", "bitlaw"};
  app.set_version_flag("--version", BITLAW_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(
      "Exit codes: 0 done; 1 bug in bitlaw or a plugin; 2 spec or command line; 3 unsupported; 4 plugin; 5 file; "
      "6 numerical; 7 budget; 8 the study ended, but trials failed.");
  Session session;
  app.add_option("--plugin", session.plugin_paths, "Plugin library or folder to load beside the default folders");
  app.add_option("--configs", session.config_paths, "Folder with tasks/ and laws/ to search first");
  bitlaw::AddPluginsVerb(app, session);
  bitlaw::AddCheckVerb(app, session);
  bitlaw::AddPlanVerb(app, session);
  bitlaw::AddFitVerb(app, session);
  bitlaw::AddReportVerb(app, session);
  bitlaw::AddTasksVerb(app, session);
  bitlaw::AddSamplesVerb(app, session);
  bitlaw::AddStrataVerb(app, session);
  bitlaw::AddPairedVerb(app, session);
#ifdef BITLAW_HAS_TENSOR
  bitlaw::AddRunVerb(app, session);
  bitlaw::AddWorkerVerb(app, session);
  bitlaw::AddDoctorVerb(app, session);
  bitlaw::AddQuantizeVerb(app, session);
  bitlaw::AddEvaluateVerb(app, session);
#endif
  try {
    app.parse(argc, argv);
    return session.action ? session.action() : 0;
  } catch (const CLI::ParseError& error) {
    // CLI11 returns 0 for --help and --version, which it reports this way too.
    return app.exit(error) == 0 ? 0 : ExitCode(bitlaw::ErrorKind::kSpec);
  } catch (const bitlaw::Error& error) {
    std::fprintf(stderr, "bitlaw: %s\n", error.what());
    return ExitCode(error.kind());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bitlaw: internal error, please report it: %s\n", error.what());
    return 1;
  }
}
