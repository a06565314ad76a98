#include <unistd.h>

#include "cli/verbs.h"
#include "run/worker.h"

namespace bitlaw {

void AddWorkerVerb(CLI::App& app, Session& session) {
  auto given = std::make_shared<WorkerOptions>();
  // Hidden: its input and output are a conversation with the launcher.
  CLI::App* verb = app.add_subcommand("worker", "")->group("");
  verb->add_option("--output", given->output)->required();
  verb->add_option("--threads", given->threads);
  verb->add_option("--device", given->device);
  verb->add_flag("--keep-codes", given->keep_codes);
  verb->callback([&session, given] {
    session.action = [&session, given] {
      // Standard output is the launcher's; what a library prints belongs on stderr.
      given->out = ::dup(STDOUT_FILENO);
      ::dup2(STDERR_FILENO, STDOUT_FILENO);
      const ProcessState state;  // Before the plugins are opened.
      return ServeTrials(session.plugins(), state, *given);
    };
  });
}

}  // namespace bitlaw
