#include "multiple_choice.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/task/task_fields.h"
#include "bitlaw/sdk/text/data_text.h"
#include "bitlaw/sdk/text/template.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

// The letters from A to Z; more choices than that have none.
constexpr size_t kLetters = 26;

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
      for (const Value& text : field.AsList()) texts.push_back(DataTextOf(row, text, field_, "option 'choices_field'"));
    }
    if (texts.size() < 2) {
      throw Error(ErrorKind::kSpec, row.mark().Text() + ": the item has " + std::to_string(texts.size()) +
                                        " choices. There must be at least 2.");
    }
    return texts;
  }

 private:
  std::string field_;
  std::vector<Template> templates_;
};

// The whole number that `text` is: "2", "-1", "2.0" as tables write a column of numbers with gaps; otherwise nothing.
std::optional<int64_t> WholeNumber(std::string_view text) {
  const size_t point = text.find('.');
  if (point != std::string_view::npos) {
    const std::string_view fraction = text.substr(point + 1);
    if (fraction.empty() || fraction.find_first_not_of('0') != std::string_view::npos) return std::nullopt;
    text = text.substr(0, point);
  }
  int64_t number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Which choice is right, by the options answer_field, answer_form and labels_field.
class RightChoice {
 public:
  explicit RightChoice(const Options& options)
      : field_(options.String("answer_field")),
        form_(options.String("answer_form")),
        labels_field_(options.Has("labels_field") ? options.String("labels_field") : ""),
        choices_field_(options.Has("choices") ? "" : options.String("choices_field")) {
    if (options.Has("answer")) answer_ = TemplateFromOption(options, "answer");
  }

  int64_t IndexOf(const Value& row, const std::vector<std::string>& choices) const {
    const Value answer = answer_ ? Value(answer_->Render(row)) : FindField(row, field_, "option 'answer_field'");
    const std::string text = HasDataText(answer) ? std::string(Trim(DataText(answer))) : std::string();
    const auto count = static_cast<int64_t>(choices.size());
    const bool is_number = answer_ ? WholeNumber(text).has_value() : answer.is_int();
    if (form_ == "text" || (form_ == "index_or_text" && !is_number)) return ByText(row, answer, choices);
    if (form_ == "letter") {
      const std::vector<std::string> labels = Labels(row, choices.size());
      return labels.empty() ? ByLetter(row, answer, text, choices.size()) : ByLabel(row, answer, text, labels);
    }
    const int64_t first = form_ == "index_from_1" ? 1 : 0;
    const std::optional<int64_t> index = answer.is_bool() ? std::nullopt : WholeNumber(text);
    if (!index || *index < first || *index >= count + first) {
      Fail(row, answer, "an index from " + std::to_string(first) + " to " + std::to_string(count + first - 1));
    }
    return *index - first;
  }

 private:
  [[noreturn]] void Fail(const Value& row, const Value& answer, const std::string& needed) const {
    throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + (answer_ ? "answer" : field_) + "' is " + answer.Text() + ", where " + needed +
                                      " is needed (answer_form: " + form_ + ").");
  }

  int64_t ByText(const Value& row, const Value& answer, const std::vector<std::string>& choices) const {
    const std::string text = DataTextOf(row, answer, field_, "option 'answer_field'");
    const auto hit = std::find(choices.begin(), choices.end(), text);
    if (hit == choices.end()) Fail(row, answer, "one of the choices");
    return hit - choices.begin();
  }

  // The labels of the item's own choices: those of labels_field, or the list 'label' or 'labels' beside the choices, as
  // {"text": [...], "label": ["1", "2"]} has it. Nothing if there are none.
  std::vector<std::string> Labels(const Value& row, size_t count) const {
    const Value* list = nullptr;
    std::string name = labels_field_;
    if (!name.empty()) {
      list = &FindField(row, name, "option 'labels_field'");
      if (!list->is_list()) {
        throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + name + "' is " + std::string(Article(list->type())) +
                                          ", where a list of labels is needed (option 'labels_field').");
      }
    } else if (const size_t dot = choices_field_.rfind('.'); dot != std::string::npos) {
      const std::string parent = choices_field_.substr(0, dot);
      const Value& map = FindField(row, parent, "option 'choices_field'");
      for (const char* key : {"label", "labels"}) {
        if (const Value* found = map.Find(key); list == nullptr && found != nullptr && found->is_list()) {
          list = found;
          name = parent + "." + key;
        }
      }
    }
    if (list == nullptr) return {};
    if (list->AsList().size() != count) {
      throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + name + "' has " + std::to_string(list->AsList().size()) +
                                        " labels, and the item has " + std::to_string(count) + " choices.");
    }
    std::vector<std::string> labels;
    for (const Value& label : list->AsList()) {
      labels.emplace_back(Trim(DataTextOf(row, label, name, "option 'labels_field'")));
      if (std::find(labels.begin(), labels.end() - 1, labels.back()) != labels.end() - 1) {
        throw Error(ErrorKind::kSpec,
                    row.mark().Text() + ": '" + name + "' has the label '" + labels.back() + "' twice.");
      }
    }
    return labels;
  }

  int64_t ByLabel(const Value& row, const Value& answer, const std::string& text,
                  const std::vector<std::string>& labels) const {
    auto hit = std::find(labels.begin(), labels.end(), text);
    if (hit == labels.end() && text.size() == 1) {
      const auto same = [&](const std::string& label) { return label == ToUpper(text) || label == ToLower(text); };
      if (std::count_if(labels.begin(), labels.end(), same) == 1) hit = std::find_if(labels.begin(), labels.end(), same);
    }
    if (answer.is_bool() || hit == labels.end()) Fail(row, answer, "one of the item's labels (" + JoinNames(labels) + ")");
    return hit - labels.begin();
  }

  int64_t ByLetter(const Value& row, const Value& answer, const std::string& text, size_t count) const {
    const std::string upper = ToUpper(text);
    for (size_t i = 0; answer.is_string() && i < std::min(count, kLetters); ++i) {
      if (upper == ChoiceLetter(static_cast<int64_t>(i))) return static_cast<int64_t>(i);
    }
    const std::string last = ChoiceLetter(static_cast<int64_t>(std::min(count, kLetters)) - 1);
    if (!answer.is_bool() && WholeNumber(text)) {
      Fail(row, answer, "a letter from A to " + last + ", or labels_field, the item's list of labels, or another form,");
    }
    Fail(row, answer, "a letter from A to " + last);
  }

  std::string field_, form_, labels_field_, choices_field_;
  std::optional<Template> answer_;
};

Value Locals(const std::vector<std::string>& choices, int64_t index) {
  Value locals;
  locals.Set("choice", choices[index]);
  if (static_cast<size_t>(index) < kLetters) locals.Set("letter", ChoiceLetter(index));
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
  schema.String("answer").Optional().Doc("Template of what says which choice is right, instead of a field.");
  schema.Choice("answer_form", {"index", "index_from_1", "letter", "text", "index_or_text"})
      .Default("index")
      .Doc("What it holds: an index from 0 or 1, a letter from A or a label, or the text of the choice; index_or_text: "
           "an integer is an index from 0, all else a text.");
  schema.String("labels_field")
      .Optional()
      .Doc("Form letter: field with the choices' own labels; without it, 'label' or 'labels' beside choices_field.");
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
  if (options_.Has("answer")) TemplateFromOption(options_, "answer");
}

void MultipleChoice::Load() const {
  PromptedItems prompted(options_, context_);
  const Choices choices(options_);
  const RightChoice right(options_);
  const Template target = TemplateFromOption(options_, "target");
  const bool needs_letters = target.Uses("letter") || TemplateFromOption(options_, "prompt").Uses("letter");
  const auto choices_of = [&](const Value& row) {
    std::vector<std::string> texts = choices.Of(row);
    if (needs_letters && texts.size() > kLetters) {
      throw Error(ErrorKind::kSpec, row.mark().Text() + ": the item has " + std::to_string(texts.size()) +
                                        " choices, and {{letter}} goes from A to Z. Write {{choice}} in prompt and target.");
    }
    return texts;
  };
  prompted.set_example_text([&](const Value& row) {
    const std::vector<std::string> texts = choices_of(row);
    const Value locals = Locals(texts, right.IndexOf(row, texts));
    return prompted.Prompt(row, locals) + prompted.target_delimiter() + target.Render(row, locals);
  });
  prompted.set_asked([&](const Value& row) {
    const std::vector<std::string> texts = choices_of(row);
    const Value locals = Locals(texts, right.IndexOf(row, texts));
    return PromptedItems::Asked{prompted.Prompt(row, locals), {target.Render(row, locals)}};
  });
  std::vector<TaskItem> items;
  std::vector<std::pair<std::string, Key>> keys;
  for (const PromptedItems::Item& source : prompted.items()) {
    const std::vector<std::string> texts = choices_of(source.row);
    TaskItem item{source.id, {}, source.factors};
    Key key;
    key.right = right.IndexOf(source.row, texts);
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
    key.texts = texts;
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
  score.right = std::to_string(key.right);
  score.target = key.texts.at(static_cast<size_t>(key.right));
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
    score.chosen.push_back(static_cast<int64_t>(best));
    score.extracted.push_back(key.texts[best]);
    score.values.push_back({score.chosen.back() == key.right ? 1.0 : 0.0, 1.0});
  }
  return {std::move(score)};
}

std::string MultipleChoice::digest() const { return TaskDigest("multiple_choice", options_, context_); }

}  // namespace bitlaw
