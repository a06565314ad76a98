#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/data/item_scores.h"
#include "fit/table/unset.h"

namespace bitlaw {

/// A number with the standard error of the items it is of.
struct BITLAW_EXPORT ItemEstimate {
  double value = kUnset, error = kUnset;
};

/// Tasks and what each counts: the mean over a stratum's tasks, or over several strata.
using TaskWeights = std::vector<std::pair<std::string, double>>;

/// sum over tasks of weight (a - r b), a and b the adjusted accuracies of two trials on the same items.
///
///     error^2 = sum_t (weight / (1 - chance))^2 var_t / n_t,   var_t of a_i - r b_i over the task's items
///
/// Each task's items get 2 / tasks more, half an item a task for each of the four outcomes (both right, one of the two,
/// none), so that the error is not 0 where no item tells the trials apart (Agresti and Min 2005, Statistics in Medicine
/// 24:729). NaN where a trial lacks a task.
BITLAW_EXPORT ItemEstimate PairedDifferenceOf(const ItemScores& scores, const TaskWeights& tasks, const std::string& a,
                                              const std::string& b, double r);

/// acc_adj of `a` over that of `b`, paired: the error is that of a - kept b, over b.
BITLAW_EXPORT ItemEstimate KeptShare(const ItemScores& scores, const TaskWeights& tasks, const std::string& a,
                                     const std::string& b);

}  // namespace bitlaw
