#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "plugin/host.h"

namespace bitlaw {

/// What one evaluation of a task asks of a model, counted on some of its items.
struct BITLAW_EXPORT TaskWork {
  double items = 0, requests = 0;
  double tokens = 0;     ///< That are read: what several texts begin with, once.
  double scored = 0;     ///< Positions of which logits are taken.
  double generated = 0;  ///< Tokens that are generated; where stop strings end an answer, a third of the longest.
  double steps = 0;      ///< Passes of one token for all texts: the longest of these answers.
  bool is_assumed = false;  ///< The task's data or the tokenizer cannot be read here, and these are round numbers.
};

/// Counts `items` with a tokenizer. Of more than `sample` items the first are read, and the others taken to be as the
/// second half of these: what all begin with counts once.
BITLAW_EXPORT TaskWork CountWork(const std::vector<TaskItem>& items, const Tokenizer& tokenizer, size_t sample = 200);

/// What is assumed of a task whose data are elsewhere: 1,000 requests of 100 tokens, 4 of them scored.
BITLAW_EXPORT TaskWork AssumedWork();

/// [tasks of the study][models]. Models of one vocabulary size are taken to share their tokenizer. Tasks and tokenizers
/// that cannot be read here are assumed.
BITLAW_EXPORT std::vector<std::vector<TaskWork>> CountWork(const Plan& plan, const PluginHost& host);

}  // namespace bitlaw
