#include <algorithm>
#include <map>

#include "api/option_checker.h"
#include "bitlaw/api/law.h"
#include "spec/find_files.h"
#include "spec/study_reader.h"

namespace bitlaw {
namespace {

// `map` without the keys in `own`: a component's options.
Value Without(const Value& map, const std::vector<std::string>& own) {
  Value rest = map;
  std::erase_if(rest.AsMap(), [&](const auto& entry) {
    return std::find(own.begin(), own.end(), entry.first) != own.end();
  });
  return rest;
}

// The law component called `written`, with or without "law/" in front; "" if none is loaded under that name.
std::string LawComponent(const std::string& written, const PluginHost& host) {
  const std::string prefix = "law/";
  const std::string name = written.starts_with(prefix) ? written.substr(prefix.size()) : written;
  const std::vector<std::string> loaded = host.Names(ComponentKind::kLaw);
  return std::find(loaded.begin(), loaded.end(), name) == loaded.end() ? "" : name;
}

// What to say, after what is known of files, of a law that is neither a file nor a component.
std::string NoLawComponent(const std::string& written, const PluginHost& host) {
  const std::vector<std::string> loaded = host.Names(ComponentKind::kLaw);
  const std::string name = written.substr(written.starts_with("law/") ? 4 : 0);
  return " Nor is it a loaded component." + DidYouMean(name, loaded) + " Loaded laws: " +
         (loaded.empty() ? "none" : JoinNames(loaded)) + "; --plugin PATH loads another.";
}

}  // namespace

TaskSpec ReadTask(const std::string& task, const Value& overrides, const PluginHost& host,
                  const std::vector<std::filesystem::path>& search, const std::vector<std::string>& data_paths) {
  Value entry = overrides.is_null() ? Value(Value::Map{}) : overrides;
  entry.Set("task", task);
  // The place of a study file that does not exist, so that paths count from the working directory.
  return StudyReader(std::filesystem::current_path() / "study.yaml", host, search).ReadTaskAlone(entry, data_paths);
}

TaskSpec StudyReader::ReadTaskAlone(const Value& entry, std::vector<std::string> data_paths) {
  spec_.data_paths = std::move(data_paths);
  AddDataPathsOfEnvironment();
  ReadTask(entry, "the task");
  faults_.ThrowIfAny();
  return std::move(spec_.tasks.front());
}

LawSpec StudyReader::ReadLawAlone(const Value& entry) {
  ReadLaw(entry, "the law");
  faults_.ThrowIfAny();
  return std::move(spec_.laws.front());
}

void StudyReader::ReadTasks(const Value* tasks) {
  if (tasks == nullptr || IsTooLong(*tasks, "tasks")) return;
  for (size_t i = 0; i < tasks->AsList().size(); ++i) ReadTask(tasks->AsList()[i], "tasks[" + std::to_string(i) + "]");
  std::map<std::string, int> first_line;
  for (const TaskSpec& task : spec_.tasks) {
    const auto [first, is_new] = first_line.emplace(task.name, task.mark.line);
    if (is_new) continue;
    faults_.Add(task.mark, "the task '" + task.name + "' is listed twice, first at line " +
                               std::to_string(first->second) + ". Give one another name with 'as'.");
  }
}

void StudyReader::ReadTask(const Value& entry, const std::string& place) {
  TaskSpec task;
  task.mark = entry.mark();
  std::string wanted;
  Value overrides = Value::Map{};
  if (entry.is_string()) {
    wanted = entry.AsString();
  } else if (entry.is_map()) {
    MapReader reader(entry, "task", place, faults_, true);
    reader.Require("task", "Name a task file.");
    wanted = reader.String("task").value_or("");
    task.name = reader.Name("as").value_or("");
    overrides = reader.Rest();
  } else {
    faults_.Add(entry.mark(), place + " is " + std::string(Article(entry.type())) +
                                  ". It must be a task's name, or a map with the key 'task'.");
    return;
  }
  if (wanted.empty()) return;
  const NamedFile found = FindNamedFile(wanted, "tasks", home_, folders_);
  if (!found.problem.empty()) {
    faults_.Add(entry.mark(), "task '" + wanted + "': " + found.problem);
    return;
  }
  if (task.name.empty()) task.name = found.path.stem().string();
  task.file = found.path;
  task.context = {task.name, spec_.data_paths};
  const ComponentFile file = ReadComponentFile(
      found.path, "task file", "task '" + wanted + "'" + (entry.mark().line == 0 ? "" : " of " + entry.mark().Text()),
      faults_);
  if (!file.is_read) return;
  const Value merged = Overlay(file.map, overrides);
  Faults of_file;
  MapReader reader(merged, "task file", "the task file", of_file, true);
  reader.Require("type", "Name the task component, such as 'multiple_choice'.");
  if (const auto type = reader.String("type")) {
    try {
      const Component& component = host_.Find(ComponentKind::kTask, *type, merged.Find("type")->mark().Text());
      task.component = component.info.name;
      task.options = component.schema.Resolve(Without(merged, SpecKeysOf("task file")),
                                              "task '" + component.info.name + "'");
    } catch (const Error& error) {
      of_file.AddError(error);
    }
  }
  try {
    of_file.ThrowIfAny();
  } catch (const Error& error) {
    faults_.AddError(error, entry.mark().file, file.chain);
  }
  spec_.tasks.push_back(std::move(task));
}

void StudyReader::ReadLaws(const Value* laws) {
  if (laws == nullptr || IsTooLong(*laws, "laws")) return;
  for (size_t i = 0; i < laws->AsList().size(); ++i) ReadLaw(laws->AsList()[i], "laws[" + std::to_string(i) + "]");
  std::map<std::string, int> first_line;
  for (const LawSpec& law : spec_.laws) {
    const auto [first, is_new] = first_line.emplace(law.name, law.mark.line);
    if (is_new) continue;
    faults_.Add(law.mark, "the law '" + law.name + "' is listed twice, first at line " + std::to_string(first->second) +
                              ". Give one another name with 'name'.");
  }
}

void StudyReader::ReadLaw(const Value& entry, const std::string& place) {
  LawSpec law;
  law.mark = entry.mark();
  std::string wanted;
  Value merged = Value::Map{};
  std::string chain;
  if (entry.is_string()) {
    wanted = entry.AsString();
  } else if (entry.is_map()) {
    MapReader reader(entry, "law", place, faults_, true);
    wanted = reader.String("law").value_or("");
    if (wanted.empty()) reader.Require("name", "Name the law, or the law file with 'law'.");
    reader.Name("name");
    merged = Without(entry, {"law"});
  } else {
    faults_.Add(entry.mark(), place + " is " + std::string(Article(entry.type())) +
                                  ". It must be a law's name, or a map with 'law' or 'name'.");
    return;
  }
  if (!wanted.empty()) {
    const NamedFile found = FindNamedFile(wanted, "laws", home_, folders_);
    const std::string component = found.is_absent ? LawComponent(wanted, host_) : "";
    ComponentFile file;
    if (!component.empty()) {
      law.name = component;
      file.map = Value::Map{{"type", component}};
    } else if (!found.problem.empty()) {
      const std::string more = found.is_absent ? NoLawComponent(wanted, host_) : "";
      faults_.Add(entry.mark(), "law '" + wanted + "': " + found.problem + more);
      return;
    } else {
      const std::string asked = "law '" + wanted + "'" + (entry.mark().line == 0 ? "" : " of " + entry.mark().Text());
      file = ReadComponentFile(found.path, "law file", asked, faults_);
      if (!file.is_read) return;
      if (law.mark.line == 0) law.mark = file.map.mark();
      law.name = found.path.stem().string();
    }
    chain = file.chain;
    merged = Overlay(file.map, merged);
  }
  merged.set_mark(law.mark);
  Faults of_file;
  MapReader reader(merged, "law file", "the law", of_file, true);
  law.name = reader.Name("name").value_or(law.name);
  law.component = reader.String("type").value_or("formula");
  law.given = Without(merged, SpecKeysOf("law file"));
  try {
    const Value* type = reader.Find("type");
    const Component& component =
        host_.Find(ComponentKind::kLaw, law.component, type == nullptr ? entry.mark().Text() : type->mark().Text());
    law.component = component.info.name;
    law.options = component.schema.Resolve(law.given, "law '" + component.info.name + "'");
    host_.MakeLaw(law.component, law.name, *law.options);  // Reads no file and checks its formula.
  } catch (const Error& error) {
    of_file.AddError(error);
  }
  try {
    of_file.ThrowIfAny();
  } catch (const Error& error) {
    faults_.AddError(error, entry.mark().file, chain);
  }
  spec_.laws.push_back(std::move(law));
}

}  // namespace bitlaw
