#pragma once

#include <cstdint>
#include <limits>

#include "bitlaw/api/model.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "evaluate/evaluate.h"

namespace bitlaw {

/// How far a model's next-token predictions are from a reference model's.
struct BITLAW_EXPORT Divergence {
  int64_t texts = 0, positions = 0;
  /// Mean over positions of sum_v p_ref(v) ln( p_ref(v) / p(v) ), nats a token. Never negative.
  double kl_nats = std::numeric_limits<double>::quiet_NaN();
  double kl_standard_error = std::numeric_limits<double>::quiet_NaN();
  /// Share of positions at which both have the same most likely token.
  double top1_agreement = std::numeric_limits<double>::quiet_NaN();
  double top1_standard_error = std::numeric_limits<double>::quiet_NaN();
};

/// Both models read every text that `task` scores (loglikelihood and rolling requests; texts that are asked for twice
/// count once), and their distributions over the whole vocabulary are compared at every scored position. Standard
/// errors are those of a ratio over texts, whose positions are not independent. No texts, as in tasks that only
/// generate: zero positions and NaN.
///
/// A text is one forward pass of each model: about the cost of EvaluateOptions::share_prefixes = false.
/// Errors: as Evaluate(); Error(kUnsupported) if the vocabularies differ.
BITLAW_EXPORT Divergence CompareModels(Model& reference, Model& model, const Task& task,
                                       const EvaluateOptions& options = {});

}  // namespace bitlaw
