#include "fit/examine/selection/common_rows.h"

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/table/strata_data.h"

namespace bitlaw {

std::vector<size_t> RowCounts::Common(size_t laws, size_t& left_out) const {
  std::vector<size_t> common;
  for (size_t row = 0; row < times.size(); ++row) {
    if (times[row] == laws && laws > 0) common.push_back(row);
    if (times[row] > 0 && times[row] < laws) ++left_out;
  }
  return common;
}

std::optional<FitProblem> ProblemOf(const Law& law, const Table& table, const FitSettings& settings, std::string& why) {
  try {
    return FitProblem(law, table, settings, FitProcedure());
  } catch (const Error& error) {
    why = error.what();
    return std::nullopt;
  }
}

std::vector<size_t> HeldOutOf(const FitProblem& problem, const Table& table) {
  std::vector<size_t> rows;
  const TableColumn* hold_out = table.Find("hold_out");
  for (const size_t row : problem.selected().complete_index) {
    if (IsHeldOut(hold_out, table, row)) rows.push_back(row);
  }
  return rows;
}

AccuracyRows CommonInAccuracy(std::span<const Law* const> laws, const Table& table, const FitSettings& settings) {
  AccuracyRows rows;
  RowCounts complete(table.rows()), held_out(table.rows());
  const TableColumn* accuracy = table.Find("acc_adj");
  for (const Law* law : laws) {
    std::string why;
    const std::optional<FitProblem> problem = ProblemOf(*law, table, settings, why);
    if (problem && !problem->inverse().exists()) why = "no accuracy follows from its response " + law->response();
    if (!why.empty()) {
      rows.unusable.emplace_back(law, why);
      continue;
    }
    rows.usable.push_back(law);
    const std::vector<size_t> declared = HeldOutOf(*problem, table);
    std::vector<size_t> own;
    for (const size_t row : problem->selected().complete_index) {
      if (!std::isnan(accuracy->numbers[row]) && !std::binary_search(declared.begin(), declared.end(), row))
        own.push_back(row);
    }
    complete.Add(own);
    held_out.Add(declared);
  }
  size_t ignored = 0;
  rows.fitted = complete.Common(rows.usable.size(), rows.left_out);
  rows.declared = held_out.Common(rows.usable.size(), ignored);
  return rows;
}

}  // namespace bitlaw
