#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/examine/validation.h"
#include "fit/options/fit_settings.h"
#include "fit/table/strata_data.h"
#include "records/table.h"

namespace bitlaw {

/// A law among those that are chosen from.
struct BITLAW_EXPORT SelectionCandidate {
  std::string law;
  std::string why_none;                 ///< Why it cannot be chosen; empty exactly where inner_mae is a number.
  std::vector<ValidationResult> inner;  ///< One a hold-out of NestedSelection::inner.
  /// Mean absolute error of acc_adj over the rows of all inner hold-outs: what the choice goes by.
  double inner_mae = kUnset;
  ValidationResult outer;  ///< On the outer rows, by a fit to all rows but these.
};

/// A law chosen without the rows that it is judged on: by how it predicts inner hold-outs of the remaining rows, which
/// extrapolate in the same direction.
struct BITLAW_EXPORT NestedSelection {
  std::string stratum;             ///< kAllStrata: one law for all strata but the pool.
  std::string outer;               ///< "B == 2", "rows of hold_out"
  std::string factor;              ///< In which inner and outer hold-outs extrapolate.
  std::string why_none;            ///< Empty exactly where there are inner hold-outs.
  std::vector<std::string> inner;  ///< "B == 3", the nearest to the outer rows first.
  /// Hold-outs like `inner` that no law can predict, with why the first one cannot: no law is judged by them.
  std::vector<std::string> unpredicted;
  size_t rows = 0, outer_rows = 0;
  /// The least inner error first; those that cannot be chosen last.
  std::vector<SelectionCandidate> candidates;

  /// The first candidate; null where none can be chosen.
  const SelectionCandidate* chosen() const;
  /// The one with the least outer error, which nobody could have known; null where there is none.
  const SelectionCandidate* best_afterwards() const;
};
inline constexpr const char* kAllStrata = "all strata";

/// For the rows of the column `hold_out`, and beside them for the largest value of each factor of scale and the smallest of
/// each of precision that a law has, if that factor has four values or more (three of precision): the outer hold-out.
///
/// Inner hold-outs, on the remaining rows: each value of the factor in turn, from the side of the outer rows, is predicted
/// by fits to the values beyond it, as long as half of the remaining values, and two, are left to fit. (Rows of `hold_out`
/// are taken as the largest of the first factor of scale.) A law is fitted anew for each, by the method of
/// CompareInAccuracy(), from its own starts: nothing of the rows left out enters. All laws have the same rows.
BITLAW_EXPORT std::vector<NestedSelection> SelectNested(std::span<const Law* const> laws, const StratumData& stratum,
                                                        const FitSettings& settings);

/// One law for several strata: the least mean over them of inner errors, for each outer hold-out that all of them have.
/// `outer` of a candidate has the mean over strata of the MAE, and no interval.
BITLAW_EXPORT std::vector<NestedSelection> SelectForAll(std::span<const NestedSelection> strata);

}  // namespace bitlaw
