#include <unistd.h>

#include "cli/verbs.h"
#include "run/worker.h"
#include "spec/study_spec.h"

namespace bitlaw {

void AddWorkerVerb(CLI::App& app, Session& session) {
  struct WorkerVerb {
    std::string spec;
    WorkerOptions options;
  };
  auto given = std::make_shared<WorkerVerb>();
  // Hidden: its input and output are a conversation with the launcher.
  CLI::App* verb = app.add_subcommand("worker", "")->group("");
  verb->add_option("spec", given->spec)->required();
  verb->add_option("--output", given->options.output)->required();
  verb->add_option("--threads", given->options.threads);
  verb->callback([&session, given] {
    session.action = [&session, given] {
      // Standard output is the launcher's; what a library prints belongs on stderr.
      given->options.out = ::dup(STDOUT_FILENO);
      ::dup2(STDERR_FILENO, STDOUT_FILENO);
      const ProcessState state;  // Before the plugins are opened.
      const StudySpec study = ReadStudy(given->spec, session.plugins(), session.SearchFolders());
      const Plan plan = MakePlan(study, session.plugins());
      return ServeTrials(plan, session.plugins(), state, given->options);
    };
  });
}

}  // namespace bitlaw
