#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"

namespace bitlaw {

/// A question with several answers, of which the model is asked for the most likely one.
///
/// Request i of an item is ln p(target_delimiter + target(choice i) | preamble + examples + prompt(choice i)).
/// Metrics, each 0 or 1 an item; the first index wins a tie:
///   acc        argmax_i  l_i
///   acc_norm   argmax_i  l_i / characters of target i   (the delimiter does not count)
///   acc_bytes  argmax_i  l_i / UTF-8 bytes of target i
/// Chance is 1 / choices of the item, unless option `chance` says otherwise.
///
/// Source: lm-evaluation-harness 0.4.13, output type multiple_choice.
class MultipleChoice : public Task {
 public:
  static OptionSchema Schema();
  MultipleChoice(Options options, TaskContext context);

  const TaskCard& card() const override { return card_; }
  std::vector<TaskItem> Items() const override;
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override;
  std::string digest() const override;

 private:
  struct Key {                       // What Score() needs beside the responses.
    int64_t right = 0;
    std::string group;
    std::vector<std::string> texts;   // [choices]
    std::vector<int64_t> characters;  // [choices]
    std::vector<int64_t> bytes;       // [choices]
  };
  void Load() const;

  Options options_;
  TaskContext context_;
  TaskCard card_;
  mutable std::once_flag loaded_;
  mutable std::vector<TaskItem> items_;
  mutable std::vector<std::pair<std::string, Key>> keys_;  // By item id, sorted.
};

}  // namespace bitlaw
