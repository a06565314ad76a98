#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/task.h"
#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// The words of a text as overlap is looked for in: lower case, without punctuation, between white space.
BITLAW_EXPORT std::vector<std::string> OverlapWords(std::string_view text);

/// What a task's items share with a calibration text.
struct BITLAW_EXPORT Overlap {
  int64_t compared = 0;  ///< Items of kFewestWords words or more.
  int64_t shared = 0;    ///< Those of them with N words in a row that the calibration text has too.
};

/// Every N words in a row of calibration sequences, to be found again in the items of a task.
///
/// An item is the texts of its requests: of each, context and continuation together. It overlaps where any N words in a row
/// of it stand in a calibration sequence, decoded without special tokens. An item of fewer than N words, but kFewestWords or
/// more, overlaps where all of them do. Shorter ones are not compared: they stand in any text by chance.
///
/// Source   Brown et al. 2020, arXiv:2005.14165, appendix C: N-grams of 8 to 13 words in lower case without punctuation; here N
///          is given. Hashes of 64 bits stand for words in a row.
class BITLAW_EXPORT CalibrationWords {
 public:
  static constexpr int64_t kFewestWords = 8;

  CalibrationWords(const TokenSequences& sequences, const Tokenizer& tokenizer, int64_t words);

  Overlap Of(const Task& task) const;

 private:
  const std::unordered_set<uint64_t>& Grams(int64_t words) const;

  int64_t words_;
  std::vector<std::vector<std::string>> texts_;
  mutable std::map<int64_t, std::unordered_set<uint64_t>> grams_;  // By their length, as it is asked for.
};

}  // namespace bitlaw
