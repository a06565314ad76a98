#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/estimate/cluster_robust.h"
#include "fit/options/fit_settings.h"
#include "fit/solve/least_squares.h"
#include "records/table.h"

namespace bitlaw {

/// Rows as a linear form has them: ln y, or y, less the offset, on the features.
struct BITLAW_EXPORT LinearRows {
  std::vector<long double> design, target;  ///< [n, k], [n]
  std::vector<double> weights;              ///< [n], or empty: all 1.
};
BITLAW_EXPORT LinearRows LinearRowsOf(const Law& law, const LinearForm& form, const FitRows& rows);

/// The design matrix of a law's linear form on a table, of which subsets of columns and rows are fitted: ablations,
/// Chow tests, zones.
class BITLAW_EXPORT LinearDesign {
 public:
  LinearDesign(const Law& law, const Table& table, const FitSettings& settings);
  /// Why there is no design; nothing else may be called then.
  const std::string& why_none() const { return why_none_; }
  size_t columns() const { return names_.size(); }
  const std::string& name(size_t column) const { return names_[column]; }
  size_t parameter(size_t column) const { return form_->columns[column].parameter; }
  bool is_log(size_t column) const { return form_->columns[column].is_log; }
  /// Rows of the table, in the order of the design.
  const std::vector<size_t>& rows() const { return row_index_; }
  /// LawRows::complete_index: beside those, rows that only the logarithm of the response could not take.
  const std::vector<size_t>& complete_rows() const { return complete_index_; }
  /// The covariates on which a column depends; none for the intercept.
  const std::vector<std::string>& covariates_of(size_t column) const { return covariates_of_[column]; }

  /// `group_of_row` [rows] and `group`: only rows of that group.
  std::string ExplainColumns(const std::vector<size_t>& columns, const std::vector<size_t>* group_of_row = nullptr,
                             size_t group = 0) const;
  OlsResult Fit(const std::vector<size_t>& columns, const std::vector<size_t>* group_of_row = nullptr,
                size_t group = 0) const;
  /// Errors of such a fit over units of all rows of the design, in the order of `columns`.
  ClusterRobust Robust(const std::vector<size_t>& columns, const OlsResult& fit, const RowUnits& units,
                       const std::vector<size_t>* group_of_row = nullptr, size_t group = 0) const;
  /// Whether groups differ: of the fit with `own` columns for every group and the `common` ones for all together, the
  /// test, over the units, that the `tested` ones among the own are equal in all groups.
  ClusterRobust::Test GroupsAreEqual(const std::vector<size_t>& own, const std::vector<size_t>& common,
                                     const std::vector<size_t>& tested, const std::vector<size_t>& group_of_row,
                                     size_t groups, const RowUnits& units) const;
  /// All columns but the intercept, and an intercept for each group. Columns that the intercepts, with the columns
  /// before, already span are left out and named in `dropped`. None, with `why`, if that leaves no column or too few rows.
  /// `errors`: of the coefficients but the intercepts over `units`; empty if each row is a unit.
  std::optional<OlsResult> FitWithIntercepts(const std::vector<size_t>& group_of_row,
                                             const std::vector<std::string>& groups, const RowUnits& units,
                                             std::vector<std::string>& dropped, std::vector<RobustError>& errors,
                                             std::string& why) const;
  /// Columns that take more than one value in a group, and the intercept.
  std::vector<size_t> VaryingColumns(const std::vector<size_t>& group_of_row, size_t group) const;

 private:
  struct Part {
    std::vector<long double> design, target;
    std::vector<double> weights;
    std::vector<std::string> names;
  };
  Part Select(const std::vector<size_t>& columns, const std::vector<size_t>* group_of_row, size_t group) const;

  std::string why_none_;
  std::optional<LinearForm> form_;
  std::vector<std::string> names_;
  std::vector<size_t> row_index_, complete_index_;
  std::vector<std::vector<std::string>> covariates_of_;
  std::vector<long double> design_, target_;  // [n, k], [n]
  std::vector<double> weights_;
};

}  // namespace bitlaw
