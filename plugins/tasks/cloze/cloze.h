#pragma once

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"

namespace bitlaw {

/// A text with its end cut off; the model is asked for the likelihood of that end (LAMBADA).
///
/// The request is ln p(target_delimiter + target | preamble + examples + prompt). Metrics:
///   acc         1 if every token of the target is the most likely one, else 0. Chance is 0.
///   perplexity  exp(mean over items of -l): of the target as one event, not of its tokens.
///
/// Source: Paperno et al. 2016, arXiv:1606.06031; lm-evaluation-harness 0.4.13, output type loglikelihood.
class Cloze : public Task {
 public:
  static OptionSchema Schema();
  Cloze(Options options, TaskContext context);

  const TaskCard& card() const override { return card_; }
  std::vector<TaskItem> Items() const override;
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override;
  std::string digest() const override;

 private:
  Options options_;
  TaskContext context_;
  TaskCard card_;
};

}  // namespace bitlaw
