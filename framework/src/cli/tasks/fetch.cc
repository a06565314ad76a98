#include <algorithm>
#include <memory>

#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/tasks/tasks_parts.h"
#include "cli/usage/value_checks.h"
#include "import/data_recipe.h"
#include "import/lm_eval_samples.h"
#include "report/document.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr int kExitFile = 5;

struct FetchArguments {
  std::vector<std::string> tasks;
  std::string from, out, config, split, format = "text";
  bool replace = false;
};

std::vector<DataRecipe> KnownRecipes(const Session& session) {
  for (const fs::path& folder : session.SearchFolders()) {
    if (fs::is_regular_file(folder / "sources.yaml")) return ReadDataRecipes(folder / "sources.yaml");
  }
  throw Error(ErrorKind::kIo, "no configuration folder holds sources.yaml. Name one with --configs.");
}

// Writes `bytes`, unless the same stand there already; "written", "there already" or "replaced".
std::string WriteData(const fs::path& path, const std::string& bytes, bool replace) {
  const bool is_there = fs::exists(path);
  if (is_there) {
    if (DigestOfFile(path) == Digest().Add(bytes).Hex()) return "there already";
    if (!replace) {
      throw Error(
          ErrorKind::kIo,
          path.string() + ": is there and holds something else. Write elsewhere (--out), or over it (--replace).");
    }
  }
  WriteDurably(path, bytes);
  return is_there ? "replaced" : "written";
}

// The data files that a task names, its examples' included, each once.
void AddFilesOf(Session& session, const std::string& task, std::vector<std::string>& files) {
  const TaskSpec spec = ReadTask(task, Value(), session.plugins(), session.SearchFolders(), {});
  const auto add = [&](const Options& holder) {
    for (const Value& name : holder.Raw("data").AsList()) {
      if (std::find(files.begin(), files.end(), name.AsString()) == files.end()) files.push_back(name.AsString());
    }
  };
  add(spec.options);
  if (spec.options.map().Find("few_shot") != nullptr && spec.options.Has("few_shot"))
    add(spec.options.Group("few_shot"));
}

size_t CountLines(const std::string& bytes) {
  return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
}

int FetchTasks(Session& session, const FetchArguments& arguments) {
  const std::vector<DataRecipe> recipes = KnownRecipes(session);
  const std::map<std::string, std::string> known = KnownDigests(session);
  std::vector<std::string> files;
  for (const std::string& task : arguments.tasks) AddFilesOf(session, task, files);
  ReportTable table;
  table.name = "fetch";
  table.header = {"file", "items", "state", "from, or how to get it"};
  size_t lacking = 0;
  for (const std::string& file : files) {
    const auto recipe =
        std::find_if(recipes.begin(), recipes.end(), [&](const DataRecipe& entry) { return entry.file == file; });
    if (recipe == recipes.end()) {
      ++lacking;
      table.rows.push_back(
          {file, "-", "no recipe", "Make it by hand: docs/evaluation.md, section Data, says which fields a line has."});
      continue;
    }
    if (arguments.from.empty()) {
      ++lacking;
      table.rows.push_back({file, "-", recipe->source.Text(), recipe->source.Download()});
      continue;
    }
    const std::vector<fs::path> sources = FindSplit(recipe->source, arguments.from);
    const std::string bytes = MakeDataFile(*recipe, ReadSplit(sources));
    const std::string digest = Digest().Add(bytes).Hex();
    std::string state = WriteData(fs::path(arguments.out) / file, bytes, arguments.replace);
    const auto expected = known.find(file);
    if (expected != known.end()) state += expected->second == digest ? ", verified" : ", not the copy of data.sha256";
    table.rows.push_back({file, Whole(static_cast<double>(CountLines(bytes))), state,
                          sources.front().string() +
                              (sources.size() > 1 ? " and " + std::to_string(sources.size() - 1) + " more" : "")});
    table.notes.push_back(digest + "  " + file);
  }
  if (arguments.from.empty())
    table.notes = {"bitlaw needs no network and uses none: get the datasets, then name their folder with --from."};
  if (arguments.format == "csv") table.notes.clear();
  PrintReportTable(table, arguments.format);
  return lacking == 0 ? 0 : kExitFile;
}

// Without a task: the rows as they are.
int Convert(const FetchArguments& arguments) {
  const std::vector<fs::path> sources = FindSplit({"", arguments.config, arguments.split}, arguments.from);
  std::string bytes;
  size_t rows = 0;
  for (const Value& row : ReadSplit(sources)) {
    // What lm-evaluation-harness logged holds each item as `doc`.
    const Value* item = IsLmEvalSample(row) ? row.Find("doc") : nullptr;
    bytes += JsonLine(item != nullptr && item->is_map() ? *item : row);
    ++rows;
  }
  const std::string state = WriteData(arguments.out, bytes, arguments.replace);
  fmt::print("{}: {} of {}, {}\nSHA-256 {}\n", arguments.out, Counted(rows, "row"), Counted(sources.size(), "file"),
             state, Digest().Add(bytes).Hex());
  return 0;
}

int Fetch(Session& session, const FetchArguments& arguments) {
  if (!arguments.from.empty() && arguments.out.empty()) {
    throw Error(ErrorKind::kSpec, std::string("--out is missing: ") +
                                      (arguments.tasks.empty() ? "the JSON-lines file" : "the data folder") +
                                      " that is to be written.");
  }
  if (!arguments.tasks.empty()) return FetchTasks(session, arguments);
  if (arguments.from.empty()) {
    throw Error(
        ErrorKind::kSpec,
        "name a task whose data are to be made, or with --from a dataset's file or folder that is to be converted.");
  }
  return Convert(arguments);
}

}  // namespace

void AddTasksFetch(CLI::App& verb, Session& session) {
  auto arguments = std::make_shared<FetchArguments>();
  CLI::App* fetch = verb.add_subcommand("fetch",
                                        "Make tasks' data files of datasets on the disk, or convert a dataset to JSON "
                                        "lines; says where to get what is missing");
  fetch->add_option("task", arguments->tasks, "Tasks by name or file; without any, the rows of --from as they are");
  fetch->add_option("--from", arguments->from,
                    "A dataset's folder, a folder of several, or a file: .parquet, .json, .jsonl, .csv, .tsv, .gz");
  fetch->add_option("--out", arguments->out, "With tasks the data folder, otherwise the .jsonl file");
  fetch->add_option("--config", arguments->config, "Without a task: the dataset's configuration, e.g. ARC-Easy");
  fetch->add_option("--split", arguments->split, "Without a task: the split, e.g. test");
  fetch->add_flag("--replace", arguments->replace, "Write over files that hold something else");
  fetch->add_option("--format", arguments->format, "text, markdown or csv")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
  fetch->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Fetch(session, *arguments); }; });
}

}  // namespace bitlaw
