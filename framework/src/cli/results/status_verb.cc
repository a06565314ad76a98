#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "cli/common/output.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "run/status/status_text.h"

namespace bitlaw {
namespace {

constexpr size_t kMostShown = 20;

struct StatusArguments {
  std::filesystem::path output;
  bool watch = false, json = false;
  double every_s = 2;
};

bool HasEnded(StudyState state) { return state == StudyState::kFinished || state == StudyState::kFailed; }

int ShowStatus(const StatusArguments& arguments) {
  StatusReader reader(arguments.output);
  const bool is_screen = arguments.watch && !arguments.json && ::isatty(STDOUT_FILENO) == 1;
  for (;;) {
    const StudyStatus status = reader.Read();
    std::string text;
    if (!arguments.json) {
      text = StatusText(status, arguments.output, kMostShown);
      if (is_screen) text = "\033[H\033[J" + text;
    } else if (arguments.watch) {  // One line each.
      text = StatusJson(status, arguments.output).CanonicalJson() + "\n";
    } else {
      text = PrettyJson(StatusJson(status, arguments.output));
    }
    Say(text);
    if (!arguments.watch || HasEnded(status.state)) return 0;
    std::fflush(stdout);
    std::this_thread::sleep_for(std::chrono::duration<double>(arguments.every_s));
  }
}

}  // namespace

void AddStatusVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<StatusArguments>();
  CLI::App* verb =
      app.add_subcommand("status", "Say how far a study is: trials done, in hand, failed and left, and the time");
  verb->add_option("folder", arguments->output, "The study's output folder")->required();
  verb->add_flag("--watch", arguments->watch, "Say it again and again until the study has ended");
  verb->add_option("--every", arguments->every_s, "Seconds between two looks of --watch")
      ->check(Number(0.1, 86400))
      ->capture_default_str();
  verb->add_flag("--json", arguments->json,
                 "As JSON, with every trial that is in hand or failed; with --watch a line each time");
  verb->footer(
      "Reads names and small files of the folder, on any machine that sees it, and writes nothing. How long trials and "
      "workers have been at it is told by the times of files.");
  verb->callback([arguments, &session] { session.action = [arguments] { return ShowStatus(*arguments); }; });
}

}  // namespace bitlaw
