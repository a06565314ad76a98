#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/plugins/kit_arguments.h"
#include "cli/plugins/option_arguments.h"
#include "cli/plugins/plugin_verbs.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr int kExitPluginFault = 4;

struct TestArguments {
  std::string what, options_file, model;
  std::vector<std::string> options, ranges;
};

// The components that are meant: those of a library, of a plugin's id, or one by its name.
std::vector<const Component*> Chosen(PluginHost& host, const std::string& what) {
  std::vector<const Component*> chosen;
  const auto choose = [&](const auto& is_meant) {
    for (const Component* component : host.components()) {
      if (is_meant(*component)) chosen.push_back(component);
    }
    return !chosen.empty();
  };
  if (what.ends_with(".so")) {
    host.LoadFile(what);
    const fs::path library = fs::canonical(what);
    choose([&](const Component& one) { return fs::weakly_canonical(one.plugin_path) == library; });
    return chosen;
  }
  if (const size_t slash = what.find('/'); slash != std::string::npos) {
    return {&host.Find(ParseComponentKind(what.substr(0, slash)), what.substr(slash + 1))};
  }
  if (choose([&](const Component& one) { return one.plugin_id == what; })) return chosen;
  choose([&](const Component& one) { return one.info.name == what; });
  std::vector<std::string> names;
  for (const Component* component : chosen) names.push_back(component->full_name());
  if (names.size() > 1) {
    throw Error(ErrorKind::kSpec,
                "'" + what + "' is the name of several components. Write one: " + JoinNames(names) + ".");
  }
  for (const Component* component : host.components())
    names.push_back(component->full_name()), names.push_back(component->info.name);
  if (chosen.empty()) {
    throw Error(ErrorKind::kSpec,
                "there is no component or plugin '" + what + "'." + DidYouMean(what, names) +
                    " Name a library (build/mine.so), KIND/NAME or a plugin's id; --plugin loads more.");
  }
  return chosen;
}

// NAME=LOW:HIGH
std::map<std::string, std::pair<double, double>> RangesFrom(const std::vector<std::string>& arguments) {
  std::map<std::string, std::pair<double, double>> ranges;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.rfind('='), colon = argument.find(':', equals == std::string::npos ? 0 : equals);
    double low = NAN, high = NAN;
    try {
      if (equals != std::string::npos && equals > 0 && colon != std::string::npos) {
        size_t low_end = 0, high_end = 0;
        const std::string from = argument.substr(equals + 1, colon - equals - 1), to = argument.substr(colon + 1);
        low = std::stod(from, &low_end), high = std::stod(to, &high_end);
        if (low_end != from.size() || high_end != to.size()) low = NAN;
      }
    } catch (const std::logic_error&) {  // What std::stod() throws for no number.
      low = NAN;
    }
    if (!(low < high) || !std::isfinite(low) || !std::isfinite(high)) {
      throw Error(ErrorKind::kSpec, "--range " + argument + ": a range is given as NAME=LOW:HIGH, e.g. N=1e8:1e10.");
    }
    ranges[argument.substr(0, equals)] = {low, high};
  }
  return ranges;
}

// The options of --options, a map in which a task file's `type` is no option, and over them those of --option.
Value GivenOptions(const TestArguments& arguments, const Component& component) {
  Value given(Value::Map{});
  if (!arguments.options_file.empty()) {
    const Value read = ReadYamlFile(arguments.options_file);
    if (!read.is_map()) throw Error(ErrorKind::kSpec, arguments.options_file + ": must hold a map of options.");
    for (const auto& [key, value] : read.AsMap()) {
      if (key != "type" || component.schema.Find("type") != nullptr) given.Set(key, value);
    }
  }
  const Value more = OptionsFromArguments(arguments.options, "--option");
  for (const auto& [key, value] : more.AsMap()) given.Set(key, value);
  return given;
}

int Test(Session& session, const TestArguments& arguments) {
  PluginHost& host = session.plugins();
  KitArguments kit;
  kit.model = arguments.model;
  kit.lab_model = Session::SharedFolder() / "examples" / "knowledge-lab" / "models" / "lab-qwen3-123k";
  kit.ranges = RangesFrom(arguments.ranges);
  kit.data_paths = {fs::current_path().string()};
  if (!arguments.options_file.empty()) {
    kit.data_paths.insert(kit.data_paths.begin(), fs::absolute(arguments.options_file).parent_path().string());
  }
  bool has_faults = false;
  for (const Component* component : Chosen(host, arguments.what)) {
    kit.options = component->schema.Resolve(GivenOptions(arguments, *component), component->full_name());
    const KitOutcome outcome = RunKits(host, *component, kit);
    if (outcome.faults.empty()) {
      Say(component->full_name() + ": keeps the promises of its kind.\n");
    } else {
      has_faults = true;
      Say(component->full_name() + ": " + Counted(outcome.faults.size(), "fault") + "\n");
    }
    for (const std::string& fault : outcome.faults) Say("  " + fault + "\n");
    for (const std::string& kit_run : outcome.ran) Say("  ran      " + kit_run + "\n");
    for (const std::string& kit_left : outcome.left_out) Say("  not run  " + kit_left + "\n");
  }
  return has_faults ? kExitPluginFault : 0;
}

}  // namespace

void AddPluginsTestVerb(CLI::App& plugins, Session& session) {
  CLI::App* verb = plugins.add_subcommand(
      "test",
      "Run the conformance kit of its kind on a component, or on all of a library; exit code 4 if it has faults");
  auto arguments = std::make_shared<TestArguments>();
  verb->add_option("what", arguments->what,
                   "Library (build/mine.so), KIND/NAME, NAME where there is one, or a plugin's id")
      ->required();
  verb->add_option("--option", arguments->options, "KEY=VALUE of the component; repeatable")->type_name("KEY=VALUE");
  verb->add_option("--options", arguments->options_file, "File with the component's options, such as a task file");
  verb->add_option(
      "--model", arguments->model,
      "Checkpoint that a model backend opens, an exporter writes, or a transform changes; default: a small one");
  verb->add_option("--range", arguments->ranges,
                   "NAME=LOW:HIGH: where a law's parameter or covariate is tried; repeatable")
      ->type_name("NAME=LOW:HIGH");
  verb->callback(
      [&session, arguments] { session.action = [&session, arguments] { return Test(session, *arguments); }; });
}

}  // namespace bitlaw
