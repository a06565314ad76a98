#include "cloze.h"

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/task/task_fields.h"
#include "bitlaw/sdk/text/template.h"

namespace bitlaw {

OptionSchema Cloze::Schema() {
  OptionSchema schema;
  AddTaskFields(schema);
  AddPromptFields(schema);
  schema.String("target").Doc("Template of the right continuation.");
  return schema;
}

Cloze::Cloze(Options options, TaskContext context)
    : options_(std::move(options)), context_(std::move(context)), card_(CardFromFields(options_, context_)) {
  card_.metrics = {{"acc", MetricKind::kAccuracy, true}, {"perplexity", MetricKind::kPerplexity, false}};
  TemplateFromOption(options_, "prompt");  // A broken template is reported now, not after the model is open.
  TemplateFromOption(options_, "preamble");
  TemplateFromOption(options_, "target");
}

std::vector<TaskItem> Cloze::Items() const {
  PromptedItems prompted(options_, context_);
  const Template target = TemplateFromOption(options_, "target");
  prompted.set_example_text([&](const Value& row) {
    return prompted.Prompt(row) + prompted.target_delimiter() + target.Render(row);
  });
  prompted.set_asked([&](const Value& row) {
    return PromptedItems::Asked{prompted.Prompt(row), {target.Render(row)}};
  });
  std::vector<TaskItem> items;
  for (const PromptedItems::Item& source : prompted.items()) {
    const std::string text = target.Render(source.row);
    if (text.empty()) throw Error(ErrorKind::kSpec, source.row.mark().Text() + ": the target is empty.");
    items.push_back({source.id,
                     {LoglikelihoodRequest{prompted.Context(source.row), prompted.target_delimiter() + text}},
                     source.factors});
  }
  return items;
}

std::vector<ItemScore> Cloze::Score(const TaskItem& item, std::span<const Response> responses) const {
  if (responses.size() != 1) throw InternalError("cloze: item '" + item.id + "' has more than one response");
  const auto& response = std::get<LoglikelihoodResponse>(responses[0]);
  ItemScore score{item.id, {{response.is_greedy ? 1.0 : 0.0, 1.0}, {-response.loglikelihood_nats, 1.0}}, 0.0};
  // The target without the delimiter before it.
  const std::string& text = std::get<LoglikelihoodRequest>(item.requests.at(0)).continuation;
  score.right = text.substr(options_.String("target_delimiter").size());
  score.target = score.right;
  return {std::move(score)};
}

std::string Cloze::digest() const { return TaskDigest("cloze", options_, context_); }

}  // namespace bitlaw
