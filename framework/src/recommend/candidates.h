#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/predict/law_point.h"
#include "plan/plan.h"
#include "records/table.h"

namespace bitlaw {

/// Configurations that may be taken, one a row, with the columns of the observations: first every trial that has a row
/// there, then what was not measured.
struct BITLAW_EXPORT CandidateTable {
  Table table;
  size_t recorded = 0;                  ///< The first so many rows.
  std::vector<bool> is_size_estimated;  ///< size_bytes from other rows of the model: EstimateSize().
};

/// The trials of `observations` and, with a plan, its trials that have no row there; `map` is applied to both.
///   Error(kSpec) for a table without columns trial, model and label.
BITLAW_EXPORT CandidateTable CollectCandidates(const Table& observations, const Plan* plan,
                                               const std::vector<std::pair<std::string, Value>>& map,
                                               const std::string& more_map);

/// Adds points that somebody asks about. Each must name its model; numbers of the model and, where it names another
/// column of words, whatever is the same in all of its rows there are taken over, and size_bytes is estimated where it
/// is not given.
///   Error(kSpec) for a point without a model, and for a name that is no column.
BITLAW_EXPORT void AddPoints(const std::vector<LawPoint>& points, CandidateTable& candidates);

/// Sets bits_effective and size_bytes of a row that lacks them, where rows of the same model tell: bits_effective is B
/// and what scales and zero points cost at this G (or G_min) at the nearest B, and size_bytes is linear in it
/// (WeightBytes() of plan/factor_columns.h). False where they do not.
BITLAW_EXPORT bool EstimateSize(const Table& table, size_t row, double& bits_effective, double& size_bytes);

}  // namespace bitlaw
