#pragma once

#include <array>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "records/record_store.h"

namespace bitlaw {

/// What the items of one task of one trial tell beside its metrics: means over items with their standard errors (sample
/// standard deviation / sqrt(items)). Each is there only if every item tells it; NaN otherwise.
///
///     bits_per_byte       -log2 p(right answer | prompt) / bytes of the right answer. Bhagia et al. 2024,
///                         arXiv:2412.04403.
///     added_bits_per_byte the same less that of the unquantized model on the same item
///     kl_choices          sum_i p_i ln(p_i / q_i), nats, over the choices of an item: p of the unquantized model, q of
///                         this one, each p(choice | prompt) divided by its sum over the choices. Dutta et al. 2024,
///                         arXiv:2407.09141, have KL for compressed models; that over the whole vocabulary needs both
///                         models (evaluate/divergence.h).
///     answer_characters   characters of what the model wrote, without white space at its ends
///
/// `baseline_`: of the unquantized model.
struct BITLAW_EXPORT ItemResponses {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double bits_per_byte = kNone, bits_per_byte_error = kNone, baseline_bits_per_byte = kNone;
  double added_bits_per_byte = kNone, added_bits_per_byte_error = kNone;
  double kl_choices = kNone, kl_choices_error = kNone;
  double answer_characters = kNone, answer_characters_error = kNone, baseline_answer_characters = kNone;
};

/// One of them as a column of observations.
struct BITLAW_EXPORT ItemResponseColumn {
  const char* name;
  double ItemResponses::*member;
  bool is_error;  ///< The standard error of the column before it that is none.
};
/// In the order of the columns of observations.csv.
BITLAW_EXPORT const std::array<ItemResponseColumn, 10>& ItemResponseColumns();
/// The rows of fits, a mean over tasks each (SplitStrata()), have of these columns means and errors over those of the
/// tasks that tell it for some trial. How many these are stands in a column of this name: "bits_per_byte_tasks" for
/// added_bits_per_byte; "" for what is no such column.
BITLAW_EXPORT std::string TasksTelling(const std::string& column);

/// Of the items of a record. `unquantized`: the same task's items of the unquantized model; null: there are none. Where
/// these are not the same items in the same order nothing is compared with them.
///
/// The likelihood of the right answer comes from the metric bits_per_byte of kind mean if the task has it; of choices
/// from their likelihoods; else from a perplexity of the answer alone. Bytes of a right choice are those of its text if
/// that is what was scored, as its number of characters tells. If another text was scored, or the record cut this one,
/// they are the characters that were scored, which are its bytes in ASCII.
BITLAW_EXPORT ItemResponses ResponsesOf(const TaskCard& card, const std::vector<ItemScore>& items,
                                        const std::vector<ItemScore>* unquantized);

/// The same for records of a folder, whose items it reads. The items of unquantized models stay in memory.
class BITLAW_EXPORT ItemResponseReader {
 public:
  explicit ItemResponseReader(const RecordStore& store) : store_(store) {}
  /// `unquantized`: the record of the same task of the unquantized model; null: there is none. Of losses of whole texts
  /// no item is read. Error(kIo) as RecordStore::Items() has it.
  ItemResponses Of(const TaskRecord& record, const TaskRecord* unquantized);

 private:
  const RecordStore& store_;
  std::map<std::string, std::vector<ItemScore>> unquantized_;  // By the digest of their record.
};

}  // namespace bitlaw
