#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"
#include "bitlaw/sdk/text/text_pattern.h"

namespace bitlaw {

/// A question that the model answers in its own words, greedily, until a stop string.
///
/// The answer is the text without white space at its ends, or what a pattern of option `extract` finds in it. From it
/// and from the accepted answers `ignore` patterns are removed, and both are normalized. Metrics, the best over the
/// accepted answers:
///   exact_match    1 if the two are equal
///   contains       1 if the accepted answer stands somewhere in the answer
///   f1             words in common (Rajpurkar et al. 2016)
///   numeric_match  1 if the two are the same number
///   bits_per_byte  -log2 p(answer | prompt) / bytes of the answer that an example would show (option `target`): the
///                  model is asked for its likelihood too. Last of the metrics, once whatever is extracted.
/// With extraction a metric's name ends in "_" and the extraction's name. Normalizations (option `normalization`):
///   none              nothing
///   lower             lower case                                        (lm-evaluation-harness, gsm8k)
///   punctuation       ASCII punctuation removed                         (lm-evaluation-harness, bigbench)
///   harness           lower case, ASCII punctuation removed             (lm-evaluation-harness, triviaqa)
///   harness_articles  "The ", "the ", "An ", "A ", "a ", "an " at a word's start removed, then `harness`
///                                                                       (lm-evaluation-harness, nq_open)
///   squad             lower case, ASCII punctuation removed, the words a, an, the removed, white space collapsed
///                                                                       (Rajpurkar et al. 2016, evaluation script)
///   math              TeX brought to one form                           (Hendrycks et al. 2021, evaluation code)
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
  struct Way {
    std::string suffix;  // Of the metrics' names.
    TextPattern pattern;
    bool take_last = false, otherwise_text = false;
  };
  struct Key {  // What Score() needs beside the response.
    std::string id, group;
    std::vector<std::string> answers;  // Normalized.
    std::string right;                 // The first of them as the data write it.
    size_t scored_bytes = 0;           // Of the answer whose likelihood is asked for.
  };
  void Load() const;
  std::string Comparable(std::string_view text) const;
  // As the model wrote it. Null way: the whole text. Nothing if the way finds nothing.
  static std::optional<std::string> Answer(const Way* way, const std::string& text);

  Options options_;
  TaskContext context_;
  TaskCard card_;
  mutable std::once_flag loaded_;
  mutable std::vector<TaskItem> items_;
  mutable std::vector<Key> keys_;  // By id, sorted.
  std::vector<Way> ways_;          // None: the whole text.
  std::vector<TextPattern> ignored_;
  std::vector<std::string> kinds_;  // Metrics of one way.
  bool has_bits_ = false;           // bits_per_byte is the last metric.
};

}  // namespace bitlaw
