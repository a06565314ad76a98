#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "fit/options/fit_settings.h"
#include "fit/solve/fit_problem.h"
#include "records/table.h"

namespace bitlaw {

/// How many laws can use each row of a table.
struct RowCounts {
  explicit RowCounts(size_t rows) : times(rows, 0) {}
  void Add(const std::vector<size_t>& rows) {
    for (const size_t row : rows) ++times[row];
  }
  /// Rows that all `laws` can use; `left_out` gets how many others some of them can.
  std::vector<size_t> Common(size_t laws, size_t& left_out) const;
  std::vector<size_t> times;
};

/// The rows of a law on a table; nothing, with why, where the law cannot use it.
std::optional<FitProblem> ProblemOf(const Law& law, const Table& table, const FitSettings& settings, std::string& why);

/// The rows of the column `hold_out` that the law can predict.
std::vector<size_t> HeldOutOf(const FitProblem& problem, const Table& table);

/// Laws of any responses that give an accuracy, and the rows that each of them can use, those at or below chance included.
struct AccuracyRows {
  std::vector<const Law*> usable;
  std::vector<std::pair<const Law*, std::string>> unusable;  ///< With why.
  std::vector<size_t> fitted, declared;                      ///< `declared`: of the column `hold_out`.
  size_t left_out = 0;                                       ///< Rows that only some of the laws can use.
};
AccuracyRows CommonInAccuracy(std::span<const Law* const> laws, const Table& table, const FitSettings& settings);

}  // namespace bitlaw
