#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "cli/common/output.h"
#include "cli/tensor/against_unquantized.h"
#include "cli/tensor/model_argument.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "evaluate/evaluate.h"
#include "fit/study/item_statistics.h"
#include "quantize/quantized_file.h"
#include "run/machine/machine.h"
#include "report/document.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

struct EvaluateArguments {
  std::string model, backend, quantized, dtype = "float32", device = "cpu", json, samples;
  std::vector<std::string> tasks, data, options;
  int64_t limit = 0;
  int threads = 0;
  bool against_unquantized = false, parts = false;
  EvaluateOptions evaluate;
};

// One line that is rewritten on a terminal, and nothing elsewhere: the table comes at the end.
class RequestProgress {
 public:
  explicit RequestProgress(bool quiet) : is_terminal_(!quiet && ::isatty(STDERR_FILENO) == 1) {}
  ~RequestProgress() {
    if (is_shown_) std::fputs("\r\x1b[K", stderr);
  }
  void Show(const EvaluateProgress& progress) {
    if (!is_terminal_) return;
    Complain(fmt::format("\r\x1b[K{}: {} of {} requests", progress.task, progress.done, progress.total));
    is_shown_ = true;
  }

 private:
  bool is_terminal_, is_shown_ = false;
};

// The study's way to name options of one task: "wikitext2.max_windows=16".
Value OverridesFor(const std::string& task, const EvaluateArguments& arguments, std::vector<bool>& used) {
  std::vector<std::string> own;
  for (size_t i = 0; i < arguments.options.size(); ++i) {
    if (!arguments.options[i].starts_with(task + ".")) continue;
    own.push_back(arguments.options[i].substr(task.size() + 1));
    used[i] = true;
  }
  return OptionsFromArguments(own, "--option");
}

// --limit as the option by which the task is limited: windows of one long text, or items.
void ApplyLimit(int64_t limit, TaskSpec& task) {
  if (limit == 0) return;
  Value options = task.options.map();
  const Value* convention = options.Find("convention");
  const bool one_text = convention != nullptr && *convention == Value("gptq");
  const char* const name = one_text ? "max_windows" : "limit";
  if (options.Find(name) == nullptr) {
    throw Error(ErrorKind::kSpec, fmt::format("--limit {}: task '{}' is a {}, which has no option '{}'. Leave --limit out.",
                                              limit, task.name, task.component, name));
  }
  options.Set(name, limit);
  task.options = Options(std::move(options));
}

struct LoadedTask {
  TaskSpec spec;
  std::unique_ptr<Task> task;
};

std::vector<LoadedTask> LoadTasks(Session& session, const EvaluateArguments& arguments) {
  const PluginHost& host = session.plugins();
  std::vector<std::string> folders;
  for (const std::string& folder : arguments.data) {
    if (!std::filesystem::is_directory(folder)) {
      throw Error(ErrorKind::kIo, "--data " + folder + ": there is no such folder.");
    }
    folders.push_back(std::filesystem::absolute(folder).string());
  }
  std::vector<LoadedTask> tasks;
  std::vector<bool> used(arguments.options.size(), false);
  for (const std::string& name : arguments.tasks) {
    const std::string stem = std::filesystem::path(name).stem().string();
    TaskSpec spec = ReadTask(name, OverridesFor(stem, arguments, used), host, session.SearchFolders(), folders);
    ApplyLimit(arguments.limit, spec);
    tasks.push_back({spec, host.MakeTask(spec.component, spec.options, spec.context)});
    tasks.back().task->Items();  // Missing or malformed data end the run before the model is opened.
  }
  for (size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) {
      throw Error(ErrorKind::kSpec, "--option " + arguments.options[i] +
                                        ": it begins with the name of no task of this run. Write TASK.KEY=VALUE.");
    }
  }
  return tasks;
}

Value TaskJson(const TaskResult& result, const std::string& digest) {
  Value metrics(Value::List{});
  for (size_t m = 0; m < result.summaries.size(); ++m) {
    const MetricSummary& summary = result.summaries[m];
    metrics.AsList().push_back(Value::Map{{"name", summary.name},
                                          {"value", NumberOrNull(summary.value)},
                                          {"standard_error", NumberOrNull(summary.standard_error)},
                                          {"items", summary.items},
                                          {"chance", summary.chance},
                                          {"adjusted", NumberOrNull(ChanceAdjusted(result.card.metrics[m], summary))}});
  }
  return Value::Map{{"task", result.card.name},
                    {"version", result.card.version},
                    {"stratum", result.card.stratum},
                    {"convention", result.card.convention},
                    {"few_shot", result.card.few_shot},
                    {"limit", result.card.limit ? Value(*result.card.limit) : Value()},
                    {"digest", digest},
                    {"metrics", std::move(metrics)},
                    {"requests", result.cost.requests},
                    {"truncated_requests", result.cost.truncated_requests},
                    {"tokens_requested", result.cost.tokens_requested},
                    {"tokens_computed", result.cost.tokens_computed},
                    {"budget_halvings", result.cost.budget_halvings},
                    {"elapsed_s", result.cost.elapsed_s}};
}

Value ResponseJson(const Request& request, const Response& response) {
  if (const auto* pair = std::get_if<LoglikelihoodRequest>(&request)) {
    const auto& answer = std::get<LoglikelihoodResponse>(response);
    return Value::Map{{"context", pair->context},
                      {"continuation", pair->continuation},
                      {"loglikelihood_nats", answer.loglikelihood_nats},
                      {"is_greedy", answer.is_greedy},
                      {"tokens", answer.tokens}};
  }
  if (const auto* generate = std::get_if<GenerateRequest>(&request)) {
    const auto& answer = std::get<GenerateResponse>(response);
    return Value::Map{{"context", generate->context},
                      {"text", answer.text},
                      {"tokens", answer.tokens},
                      {"hit_limit", answer.hit_limit}};
  }
  Value windows(Value::List{});
  for (const WindowLoss& window : std::get<RollingResponse>(response).windows) {
    windows.AsList().push_back(Value::Map{{"loss_nats", window.loss_nats}, {"tokens", window.tokens}});
  }
  return Value::Map{{"windows", std::move(windows)}};
}

// One line an item: its requests with their answers, and its scores (for windows of one text, as many as it has).
void AppendSamples(const Task& task, const TaskResult& result, std::string& lines) {
  for (size_t i = 0; i < result.items.size(); ++i) {
    Value answers(Value::List{}), values(Value::List{});
    for (size_t r = 0; r < result.items[i].requests.size(); ++r) {
      answers.AsList().push_back(ResponseJson(result.items[i].requests[r], result.responses[i][r]));
    }
    std::string right, target;
    for (const ItemScore& score : task.Score(result.items[i], result.responses[i])) {
      if (right.empty()) right = score.right, target = score.target;
      for (size_t m = 0; m < score.values.size(); ++m) {
        Value value = Value::Map{{"metric", result.card.metrics[m].name},
                                 {"value", NumberOrNull(score.values[m].value)},
                                 {"weight", score.values[m].weight}};
        if (m < score.chosen.size()) value.Set("chosen", score.chosen[m]);
        if (m < score.extracted.size()) value.Set("extracted", score.extracted[m]);
        values.AsList().push_back(std::move(value));
      }
    }
    const Value line = Value::Map{{"task", result.card.name},
                                  {"item", result.items[i].id},
                                  {"answers", std::move(answers)},
                                  {"right", right.empty() ? Value() : Value(right)},
                                  {"target", target.empty() ? Value() : Value(target)},
                                  {"values", std::move(values)}};
    lines += line.CanonicalJson() + "\n";
  }
}

std::string Number(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : std::string("-");
}

void PrintTable(const std::vector<TaskResult>& results) {
  std::vector<std::vector<std::string>> rows = {
      {"task", "stratum", "metric", "value", "+-", "chance", "adjusted", "n", "seconds"}};
  bool limited = false, truncated = false;
  for (const TaskResult& result : results) {
    for (size_t m = 0; m < result.summaries.size(); ++m) {
      const MetricSummary& summary = result.summaries[m];
      const bool accuracy = result.card.metrics[m].kind == MetricKind::kAccuracy;
      const char* format = accuracy ? "{:.4f}" : "{:.3f}";
      std::string count = std::to_string(summary.items);
      if (result.card.limit) count += " *", limited = true;
      rows.push_back({m == 0 ? result.card.name : "", m == 0 ? result.card.stratum : "", summary.name,
                      Number(summary.value, format), Number(summary.standard_error, format),
                      accuracy ? Number(summary.chance, "{:.4f}") : "-",
                      Number(ChanceAdjusted(result.card.metrics[m], summary), "{:.4f}"), count,
                      m == 0 ? Number(result.cost.elapsed_s, "{:.1f}") : ""});
    }
    truncated = truncated || result.cost.truncated_requests > 0;
  }
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      // Names to the left, numbers to the right.
      line += fmt::format(fmt::runtime(c < 3 ? "{:<{}}  " : "{:>{}}  "), row[c], widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
  if (limited) fmt::print("* limited: not all items of the benchmark were scored.\n");
  for (const TaskResult& result : results) {
    if (!result.card.convention.empty()) fmt::print("{}: convention {}\n", result.card.name, result.card.convention);
    if (result.cost.budget_halvings > 0) {
      fmt::print("{}: memory ran out {} time(s), and went on with passes of half the size each time. Set --batch-tokens lower to "
                 "begin with.\n",
                 result.card.name, result.cost.budget_halvings);
    }
    if (result.cost.truncated_requests > 0) {
      fmt::print("{}: {} of {} requests lost context for want of positions\n", result.card.name,
                 result.cost.truncated_requests, result.cost.requests);
    }
  }
}

// Benchmarks that have parts, a row a part, and all parts together with their pooled error.
void PrintParts(const std::vector<TaskResult>& results) {
  for (const TaskResult& result : results) {
    ReportTable table;
    table.title = result.card.name + " by part";
    table.header = {"part", "metric", "value", "+-", "n"};
    for (size_t m = 0; m < result.card.metrics.size(); ++m) {
      std::vector<PartSummary> rows = SummarizeParts(result.card.metrics[m], m, result.scores);
      if (rows.empty()) continue;
      rows.push_back({"all, error pooled over parts", PoolParts(rows)});
      for (const PartSummary& row : rows) {
        table.rows.push_back({row.part, row.summary.name, Fixed(row.summary.value, 4),
                              Fixed(row.summary.standard_error, 4), Whole(static_cast<double>(row.summary.items))});
      }
    }
    if (!table.rows.empty()) fmt::print("\n{}", RenderText(table));
  }
}

Value PartsJson(const TaskResult& result) {
  Value parts(Value::List{});
  for (size_t m = 0; m < result.card.metrics.size(); ++m) {
    std::vector<PartSummary> rows = SummarizeParts(result.card.metrics[m], m, result.scores);
    if (rows.empty()) continue;
    rows.push_back({"", PoolParts(rows)});
    for (const PartSummary& row : rows) {
      parts.AsList().push_back(Value::Map{{"part", row.part.empty() ? Value() : Value(row.part)},
                                          {"metric", row.summary.name},
                                          {"value", NumberOrNull(row.summary.value)},
                                          {"standard_error", NumberOrNull(row.summary.standard_error)},
                                          {"items", row.summary.items}});
    }
  }
  return parts;
}

int EvaluateModel(Session& session, const EvaluateArguments& arguments) {
  if (arguments.against_unquantized && arguments.quantized.empty()) {
    throw Error(ErrorKind::kSpec,
                "--against-unquantized compares a quantized model. Name its weights with --quantized.");
  }
  const int threads = SetTorchThreads(arguments.threads);
  const std::vector<LoadedTask> tasks = LoadTasks(session, arguments);
  const ComputeSetting compute{.dtype = ParseDtype(arguments.dtype), .device = arguments.device};
  if (arguments.against_unquantized && arguments.evaluate.stream_blocks) {
    throw Error(ErrorKind::kSpec, "--against-unquantized reads two models side by side, which --stream-blocks does not. Leave "
                                  "one of them out.");
  }
  OpenedModel opened = OpenModelArgument(session.plugins(), arguments.model, arguments.backend, compute);
  const ModelSummary& summary = opened.model->summary();
  Value about;
  if (!arguments.quantized.empty()) {
    QuantizedFile file = OpenQuantized(arguments.quantized);
    about = std::move(file.about);
    about.Set("bits_requested", file.model.bits_requested);
    about.Set("bits_effective", file.model.bits_effective);
    about.Set("codes_digest", file.model.codes_digest);
    if (arguments.evaluate.stream_blocks) {
      opened.model = WithInstalledBlocks(std::move(opened.model), std::move(file.model), {}, arguments.quantized,
                                         std::move(file.read));
    } else {
      InstallQuantized(*opened.model, file.model, arguments.quantized, file.read);
    }
  }
  OpenedModel unquantized;
  if (arguments.against_unquantized) {
    unquantized = OpenModelArgument(session.plugins(), arguments.model, arguments.backend, compute);
  }
  std::vector<TaskResult> results;
  std::vector<TaskComparison> comparisons;
  Value json_tasks(Value::List{});
  std::string samples;
  EvaluateOptions options = arguments.evaluate;
  options.keep_samples = !arguments.samples.empty();
  {
    RequestProgress line(session.quiet);
    for (const LoadedTask& loaded : tasks) {
      const auto show = [&](const EvaluateProgress& progress) { line.Show(progress); };
      TaskResult result = Evaluate(*opened.model, *loaded.task, options, show);
      Value json = TaskJson(result, loaded.task->digest());
      if (const Value parts = PartsJson(result); !parts.AsList().empty()) json.Set("parts", parts);
      if (arguments.against_unquantized) {
        comparisons.push_back(
            CompareWithUnquantized(*unquantized.model, *opened.model, *loaded.task, result, arguments.evaluate, show));
        json.Set("against_unquantized", ComparisonJson(comparisons.back()));
      }
      json_tasks.AsList().push_back(std::move(json));
      if (options.keep_samples) AppendSamples(*loaded.task, result, samples);
      results.push_back(std::move(result));
    }
  }
  opened.CheckUnchanged();
  unquantized.CheckUnchanged();
  if (!arguments.json.empty()) {
    const Value json = Value::Map{{"bitlaw", BITLAW_VERSION},
                                  {"model", summary.name},
                                  {"baseline_note", summary.baseline_note},
                                  {"dtype", std::string(Name(opened.model->compute().dtype))},
                                  {"device", opened.model->compute().device},
                                  {"device_use", DeviceUse(arguments.device)},
                                  {"quantized", about},
                                  {"threads", threads},
                                  {"peak_memory_bytes", PeakMemoryBytes()},
                                  {"tasks", std::move(json_tasks)}};
    if (arguments.json == "-") {
      fmt::print("{}\n", PrettyJson(json));
    } else {
      WriteDurably(arguments.json, PrettyJson(json) + "\n");
    }
  }
  if (!arguments.samples.empty()) WriteDurably(arguments.samples, samples);
  if (arguments.json == "-") return 0;
  fmt::print("{}, {} on {}, opened in {:.2f} s{}\n", summary.name, Name(opened.model->compute().dtype),
             opened.model->compute().device, opened.seconds,
             summary.baseline_note.empty() ? "" : "; " + summary.baseline_note);
  if (!arguments.quantized.empty()) {
    fmt::print("quantized: {:.4g} bits requested, {:.4f} effective\n", about.Find("bits_requested")->AsReal(),
               about.Find("bits_effective")->AsReal());
  }
  PrintTable(results);
  if (arguments.parts) PrintParts(results);
  if (!comparisons.empty()) PrintComparisons(comparisons);
  return 0;
}

}  // namespace

void AddEvaluateVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* verb = app.add_subcommand("evaluate", "Score a model, or a quantized one, on benchmarks");
  verb->add_option("model", arguments->model, "Folder or file of the checkpoint")->required();
  verb->add_option("--task", arguments->tasks, "Task by name, or the path of its file; may be repeated")
      ->required()
      ->delimiter(',');
  verb->add_option("--data", arguments->data, "Folder in which data files are looked for; may be repeated");
  verb->add_option("--limit", arguments->limit, "Score only so many items of each task, or windows of a long text")
      ->check(WholeNumber(1));
  verb->add_option("--option", arguments->options, "TASK.KEY=VALUE: an option of one task; may be repeated");
  verb->add_option("--quantized", arguments->quantized, "File of quantized weights to install (bitlaw quantize)");
  verb->add_flag("--against-unquantized", arguments->against_unquantized,
                 "With --quantized: paired differences, KL and top-1 agreement to the unquantized model");
  verb->add_flag("--parts", arguments->parts, "Show benchmarks that have parts (subjects) part by part");
  verb->add_option("--backend", arguments->backend, "Model backend; without it, the one that knows the format");
  verb->add_option("--dtype", arguments->dtype, "float32 or bfloat16")->capture_default_str();
  verb->add_option("--device", arguments->device, "cpu, cuda, cuda:1")->capture_default_str();
  verb->add_option("--threads", arguments->threads, "Threads of the tensor library; 0: its own choice")
      ->check(WholeNumber(0, 1024));
  verb->add_option("--batch-tokens", arguments->evaluate.batch_tokens, "Tokens of one forward pass; 0: 2048 on the CPU, from free memory elsewhere")
      ->capture_default_str()
      ->check(WholeNumber(0));
  verb->add_option("--kv-bytes", arguments->evaluate.kv_budget_bytes, "Memory for keys and values; 0: 1 GiB on the CPU, a quarter of what is free elsewhere")
      ->capture_default_str()
      ->check(WholeNumber(0));
  verb->add_option("--logits-bytes", arguments->evaluate.logits_budget_bytes,
                   "Memory for the logits of one step; 0: 128 MiB on the CPU, a sixteenth of what is free elsewhere")
      ->capture_default_str()
      ->check(WholeNumber(0));
  verb->add_flag("--stream-blocks", arguments->evaluate.stream_blocks,
                 "Read one block of the model at a time and use it for all texts: for a model larger than memory");
  verb->add_flag("--no-overlap{false}", arguments->evaluate.reads_ahead,
                 "With --stream-blocks: read each block when it is due, not while the one before computes; slower, in the "
                 "memory of one block less");
  verb->add_option("--json", arguments->json, "Write results as JSON to this file; - prints them instead of the table");
  verb->add_option("--samples", arguments->samples,
                   "Write every item with its answers, and the right one, to this JSON-lines file");
  verb->callback(
      [&session, arguments] { session.action = [&session, arguments] { return EvaluateModel(session, *arguments); }; });
}

}  // namespace bitlaw
