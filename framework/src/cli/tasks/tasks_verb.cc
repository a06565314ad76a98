#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>

#include "base/text/counted.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/task/task_data.h"
#include "cli/common/output.h"
#include "cli/tasks/tasks_parts.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "report/document.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr int kExitFile = 5;

struct TasksArguments {
  std::vector<std::string> tasks, data;
  std::string format = "text";
};

// Task files of the configuration folders, by name.
struct LoadedTask {
  TaskSpec spec;
  std::unique_ptr<Task> task;
};

LoadedTask Load(Session& session, const std::string& name, const std::vector<std::string>& data) {
  const PluginHost& host = session.plugins();
  TaskSpec spec = ReadTask(name, Value(), host, session.SearchFolders(), data);
  auto task = host.MakeTask(spec.component, spec.options, spec.context);
  return {std::move(spec), std::move(task)};
}

int List(Session& session, const TasksArguments& arguments) {
  ReportTable table;
  table.name = "tasks";
  table.header = {"task", "stratum", "kind", "shots", "metrics", "matches"};
  for (const std::string& name : arguments.tasks.empty() ? session.NamesOfFiles("tasks") : arguments.tasks) {
    const LoadedTask loaded = Load(session, name, {});
    const TaskCard& card = loaded.task->card();
    std::vector<std::string> metrics;
    for (const MetricCard& metric : card.metrics) metrics.push_back(metric.name);
    table.rows.push_back({card.name, card.stratum.empty() ? "-" : card.stratum, loaded.spec.component,
                          Whole(static_cast<double>(card.few_shot)), JoinNames(metrics),
                          loaded.spec.options.String("matches")});
  }
  PrintReportTable(table, arguments.format);
  return 0;
}

// What a data file turned out to be.
struct FileState {
  std::string file, state, detail;
  bool is_bad = false;      // Missing, or another than the task names.
  bool is_missing = false;
};

// What the task says of a file that is missing, or where it was looked for.
std::string HowToGet(const LoadedTask& loaded, const Value& name) {
  const std::string get = loaded.spec.options.String("get");
  if (!get.empty()) return get;
  std::vector<std::string> places;
  for (const fs::path& place : DataPlaces(name, loaded.spec.context)) places.push_back(place.string());
  return "looked for: " + JoinNames(places);
}

// "2 tasks lack data; 1 task has data that do not fit it"
std::string WhatIsWrong(size_t lacking, size_t unfit) {
  std::string text;
  if (lacking > 0) text = Counted(lacking, "task lacks data", "tasks lack data");
  if (unfit == 0) return text;
  if (lacking > 0) text += "; ";
  return text + Counted(unfit, "task has data that do not fit it", "tasks have data that do not fit them");
}

// The files of `holder`'s option data, or a line for those that are missing.
std::vector<FileState> CheckFiles(const Options& holder, const LoadedTask& loaded,
                                  const std::map<std::string, std::string>& known) {
  std::vector<FileState> states;
  for (const Value& name : holder.Raw("data").AsList()) {
    const Options one(Value(Value::Map{{"data", Value::List{name}}, {"sha256", Value()}}));
    std::vector<DataFile> files;
    try {
      files = FindDataFiles(one, loaded.spec.context, "");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kIo) throw;
      states.push_back({name.AsString(), "missing", HowToGet(loaded, name), true, true});
      continue;
    }
    for (const DataFile& file : files) states.push_back({file.name, "", file.path.string(), false});
  }
  const std::vector<std::string> wanted =
      holder.Has("sha256") ? holder.Strings("sha256") : std::vector<std::string>();
  for (size_t i = 0; i < states.size(); ++i) {
    FileState& state = states[i];
    if (state.is_bad) continue;
    const std::string digest = DigestOfFile(state.detail);
    if (i < wanted.size()) {
      state.is_bad = wanted[i] != digest;
      state.state = state.is_bad ? "not the task's: SHA-256 " + digest : "found, verified";
      continue;
    }
    const auto expected = known.find(state.file);
    state.state = expected == known.end()      ? "found"
                  : expected->second == digest ? "found, verified"
                                               : "found, other items than data.sha256 lists";
  }
  return states;
}

int Check(Session& session, const TasksArguments& arguments) {
  std::vector<std::string> folders;
  for (const std::string& folder : arguments.data) {
    if (!fs::is_directory(folder)) throw Error(ErrorKind::kIo, "--data " + folder + ": there is no such folder.");
    folders.push_back(fs::absolute(folder).string());
  }
  const std::map<std::string, std::string> known = KnownDigests(session);
  ReportTable table;
  table.name = "tasks";
  table.header = {"task", "items", "file", "state", "where, or how to get it"};
  size_t lacking = 0, unfit = 0;
  for (const std::string& name : arguments.tasks.empty() ? session.NamesOfFiles("tasks") : arguments.tasks) {
    const LoadedTask loaded = Load(session, name, folders);
    std::vector<FileState> files = CheckFiles(loaded.spec.options, loaded, known);
    if (loaded.spec.options.map().Find("few_shot") != nullptr && loaded.spec.options.Has("few_shot")) {
      const std::vector<FileState> examples = CheckFiles(loaded.spec.options.Group("few_shot"), loaded, known);
      files.insert(files.end(), examples.begin(), examples.end());
    }
    std::string items = "-";
    const auto any = [&files](bool FileState::*is) {
      return std::any_of(files.begin(), files.end(), [is](const FileState& file) { return file.*is; });
    };
    if (any(&FileState::is_missing)) {
      ++lacking;
    } else if (any(&FileState::is_bad)) {
      ++unfit;
    } else {
      // The fields that the task names, in every item.
      try {
        items = Whole(static_cast<double>(loaded.task->Items().size())).text;
      } catch (const Error& error) {
        files.front().state = "does not fit the task";
        files.front().detail = error.what();
        ++unfit;
      }
    }
    for (size_t i = 0; i < files.size(); ++i) {
      table.rows.push_back({i == 0 ? name : "", i == 0 ? items : "", files[i].file, files[i].state, files[i].detail});
    }
  }
  if (arguments.format != "csv") {
    table.notes.push_back(lacking + unfit == 0 ? "every task has its data" : WhatIsWrong(lacking, unfit));
  }
  PrintReportTable(table, arguments.format);
  return lacking + unfit == 0 ? 0 : kExitFile;
}

void AddFormat(CLI::App* verb, TasksArguments& arguments) {
  verb->add_option("--format", arguments.format, "text, markdown or csv")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
}

}  // namespace

void AddTasksVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<TasksArguments>();
  CLI::App* verb = app.add_subcommand("tasks", "Benchmarks: which there are, and whether their data are at hand");
  verb->require_subcommand(1);
  CLI::App* list = verb->add_subcommand("list", "What the configuration folders hold, and which setup each matches");
  list->add_option("task", arguments->tasks, "Tasks by name or file; without any, all");
  AddFormat(list, *arguments);
  list->callback(
      [arguments, &session] { session.action = [arguments, &session] { return List(session, *arguments); }; });
  AddTasksFetch(*verb, session);
  AddTasksImport(*verb, session);
  CLI::App* check = verb->add_subcommand(
      "check", "Look for data files, verify their digests and read every item; exit 5 if any lacks");
  check->add_option("task", arguments->tasks, "Tasks by name or file; without any, all");
  check->add_option("--data", arguments->data, "Folder in which data files are looked for; may be repeated")
      ->allow_extra_args(false);
  AddFormat(check, *arguments);
  check->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Check(session, *arguments); }; });
}

}  // namespace bitlaw
