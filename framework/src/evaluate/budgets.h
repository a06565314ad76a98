#pragma once

#include "bitlaw/api/model.h"
#include "plan/evaluate_options.h"

namespace bitlaw {

/// `options` with the budgets that they leave to the program (0). On the host: passes of 2,048 tokens, 1 GiB for keys and
/// values, 128 MiB for logits. On a device that says how much of its memory is free: a quarter of that for keys and values, a
/// sixteenth, at most 4 GiB, for logits, and passes of as many tokens, 2,048 to 16,384, as an eighth holds the activations of.
BITLAW_EXPORT EvaluateOptions WithBudgets(EvaluateOptions options, Model& model);

}  // namespace bitlaw
