#include "bitlaw/sdk/task/task_fields.h"

#include <algorithm>
#include <limits>
#include <set>
#include <span>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "bitlaw/sdk/task/task_data.h"
#include "bitlaw/sdk/text/data_text.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

// Raised when the same task file and data come to ask or score something else, so that records made before do not count.
constexpr std::string_view kReading = "reading 2";

// Texts for people, grouping and places: they change no score.
constexpr std::string_view kNotInDigest[] = {"stratum", "description", "matches", "citation", "licence",
                                             "data",    "sha256",      "get"};

// Options that came later count only where they are given, so that tasks without them keep their digests, and with
// these their records.
constexpr std::string_view kLaterOptions[] = {"group_field", "example", "target", "metrics", "extract", "ignore",
                                              "detokenize", "item_factors", "answer"};

// The field few_shot.match of a row for error texts: 'subject = "law"'.
std::string MatchOf(const Value& row, const std::string& match) {
  return match.empty() ? std::string() : FindField(row, match, "option 'few_shot.match'").CanonicalJson();
}

std::string Text(const Options& options, std::string_view name) {
  return options.Has(name) ? options.String(name) : std::string();
}

std::vector<std::string> ItemFactors(const Options& options) {
  const bool has = options.map().Find("item_factors") != nullptr && options.Has("item_factors");
  return has ? options.Strings("item_factors") : std::vector<std::string>();
}

// A number of a row; NaN where the field is empty.
double FactorOf(const Value& row, const std::string& name) {
  const Value& field = FindField(row, name, "option 'item_factors'");
  if (field.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!field.is_number()) {
    throw Error(ErrorKind::kSpec, row.mark().Text() + ": '" + name + "' is " + field.Text() +
                                      ", where a number is needed (option 'item_factors').");
  }
  return field.AsReal();
}

// The few_shot group, or nothing if it was not given or asks for no examples.
bool HasFewShot(const Options& options) {
  return options.map().Find("few_shot") != nullptr && options.Has("few_shot") &&
         options.Group("few_shot").Int("count") > 0;
}

Value OfDefinition(const Value& map, std::span<const std::string_view> names) {
  Value::Map kept;
  for (const auto& [key, value] : map.AsMap()) {
    const auto is_in = [&key = key](auto&& list) { return std::find(list.begin(), list.end(), key) != list.end(); };
    if (is_in(names) || (value.is_null() && is_in(std::span(kLaterOptions)))) continue;
    kept.emplace_back(key, value);
  }
  return kept;
}

}  // namespace

void AddTaskFields(OptionSchema& schema) {
  schema.String("version").Doc("Version of the definition; raised whenever scores may change.");
  schema.String("stratum").Default("").Doc("Group for stratified laws, e.g. KM, KA, KR.");
  schema.String("description").Default("").Doc("What the benchmark asks, for people.");
  schema.String("matches").Default("").Doc("The published setup that this task reproduces.");
  schema.String("citation").Default("").Doc("Paper of the benchmark.");
  schema.String("licence").Default("").Doc("Licence of the data.");
  AddDataFields(schema, /*required=*/true,
                "Data file, files, or pattern, looked for in the data folders and then beside this file.");
  schema.String("get").Default("").Doc("How a user comes by the data file; shown when it is missing.");
  schema.Int("limit").Min(1).Optional().Unit("items").Doc("Score only so many items; flagged in every table.");
  schema.Choice("limit_from", {"first", "spread"})
      .Default("first")
      .Doc("Which items a limit keeps: the first, or evenly spaced ones.");
}

void AddPromptFields(OptionSchema& schema) {
  schema.String("preamble").Default("").Doc("Template in front of everything; {{fields}} are the scored item's.");
  schema.String("prompt").Doc("Template of one item's question.");
  schema.String("target_delimiter").Default(" ").Doc("Between prompt and answer.");
  schema.String("id_field").Default("").Doc("Field that names an item; without it, its index from 0.");
  schema.String("group_field").Optional().Doc("Field that names an item's part of the benchmark, e.g. subject.");
  OptionField field;
  field.type = OptionType::kString;
  schema.List("item_factors", field)
      .Optional()
      .Doc("Fields with numbers that tell items apart, e.g. steps: columns of the items, and their means of the observations.");
  OptionSchema few_shot;
  AddDataFields(few_shot, /*required=*/false,
                "File, files or pattern of examples; without it, the first items of the data, then not scored.");
  few_shot.Int("count").Min(0).Doc("Examples in front of every item.");
  few_shot.Choice("choose", {"first", "random"})
      .Default("first")
      .Doc("The first of the file, or one seeded draw, the same for every item.");
  few_shot.Int("seed").Min(0).Default(1234).Doc("Of the random draw.");
  few_shot.String("match").Default("").Doc("Field in which examples equal the item, e.g. subject.");
  few_shot.String("example").Optional().Doc("Template of an example, instead of its prompt, delimiter and answer.");
  schema.Group("few_shot", few_shot).Optional().Doc("Worked examples in front of each item.");
  schema.String("fewshot_delimiter").Default("\n\n").Doc("After each example.");
}

TaskCard CardFromFields(const Options& options, const TaskContext& context) {
  TaskCard card;
  card.name = context.name;
  card.version = options.String("version");
  card.stratum = options.String("stratum");
  card.description = options.String("description");
  card.citation = options.String("citation");
  card.licence = options.String("licence");
  if (options.Has("limit")) card.limit = options.Int("limit");
  if (HasFewShot(options)) card.few_shot = options.Group("few_shot").Int("count");
  for (const std::string& name : ItemFactors(options)) {
    card.item_factors.push_back({.column = name, .doc = "Field of the task's data, mean over its items."});
  }
  return card;
}

Template TemplateFromOption(const Options& options, std::string_view name) {
  const Value& raw = options.Raw(name);
  return Template(raw.AsString(), raw.mark());
}

std::string TaskDigest(std::string_view component, const Options& options, const TaskContext& context) {
  Digest digest;
  const auto add = [&](std::string_view text) {
    digest.Add(std::to_string(text.size())).Add(":").Add(text);
  };
  add(kReading);
  add(component);
  Value definition = OfDefinition(options.map(), kNotInDigest);
  const bool few_shot = HasFewShot(options);
  if (Value* group = const_cast<Value*>(definition.Find("few_shot")); group != nullptr && group->is_map()) {
    *group = few_shot ? OfDefinition(*group, kNotInDigest) : Value();
  }
  const std::string text = definition.CanonicalJson();
  add(text);
  const auto add_files = [&](const Options& holder) {
    const std::vector<DataFile> files = FindDataFiles(holder, context, options.String("get"));
    // What a file is called counts only where there are several, or where the definition speaks of it.
    const bool named = files.size() > 1 || text.find("_file") != std::string::npos;
    for (const DataFile& file : files) {
      if (named) add(file.label);
      add(DigestOfFile(file.path));
    }
  };
  add_files(options);
  if (few_shot) add_files(options.Group("few_shot"));
  return digest.Hex();
}

std::vector<size_t> LimitedIndices(size_t count, const Options& options) {
  const size_t kept = options.Has("limit") ? std::min<size_t>(count, options.Int("limit")) : count;
  const bool spread = options.String("limit_from") == "spread";
  std::vector<size_t> indices(kept);
  for (size_t i = 0; i < kept; ++i) indices[i] = spread ? i * count / kept : i;
  return indices;
}

PromptedItems::PromptedItems(const Options& options, const TaskContext& context)
    : preamble_(TemplateFromOption(options, "preamble")),
      prompt_(TemplateFromOption(options, "prompt")),
      target_delimiter_(options.String("target_delimiter")),
      fewshot_delimiter_(options.String("fewshot_delimiter")) {
  const std::string get = options.String("get");
  std::vector<Value> rows = ReadDataRows(FindDataFiles(options, context, get));
  std::vector<bool> is_example(rows.size(), false);

  if (HasFewShot(options)) {
    const Options few_shot = options.Group("few_shot");
    count_ = few_shot.Int("count");
    match_ = few_shot.String("match");
    if (few_shot.Has("example")) example_ = TemplateFromOption(few_shot, "example");
    const bool own = few_shot.Raw("data").AsList().empty();
    const std::vector<Value> pool = own ? rows : ReadDataRows(FindDataFiles(few_shot, context, get));
    // Candidates by group, in file order or drawn. Of a file of their own all stay, because one may be the scored item.
    std::vector<std::vector<size_t>> candidates;
    for (size_t i = 0; i < pool.size(); ++i) {
      const std::string key = GroupOf(pool[i]);
      auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& entry) { return entry.key == key; });
      if (group == groups_.end()) {
        group = groups_.insert(groups_.end(), Group{key, {}});
        candidates.emplace_back();
      }
      candidates[static_cast<size_t>(group - groups_.begin())].push_back(i);
    }
    const Rng rng(static_cast<uint64_t>(few_shot.Int("seed")));
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (few_shot.String("choose") == "random") rng.Fork(g).Shuffle(std::span<size_t>(candidates[g]));
      for (size_t c = 0; c < candidates[g].size(); ++c) {
        const size_t i = candidates[g][c];
        Example example;
        example.row = pool[i];
        groups_[g].examples.push_back(std::move(example));
        if (own && c < static_cast<size_t>(count_)) is_example[i] = true;
      }
    }
    sources_ = own ? "the data (" + DataNames(options) + ")"
                   : "few_shot.data (" + DataNames(few_shot) + ") beside the data (" + DataNames(options) + ")";
  }

  const std::string id_field = options.String("id_field");
  const std::string group_field = Text(options, "group_field");
  std::vector<Item> all;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (is_example[i]) continue;
    std::string id = std::to_string(i);
    if (!id_field.empty()) {
      id = DataTextOf(rows[i], FindField(rows[i], id_field, "option 'id_field'"), id_field, "option 'id_field'");
    }
    std::string group;
    if (!group_field.empty()) {
      group = DataTextOf(rows[i], FindField(rows[i], group_field, "option 'group_field'"), group_field,
                         "option 'group_field'");
    }
    std::vector<double> factors;
    for (const std::string& name : ItemFactors(options)) factors.push_back(FactorOf(rows[i], name));
    all.push_back({std::move(id), std::move(group), std::move(rows[i]), std::move(factors)});
  }
  available_ = static_cast<int64_t>(all.size());
  if (all.empty()) {
    throw Error(ErrorKind::kIo, "task '" + context.name + "': its data (" + DataNames(options) +
                                    ") leave no item to score.");
  }
  for (const size_t i : LimitedIndices(all.size(), options)) items_.push_back(std::move(all[i]));
  std::set<std::string> ids;
  for (const Item& item : items_) {
    if (!ids.insert(item.id).second) {
      throw Error(ErrorKind::kSpec, item.row.mark().Text() + ": the item's id '" + item.id +
                                        "' was used before (option 'id_field'). Ids are unique within a task.");
    }
  }
}

std::string PromptedItems::GroupOf(const Value& row) const {
  if (match_.empty()) return "";
  const Value& field = FindField(row, match_, "option 'few_shot.match'");
  // 7 of a CSV file and "7" of a JSON file are the same subject.
  return HasDataText(field) ? DataText(field) : field.CanonicalJson();
}

PromptedItems::Asked PromptedItems::AskedBy(const Value& row) const {
  Asked asked = asked_of_ ? asked_of_(row) : Asked{example_text_(row), {}};
  asked.prompt = CollapseSpace(asked.prompt);
  for (std::string& answer : asked.answers) answer = CollapseSpace(answer);
  return asked;
}

void PromptedItems::Prepare(Example& example) const {
  if (example.is_ready) return;
  example.text = example_ ? example_->Render(example.row) : example_text_(example.row);
  example.squeezed = CollapseSpace(example.text);
  try {
    example.asked = AskedBy(example.row);
  } catch (const Error&) {
    // A file of ready-made examples need not have the fields of the items.
  }
  example.is_ready = true;
}

bool PromptedItems::IsItem(const Example& example, const Asked& item) const {
  const auto shows = [&](const std::string& answer) {
    // Both ends first: most examples are other items, and a prompt is long.
    return example.squeezed.starts_with(item.prompt) && example.squeezed.ends_with(answer) &&
           example.squeezed == CollapseSpace(item.prompt + target_delimiter_ + answer);
  };
  if (std::any_of(item.answers.begin(), item.answers.end(), shows)) return true;
  if (!example.asked || example.asked->prompt != item.prompt) return false;
  const std::vector<std::string>& others = example.asked->answers;
  if (others.empty() || item.answers.empty()) return true;
  return std::any_of(item.answers.begin(), item.answers.end(), [&](const std::string& answer) {
    return std::find(others.begin(), others.end(), answer) != others.end();
  });
}

std::string PromptedItems::ExamplesFor(const Value& row) const {
  const std::string key = GroupOf(row);
  const auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& entry) { return entry.key == key; });
  const Asked item = AskedBy(row);
  const size_t wanted = static_cast<size_t>(count_);
  std::string text;
  size_t found = 0, left_out = 0;
  for (size_t i = 0; group != groups_.end() && i < group->examples.size() && found < wanted; ++i) {
    Prepare(group->examples[i]);
    if (IsItem(group->examples[i], item)) {
      ++left_out;
      continue;
    }
    text += group->examples[i].text + fewshot_delimiter_;
    ++found;
  }
  if (found == wanted) return text;
  const std::string self = left_out == 0 ? "" : " beside the item itself, which stands among them in " + sources_;
  throw Error(ErrorKind::kSpec,
              row.mark().Text() + ": there are " + std::to_string(found) + " few-shot examples" +
                  (match_.empty() ? "" : " with " + match_ + " = " + MatchOf(row, match_)) + self +
                  ", and few_shot.count is " + std::to_string(count_) + ". Lower the count or bring more examples.");
}

std::string PromptedItems::Context(const Value& row, const Value& locals) const {
  std::string context = preamble_.Render(row, locals);
  if (count_ > 0) context += ExamplesFor(row);
  context += prompt_.Render(row, locals);
  context_bytes_ += static_cast<int64_t>(context.size());
  if (context_bytes_ > kMaxTaskBytes) {
    throw Error(ErrorKind::kBudget, row.mark().Text() + ": up to this item the task's prompts have " +
                                        std::to_string(context_bytes_) + " bytes. The limit is " +
                                        std::to_string(kMaxTaskBytes) + ". Lower few_shot.count or set a limit.");
  }
  return context;
}

}  // namespace bitlaw
