#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A text that a model is to read.
struct BITLAW_EXPORT PlannedText {
  const std::vector<int32_t>* ids = nullptr;  ///< At least one token.
  int64_t header_end = 0;  ///< How many leading tokens may be read in a pass before this text's: fewer than it has.
  int64_t shared_end = 0;  ///< How many may be read once for several texts: from header_end to all.
  int64_t room = 0;        ///< Tokens that will be added to it after it was read.
};

/// In which passes texts are read, and what is read once for several of them.
///
/// Texts form a prefix tree. What several texts of one pass have in common is a piece of that pass, read once. A prefix
/// with more below it than a pass takes (few-shot examples, a subject's instruction) is a *header*, read before, with
/// keys and values that stay while they are needed; headers nest.
struct BITLAW_EXPORT ReadingPlan {
  /// Tokens [begin, end) of `text`, after piece `parent` of the same pass, or after the header if that is -1.
  struct Piece {
    int64_t parent = -1;
    size_t text = 0;
    int64_t begin = 0, end = 0;
  };
  struct Ending {
    size_t text = 0;
    int64_t piece = 0;  ///< Its last one.
  };
  struct Pass {
    std::vector<Piece> pieces;    ///< Depth first: a parent stands before its children, its descendants in a row.
    std::vector<Ending> endings;  ///< The texts of the pass.
  };
  struct Header {
    int parent = -1;     ///< Index; -1 for the root, which is empty.
    int64_t length = 0;  ///< Tokens, those of the parent included.
    size_t example = 0;  ///< A text that starts with it.
    std::vector<Pass> passes;
  };
  std::vector<Header> headers;  ///< A parent stands before its children, and a child's subtree is contiguous.
  int64_t held_tokens = 0;      ///< Most tokens whose keys and values are held at a time, if passes run one by one.
};

struct BITLAW_EXPORT ReadingPlanOptions {
  int64_t pass_tokens = 2048;             ///< A pass has no more, unless one text alone has.
  int64_t held_tokens = int64_t{1} << 40;  ///< Of header, pass and room together; kept likewise.
  bool share = true;                      ///< False: every text is read whole.
};

/// Plans `texts`; those with room must have shared_end below their length, so that each has an end of its own.
/// O(tokens log n), and n times the texts of a pass.
BITLAW_EXPORT ReadingPlan PlanReading(std::span<const PlannedText> texts, const ReadingPlanOptions& options);

}  // namespace bitlaw
