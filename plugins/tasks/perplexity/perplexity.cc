#include "perplexity.h"

#include <algorithm>
#include <array>
#include <numbers>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "bitlaw/sdk/task/task_data.h"
#include "bitlaw/sdk/task/task_fields.h"
#include "bitlaw/sdk/text/template.h"
#include "bitlaw/sdk/text/unicode_text.h"

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

// The articles of a raw WikiText file: it is cut at headings of the first level, " = Title = ".
std::vector<std::string> WikitextPages(std::string_view text) {
  std::vector<std::string> pages;
  std::string page;
  bool first_line = true;
  const auto end_page = [&] {
    if (!Trim(page).empty()) pages.push_back(page);
    page.clear();
    first_line = true;
  };
  while (true) {
    const size_t end = text.find('\n');
    const std::string line(text.substr(0, end));
    const std::string marks = ReplaceAll(ReplaceAll(line, "= = =", "==="), "= =", "==");
    const std::string_view trimmed = Trim(marks);
    if (trimmed.starts_with("= ") && trimmed.ends_with(" =")) end_page();
    page += (first_line ? "" : "\n") + line;
    first_line = false;
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  end_page();
  return pages;
}

// Brackets and quotes without the space inside of them: re.sub(r"\(\s*([^\)]*?)\s*\)", r"(\1)", text).
std::string WithTightPairs(std::string_view text, char open, char close) {
  std::string out;
  while (true) {
    const size_t begin = text.find(open);
    const size_t end = begin == std::string_view::npos ? begin : text.find(close, begin + 1);
    if (end == std::string_view::npos) return out += text;
    out += text.substr(0, begin + 1);
    out += Trim(text.substr(begin + 1, end - begin - 1));
    out += close;
    text.remove_prefix(end + 1);
  }
}

// Undoes WikiText's tokenization by the rules of the public harness, in its order.
std::string DetokenizeWikitext(std::string text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kSpaces = {{{"s '", "s'"},
                                                                                           {" @-@ ", "-"},
                                                                                           {" @,@ ", ","},
                                                                                           {" @.@ ", "."},
                                                                                           {" : ", ": "},
                                                                                           {" ; ", "; "},
                                                                                           {" . ", ". "},
                                                                                           {" ! ", "! "},
                                                                                           {" ? ", "? "},
                                                                                           {" , ", ", "}}};
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kRest = {{{"= = = =", "===="},
                                                                                        {"= = =", "==="},
                                                                                        {"= =", "=="},
                                                                                        {" \u00b0 ", "\u00b0"},
                                                                                        {" \n", "\n"},
                                                                                        {"\n ", "\n"},
                                                                                        {" N ", " 1 "},
                                                                                        {" 's", "'s"}}};
  for (const auto& [from, to] : kSpaces) text = ReplaceAll(text, from, to);
  for (const char* pair : {"()", "[]", "{}", "\"\"", "''"}) text = WithTightPairs(text, pair[0], pair[1]);
  for (const auto& [from, to] : kRest) text = ReplaceAll(text, from, to);
  return text;
}

}  // namespace

OptionSchema Perplexity::Schema() {
  OptionSchema schema;
  AddTaskFields(schema);
  schema.Choice("convention", {"gptq", "rolling"}).Doc("How the text is cut into windows and averaged.");
  schema.Choice("join", {"as_is", "hf_rows", "wikitext_pages", "blank_line", "space"})
      .Doc("How the file becomes text: as it is, WikiText lines in the form of the datasets library, its articles "
           "apart, or .jsonl documents with a blank line or a space between them. With convention rolling, .jsonl "
           "documents stay apart.");
  schema.Choice("detokenize", {"wikitext"})
      .Optional()
      .Doc("Undo WikiText's spaces round punctuation before the model reads; words and bytes are counted before.");
  schema.String("text_field").Default("text").Doc("Field of a .jsonl file that holds the text.");
  schema.Int("window_tokens").Min(2).Default(2048).Unit("tokens").Doc("T, the length of a window.");
  schema.Int("max_windows").Min(0).Default(0).Unit("windows").Doc("Score only the first so many; 0 scores all.");
  return schema;
}

Perplexity::Perplexity(Options options, TaskContext context)
    : options_(std::move(options)), context_(std::move(context)), card_(CardFromFields(options_, context_)) {
  const bool gptq = options_.String("convention") == "gptq";
  const std::vector<std::string> names = options_.Strings("data");
  const auto is_jsonl = [](const std::string& name) { return name.ends_with(".jsonl"); };
  const bool jsonl = std::any_of(names.begin(), names.end(), is_jsonl);
  const std::string& join = options_.String("join");
  const auto fail = [&](const Value& at, const std::string& what) {
    const std::string where = at.mark().Text();
    throw Error(ErrorKind::kSpec, (where.empty() ? "task '" + context_.name + "'" : where) + ": " + what);
  };
  if (jsonl && !std::all_of(names.begin(), names.end(), is_jsonl)) {
    fail(options_.Raw("data"), "the data files (" + DataNames(options_) + ") are partly JSON lines and partly plain text, "
                               "and one task reads one kind.");
  }
  if (jsonl && (join == "hf_rows" || join == "wikitext_pages")) {
    fail(options_.Raw("join"), "join '" + join + "' is for plain text, and '" + DataNames(options_) +
                                   "' is JSON lines. Use 'blank_line'.");
  }
  if (!jsonl && (join == "blank_line" || join == "space")) {
    fail(options_.Raw("join"), "join '" + join + "' is for .jsonl documents, and '" + DataNames(options_) +
                                   "' is plain text. Use 'as_is' or 'hf_rows'.");
  }
  if (gptq && join == "wikitext_pages") {
    fail(options_.Raw("join"), "join 'wikitext_pages' makes many texts, and convention gptq has one. Use 'hf_rows'.");
  }
  if (options_.Has("limit") && (gptq || (!jsonl && join != "wikitext_pages"))) {
    fail(options_.Raw("limit"), "'limit' counts documents, and this task has one text. Use max_windows.");
  }
  const std::string window = std::to_string(options_.Int("window_tokens"));
  card_.convention = (gptq ? "gptq_disjoint_" : "rolling_") + window;
  if (gptq) {
    card_.metrics = {{"perplexity", MetricKind::kPerplexity, false}};
  } else {
    card_.metrics = {{"word_perplexity", MetricKind::kPerplexity, false},
                     {"byte_perplexity", MetricKind::kPerplexity, false},
                     {"perplexity", MetricKind::kPerplexity, false},
                     {"bits_per_byte", MetricKind::kRatio, false}};
    if (options_.Int("max_windows") > 0) {
      fail(options_.Raw("max_windows"), "'max_windows' is for convention gptq. With rolling, words and bytes of a "
                                        "document count whole. Use limit.");
    }
  }
  if (options_.Int("max_windows") > 0) card_.limit = options_.Int("max_windows");
}

std::vector<std::string> Perplexity::Documents() const {
  const std::vector<DataFile> files = FindDataFiles(options_, context_, options_.String("get"));
  const std::string& join = options_.String("join");
  if (files.front().path.extension() != ".jsonl") {
    std::string text;  // Several files read on as one.
    for (const DataFile& file : files) text += ReadPlainText(file.path);
    if (text.empty()) {
      throw Error(ErrorKind::kSpec, files.front().path.string() + ": the text is empty. There is nothing to score.");
    }
    if (join == "wikitext_pages") {
      const std::vector<std::string> pages = WikitextPages(text);
      std::vector<std::string> kept;
      for (const size_t i : LimitedIndices(pages.size(), options_)) kept.push_back(pages[i]);
      return kept;
    }
    return {join == "hf_rows" ? JoinHfRows(text) : std::move(text)};
  }
  std::vector<std::string> texts;
  const std::vector<Value> rows = ReadDataRows(files);
  for (const size_t i : LimitedIndices(rows.size(), options_)) {
    const Value& text = FindField(rows[i], options_.String("text_field"), "option 'text_field'");
    if (!text.is_string()) {
      throw Error(ErrorKind::kSpec, rows[i].mark().Text() + ": '" + options_.String("text_field") + "' is " +
                                        std::string(Article(text.type())) + ", where a string is needed.");
    }
    texts.push_back(text.AsString());
  }
  if (std::all_of(texts.begin(), texts.end(), [](const std::string& text) { return text.empty(); })) {
    throw Error(ErrorKind::kSpec, rows.empty() ? "task '" + context_.name + "': it has no items."
                                               : rows.front().mark().Text() + ": '" + options_.String("text_field") +
                                                     "' is empty here and in every other text that is read. There is "
                                                     "nothing to score.");
  }
  if (options_.String("convention") == "rolling") return texts;
  std::string joined;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0 && join == "blank_line") joined += "\n\n";
    if (i > 0 && join == "space") joined += " ";
    joined += texts[i];
  }
  return {std::move(joined)};
}

std::vector<TaskItem> Perplexity::Items() const {
  const bool detokenize = options_.Has("detokenize");
  const bool gptq = options_.String("convention") == "gptq";
  std::vector<TaskItem> items;
  std::vector<Size> sizes;
  for (const std::string& text : Documents()) {
    RollingRequest request;
    request.convention = gptq ? WindowConvention::kDisjoint : WindowConvention::kRolling;
    request.window_tokens = options_.Int("window_tokens");
    request.max_windows = options_.Int("max_windows");
    request.text = detokenize ? DetokenizeWikitext(text) : text;
    if (!gptq) sizes.push_back({CountSplitWords(text), static_cast<int64_t>(text.size())});
    items.push_back({std::to_string(items.size()), {std::move(request)}});
  }
  const std::lock_guard lock(sizes_mutex_);
  sizes_ = std::move(sizes);
  return items;
}

Perplexity::Size Perplexity::SizeOf(const TaskItem& item) const {
  const std::string& read = std::get<RollingRequest>(item.requests[0]).text;
  if (!options_.Has("detokenize")) return {CountSplitWords(read), static_cast<int64_t>(read.size())};
  // Item i is document i, by Items().
  const size_t index = std::stoul(item.id);
  if (const std::lock_guard lock(sizes_mutex_); index < sizes_.size()) return sizes_[index];
  throw InternalError("perplexity: item '" + item.id + "' is none of task '" + context_.name + "'");
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
  const Size size = SizeOf(item);
  scores.push_back({item.id,
                    {{loss_nats, static_cast<double>(size.words)},
                     {loss_nats, static_cast<double>(size.bytes)},
                     {loss_nats, tokens},
                     {loss_nats / std::numbers::ln2, static_cast<double>(size.bytes)}},
                    0.0});
  return scores;
}

std::string Perplexity::digest() const { return TaskDigest("perplexity", options_, context_); }

}  // namespace bitlaw
