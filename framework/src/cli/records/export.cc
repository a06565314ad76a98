#include <fmt/format.h>

#include <chrono>
#include <map>
#include <memory>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/task/task_fields.h"
#include "cli/common/output.h"
#include "cli/records/records_parts.h"
#include "cli/results/recorded_items.h"
#include "cli/study/study_text.h"
#include "cli/usage/value_checks.h"
#include "fit/options/quoted_text.h"
#include "records/folder/bundle.h"
#include "records/interchange/every_eval_ever_writer.h"
#include "records/interchange/lm_eval_writer.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct ExportArguments {
  std::string folder, to, format = "bundle";
  std::string trial, task, organization, relationship = "third_party";
  std::vector<std::string> data, model_ids;
  bool no_codes = false, no_texts = false;
};

int ExportBundle(const ExportArguments& arguments) {
  std::error_code error;
  if (fs::exists(arguments.to, error))
    throw Error(ErrorKind::kIo, arguments.to + ": is there already. Name a new file.");
  const BundleResult result = WriteBundle(RecordStore{fs::path(arguments.folder)},
                                          arguments.no_codes ? nullptr : CodesDigests(), BITLAW_VERSION, arguments.to);
  Say(fmt::format("{}: {} in {}, {}. `bitlaw records merge {} FOLDER` puts them into a folder.\n", arguments.to,
                  Counted(result.records, "record"), Counted(result.files, "file"),
                  SizeText(static_cast<double>(fs::file_size(arguments.to))), arguments.to));
  ComplainOfDamage(result.damaged);
  if (result.damaged.empty()) return 0;
  Complain(fmt::format("bitlaw: {} left out as damaged.\n", Counted(result.damaged.size(), "file was", "files were")));
  return ExitCode(ErrorKind::kIo);
}

// The texts of the record's items, in their order; none where an item has several rows (windows of a text).
std::vector<ItemTexts> TextsOf(const RecordedItems::OpenedTask& opened, const std::vector<ItemScore>& scores,
                               int64_t& available) {
  std::map<std::string, ItemTexts> by_id;
  for (TaskItem& item : opened.task->Items()) {
    const auto place = static_cast<int64_t>(by_id.size());
    by_id[item.id] = {item.id, place, Value(), std::move(item.requests)};
  }
  if (opened.options.map().Find("prompt") != nullptr) {
    const PromptedItems prompted(opened.options, opened.spec.context);
    available = prompted.available();
    for (const PromptedItems::Item& item : prompted.items()) {
      const auto found = by_id.find(item.id);
      if (found == by_id.end()) continue;
      Value::Map row;
      for (const auto& field : item.row.AsMap()) {
        if (field.first != "_file") row.push_back(field);  // ReadDataRows() adds it.
      }
      found->second.row = std::move(row);
      // Without a field of ids an item is called by its place among all rows.
      if (item.id.find_first_not_of("0123456789") == std::string::npos && item.id.size() < 18)
        found->second.place = std::stoll(item.id);
    }
  }
  std::vector<ItemTexts> texts;
  for (const ItemScore& score : scores) {
    const auto found = by_id.find(score.id);
    if (found == by_id.end()) return {};
    texts.push_back(found->second);
  }
  return texts;
}

std::vector<RecordedTrial> TrialsOf(const ExportArguments& arguments, Session& session) {
  const RecordedItems recorded(arguments.folder, session);
  const RecordStore store{fs::path(arguments.folder)};
  const std::string study = recorded.observations().CellText(recorded.observations().At("study", arguments.folder), 0);
  std::vector<RecordedTrial> trials;
  for (const RecordedItems::Entry& entry : recorded.Select(arguments.trial, arguments.task)) {
    if (trials.empty() || trials.back().id != entry.trial) trials.push_back({study, entry.trial, entry.label, {}});
    RecordedTask task;
    task.digest = entry.digest;
    task.record = recorded.Record(entry);
    task.items = recorded.Items(task.record);
    task.timings = store.Timings(entry.digest);
    if (!arguments.no_texts)
      task.texts = TextsOf(recorded.Open(entry, task.record, arguments.data, "texts (--no-texts)", session), task.items,
                           task.available);
    trials.back().tasks.push_back(std::move(task));
  }
  return trials;
}

EvaluationSource SourceOf(const ExportArguments& arguments) {
  if (arguments.organization.empty()) {
    throw Error(ErrorKind::kSpec,
                "--format every-eval-ever: the schema asks who provides the data. Name it with --organization.");
  }
  EvaluationSource source;
  source.organization = arguments.organization;
  source.relationship = arguments.relationship;
  for (const std::string& text : arguments.model_ids) {
    const auto sides = SplitAssignment(text);
    if (!sides || sides->second.empty())
      throw Error(ErrorKind::kSpec, "--model-id " + text + ": write NAME=DEVELOPER/MODEL.");
    source.model_ids[sides->first] = sides->second;
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  source.retrieved_timestamp = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  source.version = BITLAW_VERSION;
  return source;
}

int ExportForms(const ExportArguments& arguments, Session& session) {
  std::optional<EvaluationSource> source;
  if (arguments.format == "every-eval-ever") source = SourceOf(arguments);
  std::vector<std::string> notes;
  size_t written = 0;
  for (const RecordedTrial& trial : TrialsOf(arguments, session)) {
    const fs::path file = source ? WriteEveryEvalEver(trial, *source, arguments.to, notes)
                                 : WriteHarnessRun(trial, BITLAW_VERSION, arguments.to, notes);
    Say(file.string() + "\n");
    ++written;
  }
  // The same of each trial.
  std::sort(notes.begin(), notes.end());
  notes.erase(std::unique(notes.begin(), notes.end()), notes.end());
  for (const std::string& note : notes) Complain("note: " + note + ".\n");
  Say(fmt::format("{} written.\n", Counted(written, "trial")));
  return 0;
}

int Export(const ExportArguments& arguments, Session& session) {
  return arguments.format == "bundle" ? ExportBundle(arguments) : ExportForms(arguments, session);
}

}  // namespace

void AddRecordsExport(CLI::App& records, Session& session) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* verb = records.add_subcommand(
      "export",
      "Write the records of a folder into one file for another machine, or as results of another program's form");
  verb->add_option("folder", arguments->folder, "Output folder of a study")->required();
  verb->add_option("to", arguments->to, "The bundle to write, a file; of another form a folder")->required();
  verb->add_option(
          "--format", arguments->format,
          "bundle: all records with items, timings and codes, for `bitlaw records merge`; lm-eval: results_*.json and "
          "samples_*.jsonl of lm-evaluation-harness, a folder a trial; every-eval-ever: that schema, a file a trial")
      ->capture_default_str()
      ->check(OneOf({"bundle", "lm-eval", "every-eval-ever"}));
  verb->add_flag("--no-codes", arguments->no_codes, "Of a bundle: leave codes of quantized weights out");
  verb->add_option("--trial", arguments->trial, "Of other forms: trials by label or id; * and ? stand for any letters");
  verb->add_option("--task", arguments->task, "Of other forms: one task");
  verb->add_option("--data", arguments->data, "Folder in which data files of tasks are looked for; may be repeated")
      ->allow_extra_args(false);
  verb->add_flag("--no-texts", arguments->no_texts, "Of other forms: results alone, without the items and their texts");
  verb->add_option("--organization", arguments->organization, "Of every-eval-ever: who provides the data");
  verb->add_option("--relationship", arguments->relationship, "Of every-eval-ever: of that organization to the model")
      ->capture_default_str()
      ->check(OneOf({"first_party", "third_party", "collaborative", "other"}));
  verb->add_option("--model-id", arguments->model_ids,
                   "Of every-eval-ever: NAME=DEVELOPER/MODEL, for a model of the study; may be repeated")
      ->allow_extra_args(false);
  verb->footer(
      "Samples need the tasks' data at hand, which must be those of the records. doc_hash, prompt_hash and target_hash "
      "are "
      "computed as lm-evaluation-harness does.");
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return Export(*arguments, session); }; });
}

}  // namespace bitlaw
