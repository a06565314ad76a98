#pragma once

#include <cstdint>
#include <string>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/model.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// The calibration sequences of a corpus, for a corpus that asks the model from `model` as it is now.
///
/// Sequences are generated kSequencesTogether at a time, those of the last lot filled up, so that the numbers of one do not
/// depend on how many are asked for.
/// Errors   those of the corpus; Error(kUnsupported) for more tokens than the model has positions; Error(kNumerical) for
///          logits that are not finite.
BITLAW_EXPORT TokenSequences DrawCalibration(const Corpus& corpus, Model& model, int64_t count, int64_t length_tokens,
                                             uint64_t seed);

inline constexpr int64_t kSequencesTogether = 16;

}  // namespace bitlaw
