#include "import/lm_eval_samples.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

[[noreturn]] void Fail(const Value& row, const std::string& what) {
  throw Error(ErrorKind::kSpec, row.mark().Text() + ": " + what + " (log_samples of lm-evaluation-harness).");
}

const Value& Part(const Value& row, const std::string& key) {
  const Value* part = row.Find(key);
  if (part == nullptr) Fail(row, "the line has no '" + key + "'");
  return *part;
}

// The first text in lists within lists: resps are [[text]] and [[[loglikelihood, greedy]]].
const Value* First(const Value* value) {
  while (value != nullptr && value->is_list()) value = value->AsList().empty() ? nullptr : &value->AsList()[0];
  return value;
}

std::optional<double> Number(const Value& value) {
  if (value.is_number()) return value.AsReal();
  if (!value.is_string()) return std::nullopt;
  const std::string& text = value.AsString();
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The number of the choice that a metric takes: the likeliest, by itself, a character or a byte of its text. -1:
// unknown.
int64_t ChosenBy(const std::string& metric, const Value::List& answers) {
  if (metric != "acc" && metric != "acc_norm" && metric != "acc_bytes") return -1;
  int64_t best = -1;
  double best_value = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Value *nats = answers[i].Find("loglikelihood_nats"), *continuation = answers[i].Find("continuation");
    if (nats == nullptr || continuation == nullptr) return -1;
    const std::string_view text = TrimLeft(continuation->AsString());
    const double length = metric == "acc"        ? 1
                          : metric == "acc_norm" ? static_cast<double>(CountCharacters(text))
                                                 : static_cast<double>(text.size());
    const double value = nats->AsReal() / length;
    if (best < 0 || value > best_value) best = static_cast<int64_t>(i), best_value = value;
  }
  return answers.size() > 1 ? best : -1;
}

}  // namespace

bool IsLmEvalSample(const Value& row) {
  return row.Find("doc_id") != nullptr && row.Find("arguments") != nullptr && row.Find("resps") != nullptr;
}

std::string TaskOfLmEvalSamples(const std::filesystem::path& path) {
  std::string name = path.stem().string();
  if (name.starts_with("samples_")) name.erase(0, 8);
  // The date begins with digits and holds a T: 2026-01-31T10-00-00.123456.
  const size_t cut = name.rfind('_');
  const bool is_date = cut != std::string::npos && cut + 11 < name.size() && name[cut + 11] == 'T' &&
                       name.find_first_not_of("0123456789-", cut + 1) == cut + 11;
  return is_date ? name.substr(0, cut) : name;
}

Value SampleFromLmEval(const Value& row, const std::string& task) {
  const Value &arguments = Part(row, "arguments"), &responses = Part(row, "resps"), &metrics = Part(row, "metrics");
  if (!arguments.is_map() || !responses.is_list() || !metrics.is_list() ||
      responses.AsList().size() != arguments.AsMap().size()) {
    Fail(row, "'arguments', 'resps' and 'metrics' are not as the harness writes them");
  }
  Value::List answers;
  for (size_t i = 0; i < responses.AsList().size(); ++i) {
    const Value& asked = arguments.AsMap()[i].second;
    const Value *context = asked.Find("arg_0"), *continuation = asked.Find("arg_1");
    const Value* given = First(&responses.AsList()[i]);
    if (context == nullptr || !context->is_string() || given == nullptr)
      Fail(row, "request " + std::to_string(i) + " has no text or no answer");
    Value answer = Value::Map{{"context", *context}};
    const std::optional<double> nats = Number(*given);
    if (continuation != nullptr && continuation->is_string()) {
      if (!nats) Fail(row, "the loglikelihood of request " + std::to_string(i) + " is " + given->Text());
      answer.Set("continuation", *continuation);
      answer.Set("loglikelihood_nats", *nats);
    } else if (continuation == nullptr && nats) {
      answer.Set("windows", Value::List{Value(Value::Map{{"loss_nats", -*nats}})});
    } else {
      answer.Set("text", *given);
    }
    answers.push_back(std::move(answer));
  }
  // Of choices the number of the right one, which the harness writes as a number or as the choice's text.
  Value right = Part(row, "target"), target;
  if (!right.is_string()) right = right.Text();
  if (answers.size() > 1 && !Number(right)) {
    for (size_t i = 0; i < answers.size(); ++i) {
      const Value* text = answers[i].Find("continuation");
      if (text != nullptr && Trim(text->AsString()) == Trim(right.AsString())) {
        right = std::to_string(i);
        break;
      }
    }
  }
  if (answers.size() == 1) target = right;
  const double place = answers.size() > 1 ? Number(right).value_or(-1) : -1;
  if (place >= 0 && place < static_cast<double>(answers.size())) {
    if (const Value* text = answers[static_cast<size_t>(place)].Find("continuation")) {
      target = std::string(Trim(text->AsString()));
    }
  }
  // What the filter took out of a generated text, of each sample alike.
  const Value* extracted = First(row.Find("filtered_resps"));
  if (answers.empty() || answers[0].Find("text") == nullptr) extracted = nullptr;
  const Value* filter = row.Find("filter");
  const std::string behind = filter == nullptr || *filter == Value("none")
                                 ? ""
                                 : "_" + (filter->is_string() ? filter->AsString() : filter->Text());
  Value::List values;
  for (const Value& name : metrics.AsList()) {
    const Value* value = name.is_string() ? row.Find(name.AsString()) : nullptr;
    if (value == nullptr) Fail(row, "the metric " + name.Text() + " has no value");
    const std::optional<double> number = Number(*value);
    values.emplace_back(Value::Map{
        {"metric", name.AsString() + behind}, {"value", number ? Value(*number) : Value()}, {"weight", 1.0}});
    if (extracted != nullptr) values.back().Set("extracted", *extracted);
    const int64_t chosen = ChosenBy(name.AsString(), answers);
    // What stands before a choice is not logged apart from it: the value must agree with the choice.
    if (chosen >= 0 && number && (*number == 1) == (std::to_string(chosen) == right.AsString())) {
      values.back().Set("chosen", chosen);
      values.back().Set("extracted",
                        std::string(Trim(answers[static_cast<size_t>(chosen)].Find("continuation")->AsString())));
    }
  }
  Value sample = Value::Map{{"task", task},
                            {"item", Part(row, "doc_id").Text()},
                            {"answers", std::move(answers)},
                            {"right", std::move(right)},
                            {"target", std::move(target)},
                            {"values", std::move(values)}};
  sample.set_mark(row.mark());
  return sample;
}

}  // namespace bitlaw
