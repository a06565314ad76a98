#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/files/durable_file.h"
#include "base/files/scratch_folder.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/common/record_argument.h"
#include "cli/tensor/worker_command.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "plan/work_study.h"
#include "records/folder/compare.h"
#include "records/folder/listing.h"
#include "resolve/resolved_study.h"
#include "run/launcher.h"
#include "run/machine/machine.h"
#include "run/machine/output_lock.h"
#include "run/progress.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShown = 10;

struct ReproduceArguments {
  std::string record, results, study, device, output, json;
  int threads = 0;
};

// What the record's trial is to be run by.
struct Found {
  Plan plan;  ///< With this trial alone, and of its tasks the record's.
  EvaluateOptions evaluate;
  std::string study_digest;  ///< Of all of the study.
};

// The folder that was named, which must be new or empty.
fs::path NewFolder(const std::string& wanted) {
  std::error_code error;
  if (fs::exists(wanted, error) && !(fs::is_directory(wanted, error) && fs::is_empty(wanted, error))) {
    throw Error(ErrorKind::kIo, wanted + ": is there already. Name a new or empty folder with --output.");
  }
  return fs::absolute(wanted).lexically_normal();
}

// The study of the record's folder as it was run last, or the one that --study names.
Found FindStudy(Session& session, const ReproduceArguments& arguments, const RecordStore& store) {
  Found found;
  if (!arguments.study.empty()) {
    StudySpec study = ReadStudy(arguments.study, session.plugins(), session.SearchFolders());
    study.output = store.output();
    ResolvedStudy resolved = Resolve(study, session.plugins(), nullptr);
    found.plan = std::move(resolved.plan);
    found.evaluate = resolved.evaluate;
    found.study_digest = DigestOf(WriteWorkStudy(found.plan, found.evaluate));
    return found;
  }
  const fs::path work = WorkFile(store.output()), trials = store.output() / kTrialsFile;
  if (!fs::exists(work) || !fs::exists(trials)) {
    throw Error(ErrorKind::kSpec,
                fmt::format("{}: it has no {}, so that the study of the record is not known. Name it: --study "
                            "STUDY.yaml.",
                            store.output().string(), (fs::exists(work) ? trials : work).filename().string()));
  }
  WorkStudy study = ReadWorkStudy(ReadWholeFile(work), work.string());
  found.plan = std::move(study.plan);
  found.evaluate = study.evaluate;
  found.study_digest = study.digest;
  for (CampaignTrial& one : ReadTrials(ReadWholeFile(trials), trials.string())) {
    CheckTrial(one.trial, found.plan);
    found.plan.trials.push_back(std::move(one.trial));
  }
  return found;
}

// Leaves of a plan the one trial and the one task, none for a quantization.
void Reduce(const std::string& trial, const std::string& label, const std::string& task, bool is_of_file,
            Found& found) {
  std::vector<Trial>& trials = found.plan.trials;
  const auto one = std::find_if(trials.begin(), trials.end(), [&](const Trial& x) { return x.id == trial; });
  const std::string where = is_of_file ? "the study of --study" : "the last run of its folder";
  if (one == trials.end()) {
    throw Error(ErrorKind::kSpec,
                fmt::format("trial {} ('{}') is none of {}. Name the study that has it: --study STUDY.yaml.", trial,
                            label, where));
  }
  Trial wanted = std::move(*one);
  trials = {std::move(wanted)};
  std::vector<TaskSpec>& tasks = found.plan.study.tasks;
  std::erase_if(tasks, [&](const TaskSpec& x) { return x.name != task; });
  if (!task.empty() && tasks.empty()) {
    throw Error(ErrorKind::kSpec,
                fmt::format("task '{}' is none of {}. Name the study that has it: --study STUDY.yaml.", task, where));
  }
}

std::string DeviceFor(const ReproduceArguments& arguments, const Value& timings, const Trial& trial) {
  if (!arguments.device.empty()) return arguments.device;
  const std::vector<std::string> devices = Devices();
  const Value* recorded = timings.is_map() ? timings.Find("device") : nullptr;
  if (recorded != nullptr && recorded->is_string() &&
      std::find(devices.begin(), devices.end(), recorded->AsString()) != devices.end())
    return recorded->AsString();
  return trial.compute.device;
}

int ThreadsFor(const ReproduceArguments& arguments, const Value& timings) {
  if (arguments.threads > 0) return arguments.threads;
  const Value* recorded = timings.is_map() ? timings.Find("threads") : nullptr;
  if (recorded != nullptr && recorded->is_int() && recorded->AsInt() > 0 && recorded->AsInt() <= 1024)
    return static_cast<int>(recorded->AsInt());
  return Session::ThisMachine().threads;
}

// Runs the plan's one trial in a folder of its own; the digest of the record that is of the same kind.
std::string RunAgain(Session& session, Found& found, const fs::path& scratch, const std::string& device, int threads,
                     bool is_task, LaunchResult& result) {
  found.plan.study.output = scratch;
  OutputLock lock(scratch);
  LaunchOptions options;
  options.output = scratch;
  options.lock = &lock;
  options.evaluate = found.evaluate;
  options.devices = {device};
  options.worker_command = WorkerCommand(session, scratch, threads);
  {
    ProgressDisplay display(stderr, session.quiet);
    result = Launch(found.plan, session.plugins(), options, display.sink());
  }
  if (!result.failures.empty() || result.stopped_by != 0) return "";
  const RecordStore store(scratch);
  for (const auto& [digest, files] : ListFolder(scratch).records) {
    if (files.record && ReadWholeRecord(store, digest).is_task == is_task) return digest;
  }
  throw InternalError("the trial ended and left no record");
}

std::string Number(double value) { return std::isnan(value) ? "none" : fmt::format("{}", value); }

std::string Listed(const std::vector<std::string>& names) {
  std::vector<std::string> shown(names.begin(),
                                 names.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, names.size())));
  return JoinNames(shown) + (shown.size() < names.size() ? ", ..." : "");
}

void PrintDifferences(const std::string& title, const std::vector<EntryDifference>& differences) {
  if (differences.empty()) return;
  Say(title + "\n");
  const auto text = [](const Value& value) {
    return value.is_null() ? "(not recorded)" : value.is_string() ? value.AsString() : value.Text();
  };
  for (const EntryDifference& one : differences)
    Say(fmt::format("  {}: {} -> {}\n", one.name, text(one.then), text(one.now)));
}

void Print(const RecordComparison& comparison, const std::string& title) {
  Say(fmt::format("{}: {}\n", title, comparison.is_equal() ? "reproduced, to the last bit" : "not reproduced"));
  if (!comparison.codes_then.empty() || !comparison.codes_now.empty()) {
    Say(comparison.codes_then == comparison.codes_now
            ? fmt::format("  codes: equal, SHA-256 {}\n", ShortDigest(comparison.codes_then))
            : fmt::format("  codes: SHA-256 {} -> {}\n", ShortDigest(comparison.codes_then),
                          ShortDigest(comparison.codes_now)));
  }
  for (const MetricComparison& metric : comparison.metrics) {
    if (metric.then == metric.now || (std::isnan(metric.then) && std::isnan(metric.now))) {
      Say(fmt::format("  {}: equal, {}\n", metric.name, Number(metric.then)));
    } else {
      const double difference = metric.now - metric.then;
      Say(fmt::format("  {}: {} -> {}, {:+.4g}{}\n", metric.name, Number(metric.then), Number(metric.now), difference,
                      metric.standard_error > 0
                          ? fmt::format(" ({:.2f} standard errors)", std::abs(difference) / metric.standard_error)
                          : ""));
    }
    if (metric.items > 0)
      Say(fmt::format("    {} of {} items differ in it, by {:.4g} at most\n", metric.items, comparison.items,
                      metric.largest_difference));
  }
  if (!comparison.metrics.empty()) {
    const size_t different = comparison.different_items.size();
    Say(fmt::format("  items: {} of {} equal{}\n", comparison.items - different, comparison.items,
                    different == 0 ? "" : "; others: " + Listed(comparison.different_items)));
    if (comparison.items_in_one > 0) Say(fmt::format("  items: {} in one of both only\n", comparison.items_in_one));
    if (comparison.largest_nats > 0)
      Say(fmt::format("  loglikelihoods: differ by {:.3g} nats at most\n", comparison.largest_nats));
  }
  if (!comparison.layers.empty()) Say("  layers of other bits or fallback: " + Listed(comparison.layers) + "\n");
  PrintDifferences("What determines the numbers is not the same:", comparison.key);
  PrintDifferences("Provenance that differs:", comparison.provenance);
}

Value JsonOf(const std::vector<EntryDifference>& differences) {
  Value::List list;
  for (const EntryDifference& one : differences)
    list.emplace_back(Value::Map{{"name", one.name}, {"then", one.then}, {"now", one.now}});
  return list;
}

Value JsonOf(const RecordComparison& comparison, const fs::path& record) {
  Value::List metrics;
  for (const MetricComparison& one : comparison.metrics) {
    metrics.emplace_back(Value::Map{{"name", one.name},
                                    {"then", NumberOrNull(one.then)},
                                    {"now", NumberOrNull(one.now)},
                                    {"items_that_differ", static_cast<int64_t>(one.items)},
                                    {"largest_difference", NumberOrNull(one.largest_difference)}});
  }
  return Value::Map{
      {"record", record.string()},
      {"equal", comparison.is_equal()},
      {"codes_then", comparison.codes_then},
      {"codes_now", comparison.codes_now},
      {"metrics", metrics},
      {"items", static_cast<int64_t>(comparison.items)},
      {"items_in_one", static_cast<int64_t>(comparison.items_in_one)},
      {"different_items", Value::List(comparison.different_items.begin(), comparison.different_items.end())},
      {"largest_difference_nats", NumberOrNull(comparison.largest_nats)},
      {"layers", Value::List(comparison.layers.begin(), comparison.layers.end())},
      {"key", JsonOf(comparison.key)},
      {"provenance", JsonOf(comparison.provenance)}};
}

// The scratch folder's work file has one task: what counts is the study's.
void SetStudyDigest(const std::string& digest, const Value& timings, RecordComparison& comparison) {
  std::erase_if(comparison.provenance, [](const EntryDifference& one) { return one.name == "study_digest"; });
  const Value* then = timings.is_map() ? timings.Find("study_digest") : nullptr;
  if (then == nullptr || !(*then == Value(digest)))
    comparison.provenance.push_back({"study_digest", then == nullptr ? Value() : *then, digest});
}

int Reproduce(Session& session, const ReproduceArguments& arguments) {
  const fs::path file = RecordFile(arguments.record, arguments.results);
  const std::string digest = file.stem().string();
  const RecordStore store(file.parent_path().parent_path().parent_path());
  const WholeRecord record = ReadWholeRecord(store, digest);
  if (record.other_format != 0) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: the record's format is {}. Reproduce it with the bitlaw that wrote it.", file.string(),
                            record.other_format));
  }
  if (record.json.Find("key")->Find("imported") != nullptr) {
    throw Error(ErrorKind::kUnsupported,
                file.string() + ": was imported; the program that measured it can do it again.");
  }
  const Value& trial = *record.json.Find("trial");
  const std::string label = trial.Find("label")->AsString();
  const std::string task = record.is_task ? record.json.Find("task")->Find("name")->AsString() : "";
  Found found = FindStudy(session, arguments, store);
  Reduce(trial.Find("id")->AsString(), label, task, !arguments.study.empty(), found);
  const Value timings = store.Timings(digest);
  std::optional<ScratchFolder> scratch;
  const fs::path output = arguments.output.empty() ? scratch.emplace("reproduce").path() : NewFolder(arguments.output);
  LaunchResult result;
  const std::string again =
      RunAgain(session, found, output, DeviceFor(arguments, timings, found.plan.trials.front()),
               ThreadsFor(arguments, timings), record.is_task, result);
  if (result.stopped_by != 0) {
    Complain("bitlaw: stopped; nothing was compared.\n");
    return 128 + result.stopped_by;
  }
  for (const TrialFailure& failure : result.failures) {
    Complain(fmt::format("bitlaw: {} could not be run again: [{}] {}{}\n", label, failure.kind,
                         failure.stage.empty() ? "" : failure.stage + ": ", failure.reason));
  }
  if (again.empty()) return kExitFailedTrials;
  RecordComparison comparison = CompareRecords(store, digest, RecordStore(output), again);
  SetStudyDigest(found.study_digest, timings, comparison);
  if (arguments.json == "-") {
    Say(PrettyJson(JsonOf(comparison, file)) + "\n");
  } else {
    Print(comparison, label + (task.empty() ? ", quantization" : ", " + task));
    if (!arguments.json.empty()) WriteDurably(arguments.json, PrettyJson(JsonOf(comparison, file)) + "\n");
  }
  return comparison.is_equal() ? 0 : ExitCode(ErrorKind::kNumerical);
}

}  // namespace

void AddReproduceVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ReproduceArguments>();
  CLI::App* verb = app.add_subcommand(
      "reproduce", "Run the trial of one record again, elsewhere, and compare metrics, items, codes and provenance");
  verb->add_option("record", arguments->record, "A record's file, or the beginning of its name with --results")
      ->required();
  verb->add_option("--results", arguments->results, "Output folder that holds the record");
  verb->add_option("--study", arguments->study,
                   "The study's file; without it, what the last run of the folder left there")
      ->check(CLI::ExistingFile);
  verb->add_option("--device", arguments->device, "cpu, cuda, cuda:1; without it, the one of the record");
  verb->add_option("--threads", arguments->threads, "Threads; 0: as many as the record was made with")
      ->check(WholeNumber(0, 1024));
  verb->add_option("--output", arguments->output,
                   "A new folder in which what is done again stays; without it, a temporary one");
  verb->add_option("--json", arguments->json,
                   "Write the comparison as JSON to this file; - prints it instead of the text");
  verb->footer(
      "Of a task's record the quantization and that task are done again, of a quantization's record the quantization. "
      "Exit code "
      "0: metrics, items and codes are the same to the last bit; 6: they are not.");
  verb->callback(
      [&session, arguments] { session.action = [&session, arguments] { return Reproduce(session, *arguments); }; });
}

}  // namespace bitlaw
