#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "bitlaw/sdk/text/template.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "cli/common/recorded_items.h"
#include "cli/verbs.h"
#include "report/document.h"

namespace bitlaw {
namespace {

struct SamplesArguments {
  std::string source, trial, task, metric, show = "all", format = "text";
  int64_t count = 10;
  int64_t context_characters = 300;
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

// Items that `bitlaw evaluate --samples` wrote, with their texts.
int ShowFile(const SamplesArguments& arguments) {
  int64_t shown = 0, found = 0;
  for (const Value& row : ReadJsonl(arguments.source)) {
    const std::string task = Field(row, "task").AsString();
    if (!arguments.task.empty() && task != arguments.task) continue;
    std::string scores;
    const Value *judged = nullptr, *chosen = nullptr;
    for (const Value& value : Field(row, "values").AsList()) {
      const std::string& name = Field(value, "metric").AsString();
      if (judged == nullptr && (arguments.metric.empty() || name == arguments.metric)) {
        judged = value.Find("value");
        chosen = value.Find("chosen");
      }
      scores += fmt::format("  {} {}", name, Field(value, "value").Text());
    }
    if (judged == nullptr) {
      throw Error(ErrorKind::kSpec,
                  row.mark().Text() + ": the item has no metric '" + arguments.metric + "' (--metric).");
    }
    if (!Shown(arguments, judged->is_number() ? judged->AsReal() : std::nan(""))) continue;
    if (++found > arguments.count) continue;
    ++shown;
    fmt::print("{} {}{}\n", task, Field(row, "item").AsString(), scores);
    const Value::List& answers = Field(row, "answers").AsList();
    const Value* right = row.Find("right");
    const std::string right_text = right != nullptr && right->is_string() ? right->AsString() : "";
    const std::string chosen_number = ChosenOf(chosen, answers);
    bool is_right_shown = right_text.empty();
    for (size_t i = 0; i < answers.size(); ++i) {
      const Value &answer = answers[i], *context = answer.Find("context");
      const bool same = i > 0 && context != nullptr && *context == *answers[i - 1].Find("context");
      if (context != nullptr && !same) {
        fmt::print("    {}\n", Indented(Tail(context->AsString(), arguments.context_characters)));
      }
      if (const Value* nats = answer.Find("loglikelihood_nats")) {
        // Of choices both are numbers; a text that stands alone is the right one.
        const std::string text = Field(answer, "continuation").AsString(), number = std::to_string(i);
        const bool is_right = !right_text.empty() && (answers.size() > 1 ? right_text == number : text.ends_with(right_text));
        is_right_shown = is_right_shown || is_right;
        fmt::print("  {}{} {:10.4f} {}\n", number == chosen_number ? '>' : ' ', is_right ? '=' : ' ', nats->AsReal(),
                   Field(answer, "continuation").Text());
      } else if (const Value* text = answer.Find("text")) {
        fmt::print("  >  {}\n", text->Text());
      } else if (const Value* windows = answer.Find("windows")) {
        fmt::print("     {} windows\n", windows->AsList().size());
      }
    }
    if (!is_right_shown) fmt::print("   =  {}\n", right->Text());
  }
  fmt::print("{} of {} items shown.\n", shown, found);
  if (shown > 0) fmt::print("> the model's answer, = the right one.\n");
  return 0;
}

// Items as records keep them: scores and likelihoods, no texts.
int ShowRecords(const SamplesArguments& arguments, Session& session) {
  const RecordedItems recorded(arguments.source, session);
  ReportTable table;
  table.name = "samples";
  table.header = {"trial",  "task",   "item",  "part",   "metric",        "value",
                  "weight", "chance", "right", "chosen", "loglikelihoods"};
  int64_t found = 0;
  for (const auto& entry : recorded.Select(arguments.trial, arguments.task)) {
    const TaskRecord record = recorded.Record(entry);
    const size_t index = MetricIndex(record.card, arguments.metric);
    for (const ItemScore& item : recorded.Items(record)) {
      const ItemValue& value = item.values.at(index);
      if (!Shown(arguments, value.value) || ++found > arguments.count) continue;
      std::string likelihoods;
      for (const double nats : item.loglikelihoods_nats) likelihoods += fmt::format(" {:.4f}", nats);
      table.rows.push_back({entry.label, entry.task, item.id, item.group, record.card.metrics[index].name,
                            Significant(value.value, 6), Significant(value.weight, 6), Fixed(item.chance, 4), item.right,
                            item.chosen.empty() ? "" : std::to_string(item.chosen.at(index)),
                            likelihoods.empty() ? "" : likelihoods.substr(1)});
    }
  }
  if (arguments.format != "csv") {
    table.notes.push_back(std::to_string(table.rows.size()) + " of " + std::to_string(found) + " items shown");
  }
  PrintReportTable(table, arguments.format);
  return 0;
}

}  // namespace

void AddSamplesVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<SamplesArguments>();
  CLI::App* verb = app.add_subcommand("samples", "Look at single items: of a file of samples, or of a study's records");
  verb->footer(
      "Of choices, 'right' and 'chosen' are the numbers, from 0, of the right one and of the one that the metric took for\n"
      "the model's answer; elsewhere 'right' is the right text. A file of samples is shown with its texts: '>' marks the\n"
      "model's answer, '=' the right one. Records hold no texts of the model, and those that an older bitlaw wrote, no\n"
      "right answers.");
  verb->add_option("source", arguments->source,
                   "File that 'evaluate --samples' wrote; or a study file, or the output folder of one")
      ->required();
  verb->add_option("--trial", arguments->trial, "Trials of the study by label or id; * and ? stand for any letters");
  verb->add_option("--task", arguments->task, "One task");
  verb->add_option("--metric", arguments->metric, "The metric to show and to judge by; without it, the task's first");
  verb->add_option("--show", arguments->show, "all, right (value above 0) or wrong (value 0)")
      ->capture_default_str()
      ->check(CLI::IsMember({"all", "right", "wrong"}));
  verb->add_option("--count", arguments->count, "Show at most so many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--context", arguments->context_characters, "Characters of a context's end that are shown")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--format", arguments->format, "text, markdown or csv; of a study's records")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "markdown", "csv"}));
  verb->callback([arguments, &session] {
    session.action = [arguments, &session] {
      return arguments->source.ends_with(".jsonl") ? ShowFile(*arguments) : ShowRecords(*arguments, session);
    };
  });
}

}  // namespace bitlaw
