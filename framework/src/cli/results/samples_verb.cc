#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "bitlaw/sdk/text/template.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "cli/common/output.h"
#include "cli/results/recorded_items.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "import/lm_eval_samples.h"
#include "report/document.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

struct SamplesArguments {
  std::string source, trial, task, metric, show = "all", format = "text";
  std::vector<std::string> data;
  bool texts = false;
  int64_t count = 10;
  int64_t context_characters = 300;
};

// In place of what a record of an older bitlaw lacks.
constexpr const char* kNotRecorded = "not recorded";

// Which answers a record has: records that an older bitlaw wrote lack some.
struct Recorded {
  explicit Recorded(const TaskRecord& record, const std::vector<ItemScore>& items) {
    for (const MetricCard& metric : record.card.metrics) {
      is_of_answers |= metric.kind == MetricKind::kAccuracy;
    }
    for (const ItemScore& item : items) {
      right |= !item.right.empty();
      target |= !item.target.empty();
      extracted |= !item.extracted.empty();
    }
  }
  // Of a task that scores answers, in a record from before they were kept.
  std::string MissingRight() const { return is_of_answers && !right ? kNotRecorded : ""; }
  std::string MissingTarget() const { return is_of_answers && !target ? kNotRecorded : ""; }
  std::string MissingExtracted() const { return extracted ? "" : MissingTarget(); }

  bool is_of_answers = false, right = false, target = false, extracted = false;
};

bool Shown(const SamplesArguments& arguments, double value) {
  if (arguments.show == "all") return true;
  return arguments.show == "right" ? value > 0 : value == 0;
}

// The last characters of a context: few-shot examples come first, the question last.
std::string Tail(const std::string& text, int64_t characters) {
  int64_t too_many = CountCharacters(text) - characters;
  if (too_many <= 0) return text;
  size_t at = 0;
  for (; too_many > 0; --too_many) at += ClassifyCharacter(text, at).size_bytes;
  return "..." + text.substr(at);
}

std::string Indented(const std::string& text) { return ReplaceAll(text, "\n", "\n    "); }

const Value& Field(const Value& row, std::string_view name) { return FindField(row, name, "a file of samples"); }

// The number of the choice that the model took: as the task says, or else the likeliest. "" where there are no choices.
std::string ChosenOf(const Value* chosen, const Value::List& answers) {
  if (chosen != nullptr) return chosen->Text();
  size_t best = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Value* nats = answers[i].Find("loglikelihood_nats");
    if (nats == nullptr) return "";
    if (nats->AsReal() > answers[best].Find("loglikelihood_nats")->AsReal()) best = i;
  }
  return answers.size() > 1 ? std::to_string(best) : "";
}

Error NoSuchMetric(const Value& row, const SamplesArguments& arguments) {
  return Error(ErrorKind::kSpec, row.mark().Text() + ": the item has no metric '" + arguments.metric + "' (--metric).");
}

// A table for people has a line an item; CSV keeps texts as they are.
std::string OnOneLine(const std::string& text, const SamplesArguments& arguments) {
  return arguments.format == "csv" ? text : ReplaceAll(ReplaceAll(text, "\n", "\\n"), "\r", "\\r");
}

// Counts and prints samples, each a line as `evaluate --samples` writes it.
class SamplePrinter {
 public:
  explicit SamplePrinter(const SamplesArguments& arguments) : arguments_(arguments) {}

  void Take(const Value& row) {
    const std::string task = Field(row, "task").AsString();
    std::string scores;
    const Value *judged = nullptr, *taken = nullptr;
    for (const Value& value : Field(row, "values").AsList()) {
      const std::string& name = Field(value, "metric").AsString();
      if (judged == nullptr && (arguments_.metric.empty() || name == arguments_.metric)) {
        judged = value.Find("value");
        taken = &value;
      }
      scores += fmt::format("  {} {}", name, Field(value, "value").Text());
    }
    if (judged == nullptr) throw NoSuchMetric(row, arguments_);
    if (!Shown(arguments_, judged->is_number() ? judged->AsReal() : std::nan(""))) return;
    if (++found_ > arguments_.count) return;
    ++shown_;
    fmt::print("{} {}{}\n", task, Field(row, "item").AsString(), scores);
    PrintAnswers(row, *taken);
  }

  void Finish() const {
    fmt::print("{} of {} shown.\n", shown_, Counted(found_, "item"));
    if (shown_ > 0) fmt::print("> the model's answer, >> what was taken out of it, = the right one.\n");
  }

 private:
  // `taken`: the metric's entry in `values`.
  void PrintAnswers(const Value& row, const Value& taken) const {
    const Value::List& answers = Field(row, "answers").AsList();
    const Value *right = row.Find("right"), *target = row.Find("target"), *extracted = taken.Find("extracted");
    const std::string right_text = right != nullptr && right->is_string() ? right->AsString() : "";
    const std::string chosen_number = ChosenOf(taken.Find("chosen"), answers);
    bool is_right_shown = right_text.empty();
    for (size_t i = 0; i < answers.size(); ++i) {
      const Value &answer = answers[i], *context = answer.Find("context");
      const bool same = i > 0 && context != nullptr && *context == *answers[i - 1].Find("context");
      if (context != nullptr && !same) {
        fmt::print("    {}\n", Indented(Tail(context->AsString(), arguments_.context_characters)));
      }
      if (const Value* nats = answer.Find("loglikelihood_nats")) {
        // Of choices both are numbers; a text that stands alone is the right one.
        const std::string text = Field(answer, "continuation").AsString(), number = std::to_string(i);
        const bool is_right =
            !right_text.empty() && (answers.size() > 1 ? right_text == number : text.ends_with(right_text));
        is_right_shown = is_right_shown || is_right;
        fmt::print("  {}{} {:10.4f} {}\n", number == chosen_number ? '>' : ' ', is_right ? '=' : ' ', nats->AsReal(),
                   Field(answer, "continuation").Text());
      } else if (const Value* text = answer.Find("text")) {
        fmt::print("  >  {}\n", text->Text());
      } else if (const Value* windows = answer.Find("windows")) {
        fmt::print("     {}\n", Counted(windows->AsList().size(), "window"));
      }
    }
    if (taken.Find("chosen") != nullptr) {
      const auto field = [](const char* name, const Value* one) {
        return one == nullptr || one->is_null() ? "" : fmt::format(", {} {}", name, one->Text());
      };
      fmt::print("    right {}{}, chosen {}{}\n", right_text, field("target", target), chosen_number,
                 field("extracted", extracted));
      return;
    }
    if (extracted != nullptr) fmt::print("  >> {}\n", extracted->is_null() ? kNotRecorded : extracted->Text());
    if (!is_right_shown) fmt::print("   =  {}\n", right->Text());
  }

  const SamplesArguments& arguments_;
  int64_t shown_ = 0, found_ = 0;
};

// Counts samples and makes a table of them: what a file of samples has in the columns of a record's items.
class SampleTable {
 public:
  explicit SampleTable(const SamplesArguments& arguments) : arguments_(arguments) {
    table_.name = "samples";
    table_.header = {"task",   "item",   "metric",    "value",  "right",
                     "target", "chosen", "extracted", "answer", "loglikelihoods"};
  }

  void Take(const Value& row) {
    const Value::List &answers = Field(row, "answers").AsList(), &values = Field(row, "values").AsList();
    const auto judged = std::find_if(values.begin(), values.end(), [&](const Value& value) {
      return arguments_.metric.empty() || Field(value, "metric").AsString() == arguments_.metric;
    });
    if (judged == values.end()) throw NoSuchMetric(row, arguments_);
    const Value& value = Field(*judged, "value");
    const double number = value.is_number() ? value.AsReal() : std::nan("");
    if (!Shown(arguments_, number) || ++found_ > arguments_.count) return;
    std::string likelihoods, answer;
    for (const Value& one : answers) {
      if (const Value* nats = one.Find("loglikelihood_nats"))
        likelihoods += fmt::format("{}{:.4f}", likelihoods.empty() ? "" : " ", nats->AsReal());
      if (const Value* text = one.Find("text")) answer += (answer.empty() ? "" : "\n") + TextOf(text);
    }
    table_.rows.push_back({Line(Field(row, "task").AsString()), Line(Field(row, "item").AsString()),
                           Field(*judged, "metric").AsString(), Significant(number, 6), Line(TextOf(row.Find("right"))),
                           Line(TextOf(row.Find("target"))), Line(ChosenOf(judged->Find("chosen"), answers)),
                           Line(TextOf(judged->Find("extracted"))), Line(answer), likelihoods});
  }

  void Finish() {
    if (arguments_.format != "csv")
      table_.notes.push_back(std::to_string(table_.rows.size()) + " of " + Counted(found_, "item") + " shown");
    PrintReportTable(table_, arguments_.format);
  }

 private:
  static std::string TextOf(const Value* value) {
    if (value == nullptr || value->is_null()) return "";
    return value->is_string() ? value->AsString() : value->Text();
  }
  std::string Line(const std::string& text) const { return OnOneLine(text, arguments_); }

  const SamplesArguments& arguments_;
  ReportTable table_;
  int64_t found_ = 0;
};

// Items that `bitlaw evaluate --samples` or lm-evaluation-harness wrote, with their texts.
template <class Samples>
int ShowFile(const SamplesArguments& arguments) {
  Samples printer(arguments);
  const std::string theirs = TaskOfLmEvalSamples(arguments.source);
  std::set<std::string> tasks;
  for (const Value& row : ReadJsonl(arguments.source)) {
    const Value sample = IsLmEvalSample(row) ? SampleFromLmEval(row, theirs) : row;
    const std::string& task = Field(sample, "task").AsString();
    tasks.insert(task);
    if (arguments.task.empty() || task == arguments.task) printer.Take(sample);
  }
  if (!arguments.task.empty() && !tasks.contains(arguments.task)) {
    const std::vector<std::string> known(tasks.begin(), tasks.end());
    throw Error(ErrorKind::kSpec, "--task " + arguments.task + ": " + arguments.source + " has no such task." +
                                      DidYouMean(arguments.task, known) +
                                      (known.empty() ? " It has no items." : " It has " + JoinNames(known) + "."));
  }
  printer.Finish();
  return 0;
}

// A recorded item as `evaluate --samples` would have written it; a record holds no generated texts.
Value SampleOf(const TaskRecord& record, const Recorded& has, const std::string& title, const TaskItem& item,
               const ItemScore& score) {
  Value::List answers, values;
  bool is_written = false;  // By the model.
  for (size_t i = 0; i < item.requests.size(); ++i) {
    Value answer = Value::Map{};
    if (const auto* pair = std::get_if<LoglikelihoodRequest>(&item.requests[i])) {
      answer.Set("context", pair->context);
      if (score.loglikelihoods_nats.size() == item.requests.size()) {
        answer.Set("continuation", pair->continuation);
        answer.Set("loglikelihood_nats", score.loglikelihoods_nats[i]);
      }
    } else if (const auto* generate = std::get_if<GenerateRequest>(&item.requests[i])) {
      answer.Set("context", generate->context);
      is_written = true;
    }
    answers.push_back(std::move(answer));
  }
  for (size_t m = 0; m < score.values.size(); ++m) {
    const double number = score.values[m].value;
    Value value =
        Value::Map{{"metric", record.card.metrics[m].name}, {"value", std::isfinite(number) ? Value(number) : Value()}};
    if (m < score.chosen.size()) value.Set("chosen", score.chosen[m]);
    if (m < score.extracted.size()) value.Set("extracted", score.extracted[m]);
    if (is_written && !has.MissingExtracted().empty()) value.Set("extracted", Value());
    values.emplace_back(std::move(value));
  }
  return Value::Map{{"task", title},
                    {"item", score.id},
                    {"answers", std::move(answers)},
                    {"right", score.right.empty() ? Value() : Value(score.right)},
                    {"target", score.target.empty() ? Value() : Value(score.target)},
                    {"values", std::move(values)}};
}

// Recorded items with the texts of their tasks, which must be those of the records.
int ShowRecordedTexts(const SamplesArguments& arguments, Session& session) {
  if (arguments.format != "text") {
    throw Error(ErrorKind::kSpec, "--format " + arguments.format +
                                      ": items with their texts are shown as text. Leave out --format or --texts.");
  }
  const RecordedItems recorded(arguments.source, session);
  SamplePrinter printer(arguments);
  for (const auto& entry : recorded.Select(arguments.trial, arguments.task)) {
    const TaskRecord record = recorded.Record(entry);
    const auto task = recorded.Open(entry, record, arguments.data, "--texts", session).task;
    std::map<std::string, TaskItem> items;
    for (TaskItem& item : task->Items()) items.emplace(item.id, std::move(item));
    const std::vector<ItemScore> scores = recorded.Items(record);
    const Recorded has(record, scores);
    for (const ItemScore& score : scores) {
      printer.Take(SampleOf(record, has, entry.label + " " + entry.task, items.at(score.id), score));
    }
  }
  printer.Finish();
  return 0;
}

// Items as records keep them: scores, likelihoods and answers, without what was asked.
int ShowRecords(const SamplesArguments& arguments, Session& session) {
  const RecordedItems recorded(arguments.source, session);
  ReportTable table;
  table.name = "samples";
  table.header = {"trial",  "task",  "item",   "part",   "metric",    "value",         "weight",
                  "chance", "right", "target", "chosen", "extracted", "loglikelihoods"};
  const auto line = [&](const std::string& text) { return OnOneLine(text, arguments); };
  const auto or_else = [](const std::string& text, const std::string& missing) {
    return text.empty() ? missing : text;
  };
  int64_t found = 0;
  for (const auto& entry : recorded.Select(arguments.trial, arguments.task)) {
    const TaskRecord record = recorded.Record(entry);
    const size_t index = MetricIndex(record.card, arguments.metric);
    const std::vector<ItemScore> items = recorded.Items(record);
    const Recorded has(record, items);
    for (const ItemScore& item : items) {
      const ItemValue& value = item.values.at(index);
      if (!Shown(arguments, value.value) || ++found > arguments.count) continue;
      std::string likelihoods;
      for (const double nats : item.loglikelihoods_nats) likelihoods += fmt::format(" {:.4f}", nats);
      table.rows.push_back({entry.label, entry.task, item.id, item.group, record.card.metrics[index].name,
                            Significant(value.value, 6), Significant(value.weight, 6), Fixed(item.chance, 4),
                            or_else(line(item.right), has.MissingRight()),
                            or_else(line(item.target), has.MissingTarget()),
                            item.chosen.empty() ? "" : std::to_string(item.chosen.at(index)),
                            or_else(item.extracted.empty() ? "" : line(item.extracted[index]), has.MissingExtracted()),
                            likelihoods.empty() ? "" : likelihoods.substr(1)});
    }
  }
  if (arguments.format != "csv") {
    table.notes.push_back(std::to_string(table.rows.size()) + " of " + Counted(found, "item") + " shown");
  }
  PrintReportTable(table, arguments.format);
  return 0;
}

}  // namespace

void AddSamplesVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<SamplesArguments>();
  CLI::App* verb = app.add_subcommand("samples", "Look at single items: of a file of samples, or of a study's records");
  verb->footer(
      "Of choices, 'right' and 'chosen' are the numbers, from 0, of the right one and of the one that the metric took "
      "for\n"
      "the model's answer; elsewhere 'right' is the right text. 'target' is the text of the right answer, 'extracted' "
      "the\n"
      "text of the one that was taken for the model's: of the choice, or out of what it wrote. Records keep 80 "
      "characters\n"
      "of each; 'not recorded' stands where an older bitlaw wrote the record. A file of samples is shown with its "
      "texts:\n"
      "'>' marks the model's answer, '>>' what was taken out of it, '=' the right one.");
  verb->add_option(
          "source", arguments->source,
          "File that 'evaluate --samples' or lm-evaluation-harness (log_samples) wrote; or a study file, or the output "
          "folder of one")
      ->required();
  verb->add_option("--trial", arguments->trial, "Trials of the study by label or id; * and ? stand for any letters");
  verb->add_option("--task", arguments->task, "One task");
  verb->add_option("--metric", arguments->metric, "The metric to show and to judge by; without it, the task's first");
  verb->add_option("--show", arguments->show, "all, right (value above 0) or wrong (value 0)")
      ->capture_default_str()
      ->check(OneOf({"all", "right", "wrong"}));
  verb->add_option("--count", arguments->count, "Show at most so many")
      ->capture_default_str()
      ->check(WholeNumber(1));
  verb->add_flag("--texts", arguments->texts, "Of a study: with the texts of its tasks, whose data must be at hand");
  verb->add_option("--data", arguments->data, "Folder in which data files are looked for; may be repeated")
      ->allow_extra_args(false);
  verb->add_option("--context", arguments->context_characters, "Characters of a context's end that are shown")
      ->capture_default_str()
      ->check(WholeNumber(0));
  verb->add_option(
          "--format", arguments->format,
          "text, markdown or csv; with --texts text alone. A file of samples has no texts but answers in a table")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
  verb->callback([arguments, &session] {
    session.action = [arguments, &session] {
      const bool is_text = arguments->format == "text";
      if (arguments->source.ends_with(".jsonl"))
        return is_text ? ShowFile<SamplePrinter>(*arguments) : ShowFile<SampleTable>(*arguments);
      return arguments->texts ? ShowRecordedTexts(*arguments, session) : ShowRecords(*arguments, session);
    };
  });
}

}  // namespace bitlaw
