#include "multiple_choice.h"

#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/task_fields.h"
#include "bitlaw/sdk/template.h"
#include "bitlaw/sdk/unicode_text.h"

namespace bitlaw {

namespace {

std::string TextOf(const Value& value) { return value.is_string() ? value.AsString() : value.Text(); }

// The choices of one row: a field of the data, or templates of the task file.
class Choices {
 public:
  explicit Choices(const Options& options) : field_(options.String("choices_field")) {
    if (!options.Has("choices")) return;
    for (const Value& text : options.Raw("choices").AsList()) templates_.emplace_back(text.AsString(), text.mark());
  }

  std::vector<std::string> Of(const Value& row) const {
    std::vector<std::string> texts;
    if (!templates_.empty()) {
      for (const Template& text : templates_) texts.push_back(text.Render(row));
    } else {
      const Value& field = FindField(row, field_, "option 'choices_field'");
      if (!field.is_list()) {
        throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + field_ + "' is " + std::string(Article(field.type())) +
                                          ", where a list of choices is needed (option 'choices_field').");
      }
      for (const Value& text : field.AsList()) texts.push_back(TextOf(text));
    }
    if (texts.size() < 2 || texts.size() > 26) {
      throw Error(ErrorKind::kSpec, row.mark().Text() + ": the item has " + std::to_string(texts.size()) +
                                        " choices. There must be 2 to 26.");
    }
    return texts;
  }

 private:
  std::string field_;
  std::vector<Template> templates_;
};

int64_t RightIndex(const Value& row, const std::vector<std::string>& choices, const Options& options) {
  const std::string& field = options.String("answer_field");
  const std::string& form = options.String("answer_form");
  const Value& answer = FindField(row, field, "option 'answer_field'");
  const int64_t count = static_cast<int64_t>(choices.size());
  const auto fail = [&](const std::string& needed) -> int64_t {
    throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + field + "' is " + answer.Text() + ", where " + needed +
                                      " is needed (answer_form: " + form + ").");
  };
  if (form == "text") {
    const auto hit = std::find(choices.begin(), choices.end(), TextOf(answer));
    return hit == choices.end() ? fail("one of the choices") : hit - choices.begin();
  }
  if (form == "letter") {
    const std::string last = ChoiceLetter(count - 1);
    for (int64_t i = 0; i < count; ++i) {
      if (answer.is_string() && answer.AsString() == ChoiceLetter(i)) return i;
    }
    return fail("a letter from A to " + last);
  }
  const int64_t first = form == "index_from_1" ? 1 : 0;
  if (!answer.is_int() || answer.AsInt() < first || answer.AsInt() >= count + first) {
    return fail("an index from " + std::to_string(first) + " to " + std::to_string(count + first - 1));
  }
  return answer.AsInt() - first;
}

Value Locals(const std::vector<std::string>& choices, int64_t index) {
  Value locals;
  locals.Set("choice", choices[index]);
  locals.Set("letter", ChoiceLetter(index));
  return locals;
}

}  // namespace

OptionSchema MultipleChoice::Schema() {
  OptionSchema schema;
  AddTaskFields(schema);
  AddPromptFields(schema);
  OptionField choice;
  choice.type = OptionType::kString;
  schema.String("target")
      .Default("{{choice}}")
      .Doc("Template of the scored text. {{choice}} and {{letter}} stand for the choice, here and in `prompt`.");
  schema.String("choices_field").Default("choices").Doc("Field that holds the list of choices.");
  schema.List("choices", choice).MinItems(2).Optional().Doc("Templates of the choices, instead of a field.");
  schema.String("answer_field").Default("answer").Doc("Field that says which choice is right.");
  schema.Choice("answer_form", {"index", "index_from_1", "letter", "text"})
      .Default("index")
      .Doc("What that field holds: an index from 0 or 1, a letter from A, or the text of the choice.");
  OptionField metric;
  metric.type = OptionType::kChoice;
  metric.choices = {"acc", "acc_norm", "acc_bytes"};
  schema.List("metrics", metric)
      .MinItems(1)
      .Default(Value::List{"acc", "acc_norm"})
      .Doc("The first is the primary one, to which laws are fitted.");
  schema.Real("chance").Min(0).Below(1).Optional().Doc("Accuracy of a guess; without it, 1 / choices of each item.");
  return schema;
}

MultipleChoice::MultipleChoice(Options options, TaskContext context)
    : options_(std::move(options)), context_(std::move(context)), card_(CardFromFields(options_, context_)) {
  for (const std::string& name : options_.Strings("metrics")) {
    for (const MetricCard& before : card_.metrics) {
      if (before.name == name) {
        throw Error(ErrorKind::kSpec, options_.Raw("metrics").mark().Text() + ": metric '" + name + "' is listed twice.");
      }
    }
    card_.metrics.push_back({name, MetricKind::kAccuracy, true});
  }
  TemplateFromOption(options_, "target");  // A broken template is reported now, not after the model is open.
  TemplateFromOption(options_, "prompt");
  TemplateFromOption(options_, "preamble");
}

void MultipleChoice::Load() const {
  PromptedItems prompted(options_, context_);
  const Choices choices(options_);
  const Template target = TemplateFromOption(options_, "target");
  prompted.set_example_text([&](const Value& row) {
    const std::vector<std::string> texts = choices.Of(row);
    const Value locals = Locals(texts, RightIndex(row, texts, options_));
    return prompted.Prompt(row, locals) + prompted.target_delimiter() + target.Render(row, locals);
  });
  std::vector<TaskItem> items;
  std::vector<std::pair<std::string, Key>> keys;
  for (const PromptedItems::Item& source : prompted.items()) {
    const std::vector<std::string> texts = choices.Of(source.row);
    TaskItem item{source.id, {}};
    Key key;
    key.right = RightIndex(source.row, texts, options_);
    key.group = source.group;
    for (size_t i = 0; i < texts.size(); ++i) {
      const Value locals = Locals(texts, static_cast<int64_t>(i));
      const std::string text = target.Render(source.row, locals);
      if (text.empty()) {
        throw Error(ErrorKind::kSpec, source.row.mark().Text() + ": the target of choice " + std::to_string(i) +
                                          " is empty. There is no likelihood of nothing.");
      }
      key.characters.push_back(CountCharacters(text));
      key.bytes.push_back(static_cast<int64_t>(text.size()));
      item.requests.push_back(
          LoglikelihoodRequest{prompted.Context(source.row, locals), prompted.target_delimiter() + text});
    }
    items.push_back(std::move(item));
    keys.emplace_back(source.id, std::move(key));
  }
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  items_ = std::move(items);
  keys_ = std::move(keys);
}

std::vector<TaskItem> MultipleChoice::Items() const {
  std::call_once(loaded_, [this] { Load(); });
  return items_;
}

std::vector<ItemScore> MultipleChoice::Score(const TaskItem& item, std::span<const Response> responses) const {
  std::call_once(loaded_, [this] { Load(); });
  const auto found = std::lower_bound(keys_.begin(), keys_.end(), item.id,
                                      [](const auto& entry, const std::string& id) { return entry.first < id; });
  if (found == keys_.end() || found->first != item.id || responses.size() != found->second.bytes.size()) {
    throw InternalError("multiple_choice: item '" + item.id + "' with " + std::to_string(responses.size()) +
                        " responses is none of task '" + context_.name + "'");
  }
  const Key& key = found->second;
  ItemScore score{item.id, {}, 0};
  score.group = key.group;
  score.lengths = key.characters;
  for (const Response& response : responses) {
    score.loglikelihoods_nats.push_back(std::get<LoglikelihoodResponse>(response).loglikelihood_nats);
  }
  score.chance = options_.Has("chance") ? options_.Real("chance") : 1.0 / static_cast<double>(responses.size());
  for (const MetricCard& metric : card_.metrics) {
    size_t best = 0;
    double best_value = 0;
    for (size_t i = 0; i < responses.size(); ++i) {
      const int64_t length = metric.name == "acc_norm"    ? key.characters[i]
                             : metric.name == "acc_bytes" ? key.bytes[i]
                                                          : 1;
      const double value = score.loglikelihoods_nats[i] / static_cast<double>(length);
      if (i == 0 || value > best_value) best = i, best_value = value;
    }
    score.values.push_back({static_cast<int64_t>(best) == key.right ? 1.0 : 0.0, 1.0});
  }
  return {std::move(score)};
}

std::string MultipleChoice::digest() const { return TaskDigest("multiple_choice", options_, context_); }

}  // namespace bitlaw
