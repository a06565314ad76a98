#include <algorithm>
#include <memory>
#include <string>

#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/plugins/plugin_project.h"
#include "cli/plugins/plugin_verbs.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct NewArguments {
  std::string kind, name, output;
};

// The prefix that this program is installed in; empty where it runs from a build tree, which has no CMake package.
fs::path InstalledPrefix() {
  const fs::path prefix = Session::SharedFolder().parent_path().parent_path();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(prefix, ignored)) {
    if (!entry.is_directory() || !entry.path().filename().string().starts_with("lib")) continue;
    if (fs::is_directory(entry.path() / "cmake" / "bitlaw")) return prefix;
    for (const auto& inner : fs::directory_iterator(entry.path(), ignored)) {  // lib/x86_64-linux-gnu
      if (fs::is_directory(inner.path() / "cmake" / "bitlaw")) return prefix;
    }
  }
  return {};
}

std::string NextSteps(const NewArguments& arguments, const std::vector<fs::path>& files) {
  const fs::path prefix = InstalledPrefix();
  const std::string program = prefix.empty() ? "PREFIX/bin/bitlaw" : (prefix / "bin" / "bitlaw").string();
  std::string text;
  if (prefix.empty()) {
    text += "This bitlaw runs from its build tree. Install it to build plugins: cmake --install " +
            Session::SharedFolder().parent_path().parent_path().string() + " --prefix PREFIX\n";
  }
  text += "Build it, test it and use it:\n\n  cd " + arguments.output +
          "\n  cmake -S . -B build -DCMAKE_PREFIX_PATH=" + (prefix.empty() ? "PREFIX" : prefix.string()) +
          "\n  cmake --build build && ctest --test-dir build\n  " + program + " --plugin build plugins test " +
          arguments.kind + "/" + arguments.name + "\n";
  if (std::find(files.begin(), files.end(), "study.yaml") != files.end()) {
    text += "  " + program + " --plugin build run study.yaml\n  " + program + " --plugin build report results\n";
  } else {
    text += "  sh export.sh " + program + "\n";
  }
  return text;
}

int New(Session& session, const NewArguments& given) {
  NewArguments arguments = given;
  const ComponentKind kind = ParseComponentKind(arguments.kind);
  if (arguments.output.empty()) arguments.output = arguments.name;
  std::vector<std::string> faults;  // Of other plugins: no reason not to begin one.
  for (const Component* component : session.plugins(&faults).components()) {
    if (component->kind != kind || component->info.name != arguments.name) continue;
    throw Error(ErrorKind::kSpec, component->full_name() + " is there already, of plugin " + component->plugin_id +
                                      " (" + component->plugin_path + "). Choose another name.");
  }
  const std::vector<fs::path> files =
      WritePluginProject(Session::SharedFolder(), kind, arguments.name, arguments.output);
  std::string text = "Wrote " + arguments.output + ":";
  for (const fs::path& file : files) text += " " + file.string();
  Say(text + "\n" + NextSteps(arguments, files));
  return 0;
}

}  // namespace

void AddPluginsNewVerb(CLI::App& plugins, Session& session) {
  CLI::App* verb = plugins.add_subcommand(
      "new",
      "Write the project of a new plugin: sources, a test with the kind's conformance kit, a study that uses it");
  auto arguments = std::make_shared<NewArguments>();
  verb->add_option("kind", arguments->kind, "model, quantizer, corpus, task, law, exporter, grid or transform")
      ->required();
  verb->add_option("name", arguments->name, "Of component and library: [a-z][a-z0-9_]*")->required();
  verb->add_option("--output", arguments->output, "Folder to make; default: ./NAME");
  verb->callback(
      [&session, arguments] { session.action = [&session, arguments] { return New(session, *arguments); }; });
}

}  // namespace bitlaw
