#include "short_answer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/task_fields.h"
#include "bitlaw/sdk/template.h"
#include "bitlaw/sdk/unicode_text.h"

namespace bitlaw {

namespace {

// Python's string.punctuation: every printable ASCII character that is no letter, digit or space.
std::string WithoutPunctuation(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || !std::ispunct(byte)) out += c;
  }
  return out;
}

// Removes each of `articles` that starts at a word boundary, leftmost first, as re.sub(r"\b(?:...)", "") does.
std::string WithoutLeadingArticles(std::string_view text) {
  static constexpr std::array<std::string_view, 6> kArticles = {"The ", "the ", "An ", "A ", "a ", "an "};
  std::string out;
  bool inside_word = false;
  for (size_t at = 0; at < text.size();) {
    const auto article = std::find_if(kArticles.begin(), kArticles.end(), [&](std::string_view known) {
      return !inside_word && text.substr(at, known.size()) == known;
    });
    if (article != kArticles.end()) {
      at += article->size();
      continue;
    }
    const CharacterClass c = ClassifyCharacter(text, at);
    inside_word = c.is_word;
    out += text.substr(at, c.size_bytes);
    at += c.size_bytes;
  }
  return out;
}

// The words a, an, the become a space each: re.sub(r"\b(a|an|the)\b", " ").
std::string WithoutArticleWords(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size()) {
      const CharacterClass c = ClassifyCharacter(text, end);
      if (!c.is_word) break;
      end += c.size_bytes;
    }
    const std::string_view word = text.substr(at, end - at);
    if (word.empty()) {
      const size_t size_bytes = ClassifyCharacter(text, at).size_bytes;
      out += text.substr(at, size_bytes);
      at += size_bytes;
      continue;
    }
    const bool article = word == "a" || word == "an" || word == "the";
    out += article ? std::string_view(" ") : word;
    at = end;
  }
  return out;
}

std::string TextOf(const Value& value) { return value.is_string() ? value.AsString() : value.Text(); }

std::vector<std::string> AnswersOf(const Value& row, const std::string& field) {
  const Value& answers = FindField(row, field, "option 'answers_field'");
  std::vector<std::string> texts;
  if (answers.is_list()) {
    for (const Value& text : answers.AsList()) texts.push_back(TextOf(text));
  } else {
    texts.push_back(TextOf(answers));
  }
  if (texts.empty()) {
    throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + field + "' is empty, so no answer can be right.");
  }
  return texts;
}

}  // namespace

std::string NormalizeAnswer(std::string_view text, std::string_view normalization) {
  if (normalization == "none") return std::string(text);
  if (normalization == "harness") return WithoutPunctuation(ToLower(text));
  if (normalization == "harness_articles") return WithoutPunctuation(ToLower(WithoutLeadingArticles(text)));
  if (normalization == "squad") return CollapseSpace(WithoutArticleWords(WithoutPunctuation(ToLower(text))));
  throw InternalError("short_answer: normalization '" + std::string(normalization) + "'");
}

OptionSchema ShortAnswer::Schema() {
  OptionSchema schema;
  AddTaskFields(schema);
  AddPromptFields(schema);
  schema.String("answers_field").Default("answers").Doc("Field with the accepted answers: a list or one text.");
  OptionField stop;
  stop.type = OptionType::kString;
  schema.List("until", stop).Default(Value::List{"\n"}).Doc("Strings that end the answer; it is cut before them.");
  schema.Int("max_new_tokens").Range(1, 4096).Default(32).Unit("tokens").Doc("The longest answer.");
  schema.Choice("normalization", {"none", "harness", "harness_articles", "squad"})
      .Default("harness")
      .Doc("What is done to both sides before they are compared; the plugin's README defines each.");
  return schema;
}

ShortAnswer::ShortAnswer(Options options, TaskContext context)
    : options_(std::move(options)), context_(std::move(context)), card_(CardFromFields(options_, context_)) {
  card_.metrics = {{"exact_match", MetricKind::kAccuracy, true}};
  TemplateFromOption(options_, "prompt");  // A broken template is reported now, not after the model is open.
  TemplateFromOption(options_, "preamble");
}

void ShortAnswer::Load() const {
  PromptedItems prompted(options_, context_);
  const std::string& field = options_.String("answers_field");
  const std::string& normalization = options_.String("normalization");
  prompted.set_example_text([&](const Value& row) {
    return prompted.Prompt(row) + prompted.target_delimiter() + AnswersOf(row, field).front();
  });
  std::vector<TaskItem> items;
  std::vector<std::pair<std::string, std::vector<std::string>>> answers;
  for (const PromptedItems::Item& source : prompted.items()) {
    GenerateRequest request{prompted.Context(source.row), options_.Strings("until"), options_.Int("max_new_tokens")};
    items.push_back({source.id, {std::move(request)}});
    answers.emplace_back(source.id, AnswersOf(source.row, field));
    for (std::string& answer : answers.back().second) answer = NormalizeAnswer(answer, normalization);
  }
  std::sort(answers.begin(), answers.end());
  items_ = std::move(items);
  answers_ = std::move(answers);
}

std::vector<TaskItem> ShortAnswer::Items() const {
  std::call_once(loaded_, [this] { Load(); });
  return items_;
}

std::vector<ItemScore> ShortAnswer::Score(const TaskItem& item, std::span<const Response> responses) const {
  std::call_once(loaded_, [this] { Load(); });
  const auto found = std::lower_bound(answers_.begin(), answers_.end(), item.id,
                                      [](const auto& entry, const std::string& id) { return entry.first < id; });
  if (found == answers_.end() || found->first != item.id || responses.size() != 1) {
    throw InternalError("short_answer: item '" + item.id + "' is none of task '" + context_.name + "'");
  }
  const std::string& text = std::get<GenerateResponse>(responses[0]).text;
  const std::string given = NormalizeAnswer(Trim(text), options_.String("normalization"));
  const bool right = std::find(found->second.begin(), found->second.end(), given) != found->second.end();
  return {ItemScore{item.id, {{right ? 1.0 : 0.0, 1.0}}, 0.0}};
}

std::string ShortAnswer::digest() const { return TaskDigest("short_answer", options_, context_); }

}  // namespace bitlaw
