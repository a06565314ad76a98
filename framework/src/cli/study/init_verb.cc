#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "cli/common/claiming_backends.h"
#include "cli/common/output.h"
#include "cli/verbs.h"
#include "plan/plan.h"
#include "resolve/resolved_study.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLimit = 200;
constexpr size_t kTasksOfStratum = 2;

struct InitArguments {
  std::string model, output, text;
  std::vector<std::string> data, tasks;
};

// A task whose data are here, as the study names it.
struct FoundTask {
  std::string name, stratum;
  int64_t items = 0;
};

std::string Quoted(const std::string& text) { return Value(text).CanonicalJson(); }

// Names of task files of the configuration folders; those of the knowledge lab, which fit its own models alone, or the others.
std::vector<std::string> TaskNames(const Session& session, bool lab) {
  std::vector<std::string> names;
  for (const fs::path& folder : session.SearchFolders()) {
    std::error_code status;
    for (fs::recursive_directory_iterator entry(folder / "tasks", status), end; !status && entry != end;
         entry.increment(status)) {
      if (entry->path().extension() == ".yaml" && (entry->path().parent_path().filename() == "lab") == lab)
        names.push_back(entry->path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Of each stratum the first tasks without examples whose data are here and whose first metric is an accuracy.
std::vector<FoundTask> FindTasks(Session& session, const std::vector<std::string>& data, bool lab) {
  std::vector<FoundTask> found;
  std::map<std::string, size_t> of_stratum;
  for (const std::string& name : TaskNames(session, lab)) {
    try {
      const TaskSpec spec = ReadTask(name, Value(), session.plugins(), session.SearchFolders(), data);
      const auto task = session.plugins().MakeTask(spec.component, spec.options, spec.context);
      const TaskCard& card = task->card();
      if (card.few_shot > 0 || card.metrics.empty() || card.metrics.front().kind != MetricKind::kAccuracy) continue;
      if (of_stratum[card.stratum] == kTasksOfStratum) continue;
      const auto items = static_cast<int64_t>(task->Items().size());
      ++of_stratum[card.stratum];
      found.push_back({name, card.stratum, items});
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kIo) throw;  // Its data are elsewhere.
    }
  }
  return found;
}

// As seen from the study's folder; an absolute path stays one.
std::string PathFrom(const fs::path& folder, const std::string& given) {
  const fs::path path = given;
  return path.is_absolute() ? path.lexically_normal().string() : fs::proximate(fs::absolute(path), folder).string();
}

// Whether `given` is a task's file: as a study tells it, by a '/' or the ending.
bool IsFile(const std::string& given) {
  return given.find('/') != std::string::npos || fs::path(given).extension() == ".yaml";
}

// The tasks that were asked for, whatever they measure. Error(kIo) of one whose data are not here.
std::vector<FoundTask> AskedTasks(Session& session, const InitArguments& arguments,
                                  const std::vector<std::string>& data, const fs::path& folder) {
  std::vector<FoundTask> found;
  for (const std::string& given : arguments.tasks) {
    const TaskSpec spec = ReadTask(given, Value(), session.plugins(), session.SearchFolders(), data);
    const auto task = session.plugins().MakeTask(spec.component, spec.options, spec.context);
    std::string name = IsFile(given) ? PathFrom(folder, given) : given;
    if (IsFile(given) && name.find('/') == std::string::npos) name = "./" + name;
    found.push_back({std::move(name), task->card().stratum, static_cast<int64_t>(task->Items().size())});
  }
  return found;
}

// The study as it is written; `group_size` 0: no grid yet, to look at the model first.
std::string StudyText(const InitArguments& arguments, const fs::path& folder, const std::string& name,
                      const std::vector<FoundTask>& tasks, bool lab, int64_t group_size, bool is_partial) {
  std::string text = fmt::format(
      "# A first study of one model: what each number of bits costs, task by task.\n"
      "#   bitlaw check FILE   what it means, or what is wrong with it\n"
      "#   bitlaw plan FILE    its trials, and which differences its items can show\n"
      "#   bitlaw run FILE     does it; bitlaw report FILE and bitlaw paired FILE say what was found\n"
      "# docs/reference/study.md has every key. Lines that begin with '#' are suggestions: take the '#' away to use them.\n"
      "bitlaw: 1\n"
      "study: {}\n"
      "output: {}  # Folder of records and tables.\n"
      "compute: {{dtype: float32, device: cpu}}  # A GPU: {{dtype: bfloat16, device: cuda}}\n",
      Quoted(name), Quoted("results/" + name));
  if (!arguments.data.empty()) {
    text += "data_paths:\n";
    for (const std::string& one : arguments.data) text += "  - " + Quoted(PathFrom(folder, one)) + "\n";
  }
  text += fmt::format(
      "\nmodels:\n"
      "  - {}\n"
      "  # More sizes of one family let laws see size; one that is held out is predicted:\n"
      "  # - {{path: other-model, hold_out: true}}\n",
      Quoted(PathFrom(folder, arguments.model)));
  const bool has_text = !arguments.text.empty();
  text += "\n# What GPTQ and AWQ look at while they round.\n";
  if (has_text) {
    text += fmt::format("corpora:\n  calibration: {{type: text, path: {}, mode: concatenate, separator: eos}}\n",
                        Quoted(PathFrom(folder, arguments.text)));
  } else {
    text +=
        "# corpora:\n"
        "#   calibration: {type: text, path: text.jsonl, mode: concatenate, separator: eos}\n";
  }
  text += "\nquantize:\n  - none  # The model as it is; everything is compared with it.\n";
  if (group_size > 0) {
    const std::string group = fmt::format("    group_size: {}  # Weights that share a scale.\n{}", group_size,
                                          is_partial ? "    allow_partial_group: true  # Rows do not divide into groups.\n" : "");
    text += "  - quantizer: rtn  # Rounds to the nearest value; needs no text.\n    bits: [2, 3, 4, 8]\n" + group;
    std::string gptq = "  - quantizer: gptq  # Rounds so that outputs on the calibration text change least.\n    bits: [2, 3, 4, 8]\n" + group +
                       "    calibration: {corpus: calibration, sequences: 32, tokens: 512, seed: 0}\n";
    if (!has_text) {
      for (size_t at = 0; at < gptq.size(); at = gptq.find('\n', at) + 1) gptq.insert(at, "# ");
    }
    text += gptq;
  }
  text +=
      !arguments.tasks.empty() ? "\n# 'bitlaw tasks list' has more.\n"
      : lab ? "\n# No benchmark's data were found, so these are the knowledge lab's: right for its own small models, "
              "without\n"
              "# meaning for others. 'bitlaw tasks check --data FOLDER' says what is there and where to get the rest.\n"
            : "\n# Benchmarks whose data were found; 'bitlaw tasks list' has all.\n";
  text += "tasks:\n";
  for (const FoundTask& task : tasks) {
    const std::string written = IsFile(task.name) ? Quoted(task.name) : task.name;
    const std::string note = task.stratum.empty() ? "" : "  # " + task.stratum;
    text += task.items > kLimit ? fmt::format("  - {{task: {}, limit: {}, limit_from: spread}}{} of {} items\n",
                                              written, kLimit, note.empty() ? "  #" : note + ",", task.items)
                                : fmt::format("  - {}{}\n", written, note);
  }
  text +=
      "\n# Laws want several models, or several bits and groups:\n"
      "# laws: [stratified_power]\n";
  return text;
}

// The largest usual group that divides every row; 0: none does.
int64_t GroupSize(const ModelSummary& summary) {
  for (const int64_t size : {128, 64, 32}) {
    const bool divides = std::all_of(summary.linears.begin(), summary.linears.end(),
                                     [&](const LinearShape& layer) { return layer.in_features % size == 0; });
    if (divides) return size;
  }
  return 0;
}

// Takes away the file that it guards unless told to keep it.
class Draft {
 public:
  explicit Draft(fs::path file) : file_(std::move(file)) {}
  ~Draft() {
    std::error_code ignored;
    if (!keep_) fs::remove(file_, ignored);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  void Keep() { keep_ = true; }

 private:
  fs::path file_;
  bool keep_ = false;
};

int Init(Session& session, const InitArguments& arguments) {
  if (!fs::exists(arguments.model)) {
    throw Error(ErrorKind::kIo, arguments.model + ": there is no such file or folder. Name a model's folder or .gguf file.");
  }
  for (const std::string& one : arguments.data) {
    if (!fs::is_directory(one)) throw Error(ErrorKind::kIo, "--data " + one + ": there is no such folder.");
  }
  if (!arguments.text.empty() && !fs::is_regular_file(arguments.text)) {
    throw Error(ErrorKind::kIo, "--text " + arguments.text + ": there is no such file.");
  }
  fs::path model = fs::absolute(arguments.model).lexically_normal();
  if (model.filename().empty()) model = model.parent_path();
  std::string name = fs::is_directory(model) ? model.filename().string() : model.stem().string();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_' && c != '-') c = '_';
  }
  const fs::path file = fs::absolute(arguments.output.empty() ? name + ".yaml" : arguments.output).lexically_normal();
  if (fs::exists(file)) {
    throw Error(ErrorKind::kIo, file.string() + ": it exists already. Give --output another name, or remove it.");
  }
  // Before a study is written of it.
  const PluginHost& host = session.plugins();
  if (ClaimingBackends(host, model).empty()) {
    throw Error(ErrorKind::kSpec, arguments.model + ": no model backend knows this format. Backends: " +
                                      JoinNames(host.Names(ComponentKind::kModel)) +
                                      ". Name the folder with a model's config.json, or a .gguf file.");
  }
  std::vector<std::string> data;
  for (const std::string& one : arguments.data) data.push_back(fs::absolute(one).string());
  bool lab = false;
  std::vector<FoundTask> tasks = arguments.tasks.empty() ? FindTasks(session, data, false)
                                                         : AskedTasks(session, arguments, data, file.parent_path());
  if (tasks.empty()) {
    lab = true;
    tasks = FindTasks(session, {}, true);
  }
  if (tasks.empty()) {
    throw Error(ErrorKind::kIo, "init: no task has its data here. Name their folder with --data; 'bitlaw tasks check' says what "
                                "each needs.");
  }

  Draft draft(file);
  const auto write = [&](int64_t group_size, bool is_partial) {
    WriteDurably(file, StudyText(arguments, file.parent_path(), name, tasks, lab, group_size, is_partial));
    return ReadStudy(file, session.plugins(), session.SearchFolders());
  };
  const int64_t group_size = GroupSize(MakePlan(write(0, false), session.plugins()).models.front().summary);
  const StudySpec study = write(group_size > 0 ? group_size : 128, group_size == 0);
  const Machine machine = Session::ThisMachine();
  const ResolvedStudy resolved = Resolve(study, session.plugins(), &machine);
  draft.Keep();
  Say(fmt::format("{}: {} x {}.\n", file.string(), Counted(resolved.plan.trials.size(), "trial"),
                  Counted(tasks.size(), "task")));
  if (lab) Say("The tasks are the knowledge lab's, for no benchmark's data were found (--data FOLDER).\n");
  Say(fmt::format("Next: bitlaw plan {0}, then bitlaw run {0}\n", file.string()));
  return 0;
}

}  // namespace

void AddInitVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<InitArguments>();
  CLI::App* verb = app.add_subcommand("init", "Write a commented first study of a model, which runs as it is");
  verb->add_option("model", arguments->model, "A model's folder, or a .gguf file")->required();
  verb->add_option("--output", arguments->output, "The study file. Default: the model's name with .yaml, here");
  verb->add_option(
          "--task", arguments->tasks,
          "A task of the study, by name or by the path of its file; may be repeated. Default: benchmarks whose data "
          "are found")
      ->allow_extra_args(false);
  verb->add_option("--data", arguments->data, "Folder with data of benchmarks; may be repeated")->allow_extra_args(false);
  verb->add_option("--text", arguments->text, "Calibration text, .txt or .jsonl: with it the study has GPTQ, too");
  verb->callback([&session, arguments] { session.action = [&session, arguments] { return Init(session, *arguments); }; });
}

}  // namespace bitlaw
