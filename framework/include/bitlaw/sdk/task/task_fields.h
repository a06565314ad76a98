#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/text/template.h"

namespace bitlaw {

/// The options that every benchmark has: version, stratum, description, matches, citation, licence, data, sha256,
/// get, limit, limit_from.
BITLAW_EXPORT void AddTaskFields(OptionSchema& schema);

/// The options of benchmarks that prompt item by item: preamble, prompt, target_delimiter, id_field,
/// group_field, item_factors, few_shot, fewshot_delimiter. The `prompt` field is required.
BITLAW_EXPORT void AddPromptFields(OptionSchema& schema);

/// A card with what the shared options say; metrics and convention are left to the task.
BITLAW_EXPORT TaskCard CardFromFields(const Options& options, const TaskContext& context);

/// A template from a string option, with its place.
BITLAW_EXPORT Template TemplateFromOption(const Options& options, std::string_view name);

/// Digest of what can change a score: the component, its options without names, texts for people and places, and
/// the bytes of the data files. What `stratum` or `description` say does not count.
BITLAW_EXPORT std::string TaskDigest(std::string_view component, const Options& options, const TaskContext& context);

/// The first `limit` of `count` indices, or `limit` evenly spaced ones, as options `limit` and `limit_from` say.
BITLAW_EXPORT std::vector<size_t> LimitedIndices(size_t count, const Options& options);

/// The items of a benchmark with its prompt template and few-shot header applied.
class BITLAW_EXPORT PromptedItems {
 public:
  /// Reads the data files. Options as AddTaskFields() and AddPromptFields() declare them.
  PromptedItems(const Options& options, const TaskContext& context);

  struct Item {
    std::string id, group;  ///< group: ItemScore::group.
    Value row;
    std::vector<double> factors;  ///< TaskItem::factors, of the option item_factors.
  };
  const std::vector<Item>& items() const { return items_; }
  int64_t available() const { return available_; }  ///< Items of the file before any limit, few-shot ones left out.

  /// Renders prompt and target of one row with its locals ({{choice}}, ...), and joins them as the few-shot header
  /// does: prompt + target_delimiter + target.
  using ExampleText = std::function<std::string(const Value& row)>;
  void set_example_text(ExampleText text) { example_text_ = std::move(text); }

  /// What an item asks and which answers are right, as the model would read them: what tells whether an example is the
  /// item itself. Without it, an example is the item where both have the same example text.
  struct Asked {
    std::string prompt;
    std::vector<std::string> answers;
  };
  using AskedOf = std::function<Asked(const Value& row)>;
  void set_asked(AskedOf asked) { asked_of_ = std::move(asked); }

  /// preamble + few-shot examples, each followed by fewshot_delimiter + the prompt of `row`.
  ///
  /// An example that is the item itself is left out, and the next candidate takes its place. They are compared by
  /// content, with runs of white space as one space: the example's text equals the item's prompt and one of its answers,
  /// or both have the same prompt and an answer in common. Names, order and further columns of files do not count.
  ///
  /// Error(kSpec) if there are not few_shot.count other examples; Error(kBudget) if the contexts of this object have
  /// more than kMaxTaskBytes together. Not for several threads at once.
  std::string Context(const Value& row, const Value& locals = Value()) const;
  std::string Prompt(const Value& row, const Value& locals = Value()) const { return prompt_.Render(row, locals); }
  const std::string& target_delimiter() const { return target_delimiter_; }

 private:
  /// A candidate of the few-shot header; its texts are made when it is first needed.
  struct Example {
    Value row;
    bool is_ready = false;
    std::string text;              ///< As it is shown.
    std::string squeezed;          ///< The same with white space collapsed.
    std::optional<Asked> asked;    ///< Squeezed too; nothing if the row lacks what a prompt needs.
  };
  /// Candidates that share the field few_shot.match, in order of use.
  struct Group {
    std::string key;
    std::vector<Example> examples;
  };

  std::string GroupOf(const Value& row) const;
  Asked AskedBy(const Value& row) const;
  void Prepare(Example& example) const;
  bool IsItem(const Example& example, const Asked& item) const;
  std::string ExamplesFor(const Value& row) const;

  Template preamble_, prompt_;
  std::optional<Template> example_;
  std::string target_delimiter_, fewshot_delimiter_, match_, sources_;
  std::vector<Item> items_;
  mutable std::vector<Group> groups_;
  int64_t count_ = 0, available_ = 0;
  mutable int64_t context_bytes_ = 0;
  ExampleText example_text_;
  AskedOf asked_of_;
};

/// The most that the contexts of one task's items take together, in bytes.
inline constexpr int64_t kMaxTaskBytes = int64_t{4} << 30;

}  // namespace bitlaw
