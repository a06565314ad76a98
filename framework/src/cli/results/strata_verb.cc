#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/results/recorded_items.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "fit/options/grouping.h"
#include "fit/options/quoted_text.h"
#include "fit/study/item_statistics.h"
#include "report/document.h"

namespace bitlaw {
namespace {

struct StrataArguments {
  std::string source, trial, aggregate = "adjusted", format = "text";
  std::vector<std::string> groups;
};

// A benchmark, or one part of it ("mmlu:law").
struct Member {
  std::string task, part;
};
struct Stratum {
  std::string name;
  std::vector<Member> members;
};

// "KM=triviaqa,mmlu:law"
Stratum ParseGroup(const std::string& text) {
  Stratum stratum;
  if (const auto sides = SplitAssignment(text)) {
    stratum.name = sides->first;
    for (const std::string& name : ParseTaskList(sides->second)) {
      const size_t colon = name.find(':');
      stratum.members.push_back({name.substr(0, colon), colon == std::string::npos ? "" : name.substr(colon + 1)});
    }
  }
  if (stratum.members.empty()) {
    throw Error(ErrorKind::kSpec,
                "--group " + text + ": write NAME=TASK,TASK,... or, for a part of a task, TASK:PART.");
  }
  return stratum;
}

// The first metric that is an accuracy: others have no chance level to measure from.
std::optional<size_t> FirstAccuracy(const TaskCard& card) {
  for (size_t m = 0; m < card.metrics.size(); ++m) {
    if (card.metrics[m].kind == MetricKind::kAccuracy) return m;
  }
  return std::nullopt;
}

std::vector<Stratum> StrataOf(const StrataArguments& arguments, const RecordedItems& recorded) {
  std::vector<Stratum> strata;
  for (const std::string& text : arguments.groups) strata.push_back(ParseGroup(text));
  if (!strata.empty()) return strata;
  // As the tasks or the study grouped them.
  for (const auto& entry : recorded.entries()) {
    if (entry.stratum.empty()) continue;
    auto found = std::find_if(strata.begin(), strata.end(), [&](const Stratum& s) { return s.name == entry.stratum; });
    if (found == strata.end()) found = strata.insert(strata.end(), {entry.stratum, {}});
    const bool known = std::any_of(found->members.begin(), found->members.end(),
                                   [&](const Member& member) { return member.task == entry.task; });
    if (!known) found->members.push_back({entry.task, ""});
  }
  if (strata.empty()) {
    throw Error(ErrorKind::kSpec,
                arguments.source + ": its tasks belong to no stratum. Group them with --group NAME=TASK,TASK.");
  }
  return strata;
}

void CheckMembers(const std::vector<Stratum>& strata, const RecordedItems& recorded) {
  std::set<std::string> known;
  for (const auto& entry : recorded.entries()) known.insert(entry.task);
  const std::vector<std::string> names(known.begin(), known.end());
  for (const Stratum& stratum : strata) {
    for (const Member& member : stratum.members) {
      if (known.contains(member.task)) continue;
      throw Error(ErrorKind::kSpec, "--group " + stratum.name + ": no task '" + member.task + "' is recorded." +
                                        DidYouMean(member.task, names) + " Recorded: " + JoinNames(names) + ".");
    }
  }
}

// The accuracy of a member in one trial; nothing if it is not recorded or no accuracy.
std::optional<MetricSummary> Score(const RecordedItems& recorded, const RecordedItems::Entry& entry,
                                   const Member& member) {
  const TaskRecord record = recorded.Record(entry);
  const auto index = FirstAccuracy(record.card);
  if (!index) return std::nullopt;
  if (member.part.empty()) return record.metrics[*index];
  std::vector<std::string> parts;
  for (const PartSummary& part : SummarizeParts(record.card.metrics[*index], *index, recorded.Items(record))) {
    if (part.part == member.part) return part.summary;
    parts.push_back(part.part);
  }
  throw Error(ErrorKind::kSpec,
              "--group: task '" + member.task + "' has no part '" + member.part + "'." +
                  (parts.empty() ? " It was recorded without parts (option 'group_field')."
                                 : DidYouMean(member.part, parts) + " Parts: " + JoinNames(parts) + "."));
}

int ShowStrata(const StrataArguments& arguments, Session& session) {
  const RecordedItems recorded(arguments.source, session);
  const StratumAggregate how = ParseStratumAggregate(arguments.aggregate);
  const std::vector<Stratum> strata = StrataOf(arguments, recorded);
  CheckMembers(strata, recorded);
  ReportTable table;
  table.name = "strata";
  table.header = {"trial", "stratum", arguments.aggregate, "+-", "tasks", "items"};
  std::vector<std::string> trials;
  for (const auto& entry : recorded.Select(arguments.trial, "")) {
    if (std::find(trials.begin(), trials.end(), entry.trial) == trials.end()) trials.push_back(entry.trial);
  }
  std::set<std::string> left_out;
  for (const std::string& trial : trials) {
    std::map<std::string, const RecordedItems::Entry*> by_task;
    for (const auto& entry : recorded.entries()) {
      if (entry.trial == trial) by_task[entry.task] = &entry;
    }
    for (const Stratum& stratum : strata) {
      std::vector<MetricSummary> members;
      bool complete = true;
      for (const Member& member : stratum.members) {
        const auto found = by_task.find(member.task);
        const auto score = found == by_task.end() ? std::nullopt : Score(recorded, *found->second, member);
        if (score) {
          members.push_back(*score);
        } else if (found == by_task.end()) {
          complete = false;
        } else {
          left_out.insert(member.task);
        }
      }
      const StratumScore score = AggregateStratum(members, how);
      // A mean over fewer benchmarks than the other trials have would not be the same quantity.
      const bool shown = complete && !members.empty();
      table.rows.push_back({by_task.begin()->second->label, stratum.name,
                            shown ? Fixed(score.value, 4) : ReportCell("-"),
                            shown ? Fixed(score.standard_error, 4) : ReportCell("-"),
                            Whole(static_cast<double>(score.members)), Whole(static_cast<double>(score.items))});
    }
  }
  if (arguments.format != "csv") {
    table.notes.push_back(arguments.aggregate == "accuracy" ? "accuracy: mean over tasks"
                          : arguments.aggregate == "items" ? "items: (acc - chance) / (1 - chance) over all items alike"
                          : arguments.aggregate == "worst"
                              ? "worst: the lowest (acc - chance) / (1 - chance) of a task"
                              : "adjusted: mean over tasks of (acc - chance) / (1 - chance)");
    for (const std::string& task : left_out) table.notes.push_back(task + " is left out: it has no accuracy");
  }
  PrintReportTable(table, arguments.format);
  return 0;
}

}  // namespace

void AddStrataVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<StrataArguments>();
  CLI::App* verb = app.add_subcommand("strata", "Group recorded benchmarks anew, without running anything");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one")->required();
  verb->add_option("--group", arguments->groups,
                   "NAME=TASK,TASK:PART,...: one stratum; may be repeated. Without it, the strata of the study")
      ->allow_extra_args(false);
  verb->add_option("--aggregate", arguments->aggregate,
                   "adjusted (mean of chance-adjusted accuracies), accuracy, items or worst")
      ->capture_default_str()
      ->check(OneOf(StratumAggregateNames()));
  verb->add_option("--trial", arguments->trial, "Trials by label or id; * and ? stand for any letters");
  verb->add_option("--format", arguments->format, "text, markdown or csv")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return ShowStrata(*arguments, session); }; });
}

}  // namespace bitlaw
