#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "api/chance_adjusted.h"
#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/data_text.h"
#include "cli/common/output.h"
#include "cli/verbs.h"
#include "fit/options/grouping.h"
#include "fit/options/quoted_text.h"
#include "import/results/lm_eval_results.h"
#include "plan/factor_columns.h"
#include "records/observations.h"
#include "records/record_store.h"
#include "records/responses/item_responses.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr char kImported[] = "imported";  // The field of a key that only imported records have.

struct ImportArguments {
  std::string source, out, model, quantizer = "none";
  std::vector<std::string> settings, strata;
};

Value SettingValue(const std::string& text) {
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size()) return text;
  const bool is_whole = std::abs(number) < 9e15 && number == std::floor(number);
  return is_whole ? Value(static_cast<int64_t>(number)) : Value(number);
}

// "B=4": a number where it reads as one.
std::vector<RecordedFactor> SettingsOf(const std::vector<std::string>& texts) {
  std::vector<RecordedFactor> factors;
  for (const std::string& text : texts) {
    const auto sides = SplitAssignment(text);
    if (!sides) throw Error(ErrorKind::kSpec, "--set " + text + ": write COLUMN=VALUE.");
    const auto& [column, value] = *sides;
    const auto& reserved = ReservedColumns();
    const bool is_known =
        std::any_of(factors.begin(), factors.end(), [&](const auto& other) { return other.column == column; });
    if (is_known || std::find(reserved.begin(), reserved.end(), column) != reserved.end()) {
      throw Error(ErrorKind::kSpec,
                  "--set " + text + ": '" + column + "' is " +
                      (is_known ? "set twice." : "a column that bitlaw fills in itself. Choose another name."));
    }
    Factor factor{.column = column, .value = SettingValue(value)};
    if (const Factor* known = FindStandardFactor(column)) factor.unit = known->unit, factor.role = known->role;
    if (const std::string why = ExplainFactor(factor); !why.empty())
      throw Error(ErrorKind::kSpec, "--set " + text + ": " + why);
    factors.push_back({column, factor.unit, factor.role, factor.value});
  }
  return factors;
}

std::map<std::string, std::string> StrataOf(const std::vector<std::string>& texts, const HarnessRun& run) {
  std::map<std::string, std::string> strata;
  for (const std::string& text : texts) {
    const auto sides = SplitAssignment(text);
    if (!sides) throw Error(ErrorKind::kSpec, "--stratum " + text + ": write NAME=TASK,TASK,...");
    for (const std::string& task : ParseTaskList(sides->second)) {
      std::vector<std::string> names;
      for (const HarnessTask& one : run.tasks) names.push_back(one.card.name);
      if (std::find(names.begin(), names.end(), task) == names.end()) {
        throw Error(ErrorKind::kSpec, "--stratum " + text + ": the run has no task '" + task + "'." +
                                          DidYouMean(task, names) + " Tasks: " + JoinNames(names) + ".");
      }
      strata[task] = sides->first;
    }
  }
  return strata;
}

double NumberOf(const std::vector<RecordedFactor>& factors, std::string_view column) {
  const Value* value = FindFactor(factors, column);
  return value != nullptr && value->is_number() ? value->AsReal() : kMissing;
}

TrialHeader TrialOf(const std::string& model, const std::string& quantizer,
                    const std::vector<RecordedFactor>& settings) {
  TrialHeader trial;
  trial.label = model + " " + quantizer;
  for (const RecordedFactor& factor : settings) {
    trial.axes.emplace_back(factor.column, factor.value);
    if (quantizer != "none" && factor.role != FactorRole::kScale)
      trial.label += " " + factor.column + "=" + DataText(factor.value);
  }
  Value::Map axes(trial.axes.begin(), trial.axes.end());
  trial.id = DigestOf(Value(Value::Map{{"model", model}, {"quantizer", quantizer}, {"set", axes}}).CanonicalJson())
                 .substr(0, 12);
  return trial;
}

// The imported records of a folder, by trial and task. A study's own folder is refused: its rows would be lost here.
std::vector<TaskRecord> ImportedRecords(const RecordStore& store) {
  std::vector<TaskRecord> records;
  const fs::path folder = store.output() / "records";
  if (!fs::is_directory(folder)) return records;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    std::vector<std::string> faults;
    auto record = store.FindTask(file.stem().string(), faults);
    if (!record || record->key.Find(kImported) == nullptr) {
      throw Error(ErrorKind::kIo,
                  file.string() + (faults.empty() ? ": is of a study's own run. Import into another folder (--out)."
                                                  : ": cannot be read: " + faults.front()));
    }
    records.push_back(std::move(*record));
  }
  const auto place = [](const TaskRecord& x) { return std::tie(x.trial.label, x.trial.id, x.card.name); };
  std::sort(records.begin(), records.end(),
            [&](const TaskRecord& a, const TaskRecord& b) { return place(a) < place(b); });
  return records;
}

std::string QuantizerOf(const TaskRecord& record) { return record.key.Find("quantizer")->AsString(); }

// The rows of observations.csv, and what columns.json says of their factors.
Table ObservationsOf(const std::vector<TaskRecord>& records, const RecordStore& store, const std::string& study,
                     std::vector<ObservationColumn>& columns) {
  std::vector<RecordedFactor> factors;  // Each column once.
  for (const TaskRecord& record : records) {
    for (const RecordedFactor& factor : record.factors) {
      const auto same = [&](const RecordedFactor& other) { return other.column == factor.column; };
      if (std::none_of(factors.begin(), factors.end(), same)) factors.push_back(factor);
    }
  }
  struct Row {
    const TaskRecord* record;
    size_t metric;
  };
  std::vector<Row> rows;
  for (const TaskRecord& record : records) {
    for (size_t m = 0; m < record.metrics.size(); ++m) rows.push_back({&record, m});
  }
  Table table;
  const auto text = [&](const char* name, auto&& of) {
    std::vector<std::string> cells;
    for (const Row& row : rows) cells.push_back(of(*row.record, row.metric));
    table.AddTexts(name, std::move(cells));
    columns.push_back({.name = name, .is_text = true, .factor = {}, .origin = ""});
  };
  const auto number = [&](const char* name, auto&& of) {
    std::vector<double> cells;
    for (const Row& row : rows) cells.push_back(of(*row.record, row.metric));
    table.AddNumbers(name, std::move(cells));
    columns.push_back({.name = name, .is_text = false, .factor = {}, .origin = ""});
  };
  const auto is_accuracy = [](const TaskRecord& x, size_t m) {
    return x.card.metrics[m].kind == MetricKind::kAccuracy;
  };
  text("study", [&](const TaskRecord&, size_t) { return study; });
  text("trial", [](const TaskRecord& x, size_t) { return x.trial.id; });
  text("label", [](const TaskRecord& x, size_t) { return x.trial.label; });
  text("model", [](const TaskRecord& x, size_t) { return x.model.name; });
  text("quantizer", [](const TaskRecord& x, size_t) { return QuantizerOf(x); });
  text("dtype", [](const TaskRecord& x, size_t) { return x.model.stored_dtype; });
  for (const RecordedFactor& factor : factors) {
    const auto value = [&](const TaskRecord& x) { return FindFactor(x.factors, factor.column); };
    const bool is_text = std::any_of(rows.begin(), rows.end(), [&](const Row& row) {
      return value(*row.record) != nullptr && value(*row.record)->is_string();
    });
    if (is_text) {
      text(factor.column.c_str(),
           [&](const TaskRecord& x, size_t) { return value(x) == nullptr ? "" : DataText(*value(x)); });
    } else {
      number(factor.column.c_str(), [&](const TaskRecord& x, size_t) { return NumberOf(x.factors, factor.column); });
    }
    columns.back().factor = Factor{.column = factor.column, .unit = factor.unit, .role = factor.role};
    columns.back().origin = "import";
  }
  text("task", [](const TaskRecord& x, size_t) { return x.card.name; });
  text("stratum", [](const TaskRecord& x, size_t) { return x.card.stratum; });
  text("metric", [](const TaskRecord& x, size_t m) { return x.card.metrics[m].name; });
  text("metric_kind", [](const TaskRecord& x, size_t m) { return MetricKindName(x.card.metrics[m].kind); });
  number("primary", [](const TaskRecord&, size_t m) { return m == 0 ? 1 : 0; });
  number("value", [](const TaskRecord& x, size_t m) { return x.metrics[m].value; });
  number("standard_error", [](const TaskRecord& x, size_t m) { return x.metrics[m].standard_error; });
  number("items", [](const TaskRecord& x, size_t m) { return static_cast<double>(x.metrics[m].items); });
  number("chance", [&](const TaskRecord& x, size_t m) { return is_accuracy(x, m) ? x.metrics[m].chance : kMissing; });
  number("acc_adj", [&](const TaskRecord& x, size_t m) {
    return is_accuracy(x, m) ? ChanceAdjusted(x.metrics[m].value, x.metrics[m].chance) : kMissing;
  });
  number("limit",
         [](const TaskRecord& x, size_t) { return x.card.limit ? static_cast<double>(*x.card.limit) : kMissing; });
  std::map<std::pair<std::string, std::string>, const TaskRecord*> unquantized;  // By model and task: the first.
  for (const TaskRecord& record : records) {
    if (QuantizerOf(record) == "none") unquantized.emplace(std::pair(record.model.name, record.card.name), &record);
  }
  const auto baseline_of = [&](const TaskRecord& x) -> const TaskRecord* {
    const auto found = unquantized.find({x.model.name, x.card.name});
    return found == unquantized.end() ? nullptr : found->second;
  };
  number("baseline_value", [&](const TaskRecord& x, size_t m) {
    const TaskRecord* baseline = baseline_of(x);
    for (size_t i = 0; baseline != nullptr && i < baseline->metrics.size(); ++i) {
      if (baseline->metrics[i].name == x.metrics[m].name) return baseline->metrics[i].value;
    }
    return kMissing;
  });
  ItemResponseReader reader(store);
  std::map<const TaskRecord*, ItemResponses> responses;
  for (const TaskRecord& record : records) responses[&record] = reader.Of(record, baseline_of(record));
  for (const ItemResponseColumn& column : ItemResponseColumns())
    number(column.name, [&](const TaskRecord& x, size_t) { return responses.at(&x).*column.member; });
  text("record", [](const TaskRecord& x, size_t) { return RecordDigest(x.key); });
  return table;
}

int Import(const ImportArguments& arguments) {
  const HarnessRun run = ReadHarnessRun(arguments.source);
  const std::vector<RecordedFactor> settings = SettingsOf(arguments.settings);
  const std::map<std::string, std::string> strata = StrataOf(arguments.strata, run);
  const std::string model = arguments.model.empty() ? run.model : arguments.model;
  const TrialHeader trial = TrialOf(model, arguments.quantizer, settings);
  const RecordStore store{fs::path(arguments.out)};
  const std::vector<TaskRecord> before = ImportedRecords(store);
  std::vector<std::pair<TaskRecord, const HarnessTask*>> records;
  for (const HarnessTask& task : run.tasks) {
    for (const std::string& note : task.notes) Complain("warning: " + note + ".\n");
    if (task.metrics.empty()) continue;
    TaskRecord record;
    record.key = Value::Map{{"format", kRecordFormat},
                            {"kind", "task"},
                            {kImported, "lm_eval " + run.version},
                            {"trial", trial.id},
                            {"quantizer", arguments.quantizer},
                            {"task", task.card.name},
                            {"results_digest", run.results_digest},
                            {"samples_digest", task.samples_digest.empty() ? Value() : Value(task.samples_digest)}};
    record.trial = trial;
    record.model.name = model;
    record.model.stored_dtype = run.dtype;
    record.model.parameters_total = run.parameters_total;
    if (arguments.quantizer != "none") {
      record.quantization = QuantizationHeader{.record = "",
                                               .codes_digest = "",
                                               .bits_requested = NumberOf(settings, "B"),
                                               .bits_effective = NumberOf(settings, "bits_effective"),
                                               .fallbacks = {}};
    }
    record.factors = settings;
    if (run.parameters_total > 0 && FindFactor(settings, "parameters_total") == nullptr) {
      const Factor total = StandardFactor("parameters_total", run.parameters_total);
      record.factors.push_back({total.column, total.unit, total.role, total.value});
    }
    record.card = task.card;
    if (const auto stratum = strata.find(task.card.name); stratum != strata.end())
      record.card.stratum = stratum->second;
    record.metrics = task.metrics;
    for (const RecordedFactor& factor : TaskFactors(record.card, task.items)) record.factors.push_back(factor);
    for (const TaskRecord& other : before) {
      if (other.trial.id != trial.id || other.card.name != task.card.name ||
          RecordDigest(other.key) == RecordDigest(record.key))
        continue;
      throw Error(ErrorKind::kSpec, arguments.out + ": trial '" + trial.label + "' has other results of task '" +
                                        task.card.name + "' already (" +
                                        store.RecordPath(RecordDigest(other.key)).string() +
                                        "). Tell them apart (--model, --quantizer, --set), or remove that file.");
    }
    records.emplace_back(std::move(record), &task);
  }
  fs::create_directories(store.output());
  for (auto& [record, task] : records) store.Write(record, task->items);
  const std::vector<TaskRecord> after = ImportedRecords(store);
  std::vector<ObservationColumn> columns;
  const Table table =
      ObservationsOf(after, store, fs::absolute(arguments.out).lexically_normal().filename().string(), columns);
  WriteDurably(store.output() / "columns.json", WriteColumns(columns));
  WriteDurably(store.output() / "observations.csv", WriteCsv(table));
  size_t items = 0;
  for (const auto& [record, task] : records) items += task->items.size();
  fmt::print("{}: {}, {} of {}\n{}: {}\n", trial.label, Counted(records.size(), "task"), Counted(items, "item"),
             run.results.string(), (store.output() / "observations.csv").string(), Counted(table.rows(), "row"));
  return 0;
}

}  // namespace

void AddImportVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* verb = app.add_subcommand(
      "import",
      "Take over what lm-evaluation-harness measured: observations for fits, items for paired, strata and samples");
  verb->footer(
      "One call a run: the unquantized model's with --quantizer none, each quantized one's with its own settings.\n"
      "Runs of one model are compared where --model is the same.");
  verb->add_option("results", arguments->source,
                   "results_*.json of lm_eval --output_path, or the folder that holds one run")
      ->required();
  verb->add_option("--out", arguments->out, "Output folder: records/ and observations.csv, to which runs are added")
      ->required();
  verb->add_option("--model", arguments->model,
                   "Name of the model before quantization; without it, the end of the run's path");
  verb->add_option("--quantizer", arguments->quantizer, "What quantized it, e.g. gptq; none: the unquantized model")
      ->capture_default_str();
  verb->add_option("--set", arguments->settings, "A column of the observations, e.g. B=4 or N=1.7e9; may be repeated")
      ->allow_extra_args(false);
  verb->add_option("--stratum", arguments->strata, "Tasks of a stratum, KA=arc_easy,piqa; may be repeated")
      ->allow_extra_args(false);
  verb->callback([arguments, &session] { session.action = [arguments] { return Import(*arguments); }; });
}

}  // namespace bitlaw
