#include "perplexity.h"

#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/jsonl.h"
#include "bitlaw/sdk/task_fields.h"
#include "bitlaw/sdk/template.h"
#include "bitlaw/sdk/unicode_text.h"

namespace bitlaw {

namespace {

// The rows that a Hugging Face reader makes of a raw WikiText file: a line with its line feed, or nothing for a
// blank line; joined by a blank line.
std::string JoinHfRows(std::string_view text) {
  std::string joined;
  bool first = true;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    text.remove_prefix(line.size());
    if (!first) joined += "\n\n";
    first = false;
    if (!Trim(line).empty()) joined += line;
  }
  return joined;
}

}  // namespace

OptionSchema Perplexity::Schema() {
  OptionSchema schema;
  AddTaskFields(schema);
  schema.Choice("convention", {"gptq", "rolling"}).Doc("How the text is cut into windows and averaged.");
  schema.Choice("join", {"as_is", "hf_rows", "blank_line"})
      .Doc("How the file becomes text: as it is, WikiText lines in the form of the datasets library, or .jsonl "
           "documents with a blank line between them. With convention rolling, .jsonl documents stay apart.");
  schema.String("text_field").Default("text").Doc("Field of a .jsonl file that holds the text.");
  schema.Int("window_tokens").Min(2).Default(2048).Unit("tokens").Doc("T, the length of a window.");
  schema.Int("max_windows").Min(0).Default(0).Unit("windows").Doc("Score only the first so many; 0 scores all.");
  return schema;
}

Perplexity::Perplexity(Options options, TaskContext context)
    : options_(std::move(options)), context_(std::move(context)), card_(CardFromFields(options_, context_)) {
  const bool gptq = options_.String("convention") == "gptq";
  const bool jsonl = options_.String("data").ends_with(".jsonl");
  const std::string& join = options_.String("join");
  const auto fail = [&](const Value& at, const std::string& what) {
    const std::string where = at.mark().Text();
    throw Error(ErrorKind::kSpec, (where.empty() ? "task '" + context_.name + "'" : where) + ": " + what);
  };
  if (jsonl && join == "hf_rows") {
    fail(options_.Raw("join"), "join 'hf_rows' is for plain text, and '" + options_.String("data") +
                                   "' is JSON lines. Use 'blank_line'.");
  }
  if (!jsonl && join == "blank_line") {
    fail(options_.Raw("join"), "join 'blank_line' is for .jsonl documents, and '" + options_.String("data") +
                                   "' is plain text. Use 'as_is' or 'hf_rows'.");
  }
  if (options_.Has("limit") && (gptq || !jsonl)) {
    fail(options_.Raw("limit"), "'limit' counts documents, and this task has one text. Use max_windows.");
  }
  const std::string window = std::to_string(options_.Int("window_tokens"));
  card_.convention = (gptq ? "gptq_disjoint_" : "rolling_") + window;
  if (gptq) {
    card_.metrics = {{"perplexity", MetricKind::kPerplexity, false}};
  } else {
    card_.metrics = {{"word_perplexity", MetricKind::kPerplexity, false},
                     {"byte_perplexity", MetricKind::kPerplexity, false},
                     {"perplexity", MetricKind::kPerplexity, false}};
    if (options_.Int("max_windows") > 0) {
      fail(options_.Raw("max_windows"), "'max_windows' is for convention gptq. With rolling, words and bytes of a "
                                        "document count whole. Use limit.");
    }
  }
  if (options_.Int("max_windows") > 0) card_.limit = options_.Int("max_windows");
}

std::vector<std::string> Perplexity::Documents() const {
  const std::string sha256 = options_.Has("sha256") ? options_.String("sha256") : "";
  const auto path = FindDataFile(options_.Raw("data"), context_, options_.String("get"), sha256);
  const std::string& join = options_.String("join");
  if (path.extension() != ".jsonl") {
    std::string text = ReadTextFile(path);
    return {join == "hf_rows" ? JoinHfRows(text) : std::move(text)};
  }
  std::vector<std::string> texts;
  const std::vector<Value> rows = ReadJsonl(path);
  for (const size_t i : LimitedIndices(rows.size(), options_)) {
    const Value& text = FindField(rows[i], options_.String("text_field"), "option 'text_field'");
    if (!text.is_string()) {
      throw Error(ErrorKind::kSpec, rows[i].mark().Text() + ": '" + options_.String("text_field") + "' is " +
                                        std::string(Article(text.type())) + ", where a string is needed.");
    }
    texts.push_back(text.AsString());
  }
  if (options_.String("convention") == "rolling") return texts;
  std::string joined;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0 && join == "blank_line") joined += "\n\n";
    joined += texts[i];
  }
  return {std::move(joined)};
}

std::vector<TaskItem> Perplexity::Items() const {
  const bool gptq = options_.String("convention") == "gptq";
  std::vector<TaskItem> items;
  for (std::string& text : Documents()) {
    RollingRequest request;
    request.convention = gptq ? WindowConvention::kDisjoint : WindowConvention::kRolling;
    request.window_tokens = options_.Int("window_tokens");
    request.max_windows = options_.Int("max_windows");
    request.text = std::move(text);
    items.push_back({std::to_string(items.size()), {std::move(request)}});
  }
  return items;
}

std::vector<ItemScore> Perplexity::Score(const TaskItem& item, std::span<const Response> responses) const {
  if (responses.size() != 1) throw InternalError("perplexity: item '" + item.id + "' has more than one response");
  const auto& windows = std::get<RollingResponse>(responses[0]).windows;
  std::vector<ItemScore> scores;
  if (options_.String("convention") == "gptq") {
    for (size_t i = 0; i < windows.size(); ++i) {
      scores.push_back({std::to_string(i), {{windows[i].loss_nats, static_cast<double>(windows[i].tokens)}}, 0.0});
    }
    return scores;
  }
  double loss_nats = 0, tokens = 0;
  for (const WindowLoss& window : windows) {
    loss_nats += window.loss_nats;
    tokens += static_cast<double>(window.tokens);
  }
  const std::string& text = std::get<RollingRequest>(item.requests[0]).text;
  scores.push_back({item.id,
                    {{loss_nats, static_cast<double>(CountSplitWords(text))},
                     {loss_nats, static_cast<double>(text.size())},
                     {loss_nats, tokens}},
                    0.0});
  return scores;
}

std::string Perplexity::digest() const { return TaskDigest("perplexity", options_, context_); }

}  // namespace bitlaw
