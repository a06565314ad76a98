#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"

namespace bitlaw {

/// A question that the model answers in its own words, greedily, until a stop string.
///
/// exact_match is 1 if the normalized text equals one of the normalized accepted answers. White space at the ends of
/// the text (not of the accepted answers) is dropped first. Normalizations (option `normalization`):
///   none              nothing
///   harness           lower case, ASCII punctuation removed             (lm-evaluation-harness, triviaqa)
///   harness_articles  "The ", "the ", "An ", "A ", "a ", "an " at a word's start removed, then `harness`
///                                                                       (lm-evaluation-harness, nq_open)
///   squad             lower case, ASCII punctuation removed, the words a, an, the removed, white space collapsed
///                                                                       (Rajpurkar et al. 2016, evaluation script)
/// Chance is 0.
///
/// Source: lm-evaluation-harness 0.4.13, output type generate_until.
class ShortAnswer : public Task {
 public:
  static OptionSchema Schema();
  ShortAnswer(Options options, TaskContext context);

  const TaskCard& card() const override { return card_; }
  std::vector<TaskItem> Items() const override;
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override;
  std::string digest() const override;

 private:
  void Load() const;

  Options options_;
  TaskContext context_;
  TaskCard card_;
  mutable std::once_flag loaded_;
  mutable std::vector<TaskItem> items_;
  mutable std::vector<std::pair<std::string, std::vector<std::string>>> answers_;  // Normalized, by item id, sorted.
};

/// One of the normalizations above, by name.
std::string NormalizeAnswer(std::string_view text, std::string_view normalization);

}  // namespace bitlaw
