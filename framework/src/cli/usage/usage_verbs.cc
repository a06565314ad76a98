#include "cli/usage/usage_verbs.h"

#include <memory>

#include "cli/common/output.h"
#include "cli/usage/declarations.h"
#include "cli/usage/value_checks.h"

namespace bitlaw {

void AddUsageVerbs(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion = app.add_subcommand("completion", "Print a script that completes verbs and options in a shell");
  completion->add_option("shell", *shell, "bash, zsh or fish")->required()->check(OneOf({"bash", "zsh", "fish"}));
  completion->footer(
      "For this session of bash: source <(bitlaw completion bash). An installed bitlaw has them where shells look.");
  completion->callback([&app, &session, shell] {
    session.action = [&app, shell] {
      Say(CompletionScript(DeclaredVerbs(app), *shell));
      return 0;
    };
  });
  CLI::App* manual = app.add_subcommand("manual", "Print the manual page, for man -l");
  manual->callback([&app, &session] {
    session.action = [&app] {
      Say(ManualPage(DeclaredVerbs(app)));
      return 0;
    };
  });
}

}  // namespace bitlaw
