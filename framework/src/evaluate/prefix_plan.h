#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Which prefixes of a set of token sequences are computed once, and for whom.
///
/// Two kinds of sharing, by how much work hangs below a prefix:
///   header   work for a batch or more below it (few-shot examples, a subject's instruction): computed alone, as a
///            cache of one row; headers nest.
///   family   less work below it (the choices of one question): its prefix is one row of a batch of prefixes, and
///            its members are rows of a second pass.
struct BITLAW_EXPORT PrefixPlan {
  struct Family {
    int64_t prefix = 0;  ///< Tokens computed once for the family, header included; the header's length: none.
    int64_t shared = 0;  ///< Tokens that all members have in common, >= prefix.
    std::vector<size_t> members;
  };
  struct Header {
    int parent = -1;     ///< Index; -1 for the root, which is empty.
    int64_t length = 0;  ///< Tokens, those of the parent included.
    size_t example = 0;  ///< A sequence that starts with it.
    std::vector<Family> families;
  };
  std::vector<Header> headers;  ///< A parent stands before its children, and a child's subtree is contiguous.
};

struct BITLAW_EXPORT PrefixPlanOptions {
  int64_t batch_tokens = 2048;
  bool families = true;  ///< False: every member is a family of its own.
  bool headers = true;   ///< False: the root alone.
};

/// Plans `sequences`, which must be distinct; shareable[i] is how many leading tokens of sequence i may be computed
/// apart from it (less than its length). Runs in O(tokens log n).
BITLAW_EXPORT PrefixPlan PlanPrefixes(std::span<const std::vector<int32_t>* const> sequences,
                                      std::span<const int64_t> shareable, const PrefixPlanOptions& options);

}  // namespace bitlaw
