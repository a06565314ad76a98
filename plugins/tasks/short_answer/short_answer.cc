#include "short_answer.h"

#include <algorithm>
#include <numbers>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/task/task_fields.h"
#include "bitlaw/sdk/text/data_text.h"
#include "bitlaw/sdk/text/template.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "normalize.h"

namespace bitlaw {

namespace {

constexpr char kBits[] = "bits_per_byte";

std::vector<std::string> AnswersOf(const Value& row, const std::string& field, const std::optional<Template>& answer) {
  if (answer) return {answer->Render(row)};
  const Value& answers = FindField(row, field, "option 'answers_field'");
  std::vector<std::string> texts;
  if (answers.is_list()) {
    for (const Value& text : answers.AsList()) texts.push_back(DataTextOf(row, text, field, "option 'answers_field'"));
  } else {
    texts.push_back(DataTextOf(row, answers, field, "option 'answers_field'"));
  }
  if (texts.empty()) {
    throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + field + "' is empty, so no answer can be right.");
  }
  return texts;
}

}  // namespace

OptionSchema ShortAnswer::Schema() {
  OptionSchema schema;
  AddTaskFields(schema);
  AddPromptFields(schema);
  schema.String("answers_field").Default("answers").Doc("Field with the accepted answers: a list or one text.");
  schema.String("answer").Optional().Doc("Template of the accepted answer, instead of a field.");
  schema.String("target").Optional().Doc("Template of an example's answer; without it, the first accepted one.");
  OptionField stop;
  stop.type = OptionType::kString;
  schema.List("until", stop).Default(Value::List{"\n"}).Doc("Strings that end the answer; it is cut before them.");
  schema.Int("max_new_tokens").Range(1, 4096).Default(32).Unit("tokens").Doc("The longest answer.");
  schema.Choice("normalization", {"none", "lower", "punctuation", "harness", "harness_articles", "squad", "math"})
      .Default("harness")
      .Doc("What is done to both sides before they are compared; the plugin's README defines each.");
  OptionSchema extract;
  extract.String("pattern").Doc("Regular expression; its groups, or the whole match, are the answer.");
  extract.Choice("take", {"first", "last"}).Default("first").Doc("Which match of several.");
  extract.Choice("otherwise", {"nothing", "text"})
      .Default("nothing")
      .Doc("Without a match: the answer is wrong, or the whole text is the answer.");
  schema.GroupMap("extract", extract)
      .Optional()
      .Doc("Where the answer stands in the text, by name; several ways give the metrics of each.");
  OptionField pattern;
  pattern.type = OptionType::kString;
  schema.List("ignore", pattern).Optional().Doc("Patterns taken out of both sides before normalization.");
  OptionField metric;
  metric.type = OptionType::kChoice;
  metric.choices = {"exact_match", "contains", "f1", "numeric_match", kBits};
  schema.List("metrics", metric)
      .MinItems(1)
      .Optional()
      .Doc("The first is the primary one, to which laws are fitted; without it, exact_match alone. bits_per_byte is "
           "the last.");
  return schema;
}

ShortAnswer::ShortAnswer(Options options, TaskContext context)
    : options_(std::move(options)), context_(std::move(context)), card_(CardFromFields(options_, context_)) {
  TemplateFromOption(options_, "prompt");  // A broken template is reported now, not after the model is open.
  TemplateFromOption(options_, "preamble");
  if (options_.Has("target")) TemplateFromOption(options_, "target");
  if (options_.Has("answer")) TemplateFromOption(options_, "answer");
  if (options_.Has("ignore")) {
    for (const Value& text : options_.Raw("ignore").AsList()) ignored_.emplace_back(text.AsString(), text.mark());
  }
  if (options_.Has("extract")) {
    for (const auto& [name, way] : options_.GroupMap("extract")) {
      const Value& pattern = way.Raw("pattern");
      ways_.push_back({"_" + name, TextPattern(pattern.AsString(), pattern.mark()),
                       way.String("take") == "last", way.String("otherwise") == "text"});
    }
  }
  std::vector<std::string> metrics =
      options_.Has("metrics") ? options_.Strings("metrics") : std::vector<std::string>{"exact_match"};
  if (const auto bits = std::find(metrics.begin(), metrics.end(), kBits); bits != metrics.end()) {
    has_bits_ = true;
    metrics.erase(bits);
    if (metrics.empty()) {
      throw Error(ErrorKind::kSpec, options_.Raw("metrics").mark().Text() +
                                        ": bits_per_byte stands alone, where a metric of the model's own answer is "
                                        "needed before it. Add exact_match.");
    }
  }
  // In the order of Score(): every metric of the first way, then of the next.
  for (size_t w = 0; w < std::max<size_t>(1, ways_.size()); ++w) {
    for (const std::string& metric : metrics) {
      const std::string name = metric + (ways_.empty() ? "" : ways_[w].suffix);
      for (const MetricCard& before : card_.metrics) {
        if (before.name == name) {
          throw Error(ErrorKind::kSpec, options_.Raw("metrics").mark().Text() + ": metric '" + name + "' is listed twice.");
        }
      }
      card_.metrics.push_back({name, metric == "f1" ? MetricKind::kMean : MetricKind::kAccuracy, true});
      kinds_.push_back(metric);
    }
  }
  kinds_.resize(metrics.size());
  if (has_bits_) card_.metrics.push_back({kBits, MetricKind::kMean, false});
}

std::string ShortAnswer::Comparable(std::string_view text) const {
  std::string kept(text);
  for (const TextPattern& pattern : ignored_) kept = pattern.RemoveFrom(kept);
  return NormalizeAnswer(kept, options_.String("normalization"));
}

void ShortAnswer::Load() const {
  PromptedItems prompted(options_, context_);
  const std::string& field = options_.String("answers_field");
  std::optional<Template> target, answer;
  if (options_.Has("target")) target = TemplateFromOption(options_, "target");
  if (options_.Has("answer")) answer = TemplateFromOption(options_, "answer");
  prompted.set_example_text([&](const Value& row) {
    return prompted.Prompt(row) + prompted.target_delimiter() +
           (target ? target->Render(row) : AnswersOf(row, field, answer).front());
  });
  prompted.set_asked([&](const Value& row) { return PromptedItems::Asked{prompted.Prompt(row), AnswersOf(row, field, answer)}; });
  std::vector<TaskItem> items;
  std::vector<Key> keys;
  for (const PromptedItems::Item& source : prompted.items()) {
    GenerateRequest request{prompted.Context(source.row), options_.Strings("until"), options_.Int("max_new_tokens")};
    items.push_back({source.id, {std::move(request)}, source.factors});
    keys.push_back({source.id, source.group, AnswersOf(source.row, field, answer), "", 0});
    keys.back().right = keys.back().answers.front();
    if (has_bits_) {
      const std::string text = target ? target->Render(source.row) : keys.back().right;
      if (text.empty()) {
        throw Error(ErrorKind::kSpec, source.row.mark().Text() + ": the answer is empty. There is no likelihood of "
                                                                 "nothing (metric bits_per_byte).");
      }
      keys.back().scored_bytes = text.size();
      items.back().requests.push_back(
          LoglikelihoodRequest{prompted.Context(source.row), prompted.target_delimiter() + text});
    }
    for (std::string& answer : keys.back().answers) answer = Comparable(answer);
  }
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.id < b.id; });
  items_ = std::move(items);
  keys_ = std::move(keys);
}

std::vector<TaskItem> ShortAnswer::Items() const {
  std::call_once(loaded_, [this] { Load(); });
  return items_;
}

std::optional<std::string> ShortAnswer::Answer(const Way* way, const std::string& text) {
  if (way == nullptr) return std::string(Trim(text));
  const auto match = way->pattern.FindOne(text, way->take_last ? TextPattern::Which::kLast : TextPattern::Which::kFirst);
  if (!match) return way->otherwise_text ? std::optional(text) : std::nullopt;
  // Of several groups the first that has something in it, as the public harness takes it.
  for (const std::string& group : *match) {
    if (!group.empty()) return std::string(Trim(group));
  }
  return "";
}

std::vector<ItemScore> ShortAnswer::Score(const TaskItem& item, std::span<const Response> responses) const {
  std::call_once(loaded_, [this] { Load(); });
  const auto found =
      std::lower_bound(keys_.begin(), keys_.end(), item.id, [](const Key& key, const std::string& id) { return key.id < id; });
  if (found == keys_.end() || found->id != item.id || responses.size() != (has_bits_ ? 2 : 1)) {
    throw InternalError("short_answer: item '" + item.id + "' is none of task '" + context_.name + "'");
  }
  const std::string& text = std::get<GenerateResponse>(responses[0]).text;
  ItemScore score{item.id, {}, 0.0};
  score.group = found->group;
  score.right = found->right;
  score.target = found->right;
  score.lengths = {CountCharacters(Trim(text))};
  for (size_t w = 0; w < std::max<size_t>(1, ways_.size()); ++w) {
    const std::optional<std::string> answer = Answer(ways_.empty() ? nullptr : &ways_[w], text);
    std::optional<std::string> given;
    if (answer) given = Comparable(*answer);
    for (const std::string& kind : kinds_) {
      double best = 0;
      for (const std::string& accepted : found->answers) {
        if (!given) break;
        const double value = kind == "f1"              ? TokenF1(*given, accepted)
                             : kind == "numeric_match" ? static_cast<double>(SameNumber(*given, accepted))
                             : kind == "contains"      ? static_cast<double>(given->find(accepted) != std::string::npos)
                                                       : static_cast<double>(*given == accepted);
        best = std::max(best, value);
      }
      score.values.push_back({best, 1.0});
      score.extracted.push_back(answer.value_or(""));
    }
  }
  if (has_bits_) {
    const double nats = -std::get<LoglikelihoodResponse>(responses[1]).loglikelihood_nats;
    score.values.push_back({nats / std::numbers::ln2 / static_cast<double>(found->scored_bytes), 1.0});
    score.extracted.push_back(score.extracted.front());
  }
  return {std::move(score)};
}

std::string ShortAnswer::digest() const { return TaskDigest("short_answer", options_, context_); }

}  // namespace bitlaw
