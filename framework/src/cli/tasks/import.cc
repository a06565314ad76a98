#include <algorithm>
#include <map>
#include <memory>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/tasks/tasks_parts.h"
#include "cli/usage/value_checks.h"
#include "import/lm_eval_task.h"
#include "report/document.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct ImportArguments {
  std::vector<std::string> files;
  std::string from, out, stratum, format = "text";
  bool replace = false;
};

// Files as they are, of folders all .yaml files in them and below.
std::vector<fs::path> FilesOf(const std::vector<std::string>& names) {
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    if (!fs::is_directory(name)) {
      files.emplace_back(name);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(name)) {
      if (entry.is_regular_file() && entry.path().extension() == ".yaml") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string Lines(const std::vector<Value>& rows) {
  std::string bytes;
  for (const Value& row : rows) bytes += JsonLine(row);
  return bytes;
}

// Writes the task file and, where the dataset is at hand, its data; returns the items that the task then has, or "-".
std::string Write(Session& session, const ImportArguments& arguments, const fs::path& source, ImportedTask task) {
  const fs::path out(arguments.out), yaml = out / (task.name + ".yaml");
  if (!arguments.stratum.empty()) task.options.Set("stratum", arguments.stratum);
  std::map<std::string, std::string> data;
  if (!arguments.from.empty()) {
    data[task.name + ".jsonl"] = Lines(ReadSplit(FindSplit(task.items, arguments.from)));
    task.options.Set("sha256", Digest().Add(data[task.name + ".jsonl"]).Hex());
  }
  if (task.options.Find("few_shot") != nullptr && (!arguments.from.empty() || !task.own_examples.empty())) {
    const bool own = !task.own_examples.empty();
    data[task.name + ".fewshot.jsonl"] =
        Lines(own ? task.own_examples : ReadSplit(FindSplit(task.examples, arguments.from)));
  }
  data[task.name + ".yaml"] = task.Yaml(source.string());
  for (const auto& [name, bytes] : data) {
    if (fs::exists(out / name) && !arguments.replace && DigestOfFile(out / name) != Digest().Add(bytes).Hex()) {
      throw Error(ErrorKind::kIo,
                  (out / name).string() +
                      ": is there and holds something else. Write elsewhere (--out), or over it (--replace).");
    }
  }
  for (const auto& [name, bytes] : data) WriteDurably(out / name, bytes);
  const TaskSpec spec = ReadTask(yaml.string(), Value(), session.plugins(), session.SearchFolders(), {});
  const auto made = session.plugins().MakeTask(spec.component, spec.options, spec.context);
  return arguments.from.empty() ? "-" : std::to_string(made->Items().size());
}

int Import(Session& session, const ImportArguments& arguments) {
  ReportTable table, refusals;
  table.name = "import";
  table.header = {"task", "items", "state", "what"};
  std::map<std::string, int64_t> reasons, firsts;
  int64_t imported = 0, refused = 0;
  const std::vector<fs::path> files = FilesOf(arguments.files);
  for (const fs::path& file : files) {
    try {
      ImportedTask task = ReadLmEvalTask(file);
      const std::string name = task.name;
      const std::string items = arguments.out.empty() ? "-" : Write(session, arguments, file, std::move(task));
      ++imported;
      table.rows.push_back(
          {name, items, "imported",
           arguments.out.empty() ? file.string() : (fs::path(arguments.out) / (name + ".yaml")).string()});
    } catch (const Error& error) {
      const auto* import = dynamic_cast<const ImportError*>(&error);
      ++refused;
      std::vector<std::string> seen;
      const std::vector<ImportFault> faults =
          import == nullptr ? std::vector<ImportFault>{{"file or data", error.what()}} : import->faults();
      ++firsts[faults.front().reason];
      for (const ImportFault& fault : faults) {
        table.rows.push_back(
            {seen.empty() ? file.stem().string() : "", "-", seen.empty() ? "refused" : "", fault.text});
        if (std::find(seen.begin(), seen.end(), fault.reason) != seen.end()) continue;
        seen.push_back(fault.reason);
        ++reasons[fault.reason];
      }
    }
  }
  if (arguments.format != "csv") {
    table.notes.push_back(std::to_string(imported) + " of " + std::to_string(files.size()) + " files imported" +
                          (arguments.out.empty() ? ", but not written: name a folder with --out" : ""));
  }
  if (files.size() > 20 && refused > 0) {
    refusals.name = "refusals";
    refusals.header = {"reason", "files", "files where it is the first"};
    for (const auto& [reason, count] : reasons) {
      refusals.rows.push_back({reason, Whole(static_cast<double>(count)), Whole(static_cast<double>(firsts[reason]))});
    }
  }
  PrintReportTable(table, arguments.format);
  if (!refusals.rows.empty()) PrintReportTable(refusals, arguments.format);
  return refused == 0 ? 0 : ExitCode(ErrorKind::kUnsupported);
}

}  // namespace

void AddTasksImport(CLI::App& verb, Session& session) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* import = verb.add_subcommand(
      "import", "Make task files of lm-evaluation-harness' own, and their data of datasets on the disk");
  import->add_option("file", arguments->files, "Task files (.yaml) of lm-evaluation-harness, or folders of them")
      ->required();
  import->add_option("--out", arguments->out, "Folder for task files and data; without it nothing is written");
  import->add_option("--from", arguments->from, "The dataset's folder, a folder of several, or a file with the items");
  import->add_option("--stratum", arguments->stratum, "Stratum of the tasks, e.g. KA");
  import->add_flag("--replace", arguments->replace, "Write over files that hold something else");
  import->add_option("--format", arguments->format, "text, markdown or csv")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
  import->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Import(session, *arguments); }; });
}

}  // namespace bitlaw
