#pragma once

#include <cstdint>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// How an evaluation is carried out. None of it changes a float32 score by more than rounding (about 1e-5 nats),
/// so none of it is part of a record's identity.
struct BITLAW_EXPORT EvaluateOptions {
  /// Budgets on the host where they are left to the program.
  static constexpr int64_t kHostBatchTokens = 2048, kHostKvBytes = int64_t{1} << 30, kHostLogitsBytes = int64_t{1} << 27;

  // 0 leaves a budget to the program, which asks the device (WithBudgets() in evaluate/forward.h).
  int64_t batch_tokens = 0;         ///< Tokens of one forward pass, unless one text alone has more.
  int64_t kv_budget_bytes = 0;      ///< For keys and values, unless one text alone needs more.
  int64_t logits_budget_bytes = 0;  ///< For the [positions, V] logits of one step.
  /// Read one block of the model at a time and use it for all texts: for a model larger than memory. Generation refuses.
  bool stream_blocks = false;
  bool reads_ahead = true;                    ///< Of streamed blocks: the next one while one computes. Not of a study.
  bool share_prefixes = true;                 ///< False: every request is a forward pass of its own (for comparison).
  int64_t overlap_words = 13;                 ///< N of the n-grams that calibration text and items share; 0: not looked for.
  bool keep_samples = false;                  ///< Keep items and responses in the result.

  static OptionSchema Schema();               ///< Of the study's `evaluate:` map.
  static EvaluateOptions From(const Options& options);
  Value map() const;                          ///< From() of this gives the same.
};

}  // namespace bitlaw
