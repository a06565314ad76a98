#include "cli/results/recorded_items.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/common/unmatched_records.h"
#include "fit/study/study_results.h"
#include "plan/plan.h"
#include "plan/work_study.h"
#include "records/observations.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// The tasks of the folder's last run. None where it has no work file, or one of another bitlaw.
std::vector<TaskSpec> TasksOfLastRun(const fs::path& output) {
  const fs::path file = WorkFile(output);
  if (!fs::is_regular_file(file)) return {};
  try {
    return ReadWorkStudy(ReadWholeFile(file), file.string()).plan.study.tasks;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kIo) throw;
    return {};
  }
}

Table ReadObservations(const std::string& source, Session& session, fs::path& output, std::vector<TaskSpec>& tasks) {
  if (fs::is_directory(source)) {
    output = source;
    const fs::path file = output / "observations.csv";
    if (!fs::is_regular_file(file)) {
      throw Error(ErrorKind::kIo, source +
                                      ": it holds no observations.csv, so it is no output folder of a study that "
                                      "has been run. Name one, or a study file.");
    }
    tasks = TasksOfLastRun(output);
    return ReadCsv(file, {ObservationTextColumns()});
  }
  const StudySpec study = ReadStudy(source, session.plugins(), session.SearchFolders());
  output = study.output;
  tasks = study.tasks;
  std::vector<std::string> warnings;
  const Plan plan = MakePlan(study, session.plugins());
  Table table = Observations(plan, session.plugins(), {}, &warnings);
  for (const std::string& warning : warnings) Complain("warning: " + warning + "\n");
  if (table.rows() == 0) throw Error(ErrorKind::kIo, source + ": " + UnmatchedRecords(plan, source));
  return table;
}

}  // namespace

RecordedItems::RecordedItems(const std::string& source, Session& session) : source_(source), store_("") {
  observations_ = ReadObservations(source, session, output_, tasks_);
  store_ = RecordStore(output_);
  if (observations_.rows() == 0) {
    throw Error(ErrorKind::kIo,
                source + ": nothing has been recorded in " + output_.string() + ". Run the study first.");
  }
  const auto text = [&](const char* name, size_t row) {
    return observations_.CellText(observations_.At(name, source), row);
  };
  for (size_t row = 0; row < observations_.rows(); ++row) {
    Entry entry{text("trial", row), text("label", row),   text("model", row), text("quantizer", row),
                text("task", row),  text("stratum", row), text("record", row)};
    // A row a metric; an entry a record.
    const bool known = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& before) {
      return before.digest == entry.digest && before.trial == entry.trial && before.task == entry.task;
    });
    if (!known) entries_.push_back(std::move(entry));
  }
}

namespace {

// By label or id; a pattern with * or ? by the whole of either. A label that holds such a sign is found as it stands.
bool IsTrial(const RecordedItems::Entry& entry, const std::string& wanted) {
  if (wanted.empty() || entry.trial == wanted || entry.label == wanted) return true;
  if (wanted.find_first_of("*?") == std::string::npos) return false;
  return ::fnmatch(wanted.c_str(), entry.label.c_str(), 0) == 0 ||
         ::fnmatch(wanted.c_str(), entry.trial.c_str(), 0) == 0;
}

}  // namespace

std::vector<RecordedItems::Entry> RecordedItems::Select(const std::string& trial, const std::string& task) const {
  std::vector<std::string> trials, tasks;
  std::vector<Entry> selected;
  for (const Entry& entry : entries_) {
    trials.push_back(entry.label);
    tasks.push_back(entry.task);
    if (IsTrial(entry, trial) && (task.empty() || entry.task == task)) selected.push_back(entry);
  }
  if (!selected.empty()) return selected;
  const auto known = [](std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  };
  const bool trial_is_known = trial.empty() || std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
                                return IsTrial(entry, trial);
                              });
  if (!trial_is_known) {
    throw Error(ErrorKind::kSpec, "--trial " + trial + ": no such trial is recorded." + DidYouMean(trial, trials) +
                                      " Recorded: " + JoinNames(known(trials)) + ".");
  }
  throw Error(ErrorKind::kSpec, "--task " + task + ": no such task is recorded." + DidYouMean(task, tasks) +
                                    " Recorded: " + JoinNames(known(tasks)) + ".");
}

const RecordedItems::Entry* RecordedItems::BaselineOf(const Entry& entry) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& other) {
    return other.quantizer == "none" && other.model == entry.model && other.task == entry.task;
  });
  return found == entries_.end() ? nullptr : &*found;
}

TaskSpec RecordedItems::TaskOf(const Entry& entry, const std::vector<std::string>& data_paths,
                               Session& session) const {
  const auto found =
      std::find_if(tasks_.begin(), tasks_.end(), [&](const TaskSpec& task) { return task.name == entry.task; });
  if (found != tasks_.end()) {
    TaskSpec task = *found;
    std::vector<std::string>& folders = task.context.data_paths;
    folders.insert(folders.begin(), data_paths.begin(), data_paths.end());
    return task;
  }
  try {
    return ReadTask(entry.task, Value(), session.plugins(), session.SearchFolders(), data_paths);
  } catch (const Error& error) {
    throw Error(error.kind(), source_ + " does not say where the task file of '" + entry.task +
                                  "' is, and by its name it cannot be read: " + error.what() +
                                  " Name the study file in place of the folder.");
  }
}

RecordedItems::OpenedTask RecordedItems::Open(const Entry& entry, const TaskRecord& record,
                                              const std::vector<std::string>& data_paths, const std::string& option,
                                              Session& session) const {
  OpenedTask opened;
  opened.spec = TaskOf(entry, data_paths, session);
  Value options = opened.spec.options.map();
  if (record.card.limit) options.Set("limit", *record.card.limit);
  opened.options = Options(options);
  opened.task = session.plugins().MakeTask(opened.spec.component, opened.options, opened.spec.context);
  const Value* digest = record.key.Find("task_digest");
  if (digest == nullptr || *digest != Value(opened.task->digest())) {
    throw Error(ErrorKind::kSpec, option + ": task '" + entry.task +
                                      "' is not that of the record: its file or its data have changed, or the study "
                                      "sets options of it. Leave out " +
                                      option + ".");
  }
  return opened;
}

TaskRecord RecordedItems::Record(const Entry& entry) const {
  std::vector<std::string> faults;
  auto record = store_.FindTask(entry.digest, faults);
  if (!record) {
    throw Error(ErrorKind::kIo, "trial '" + entry.label + "', task '" + entry.task + "': its record " +
                                    store_.RecordPath(entry.digest).string() + " cannot be used. " +
                                    (faults.empty() ? "It is not there." : faults.front()));
  }
  return *record;
}

size_t MetricIndex(const TaskCard& card, const std::string& name) {
  if (name.empty()) return 0;
  std::vector<std::string> names;
  for (const MetricCard& metric : card.metrics) names.push_back(metric.name);
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error(ErrorKind::kSpec,
                "--metric " + name + ": task '" + card.name + "' has no such metric. It has " + JoinNames(names) + ".");
  }
  return static_cast<size_t>(found - names.begin());
}

}  // namespace bitlaw
