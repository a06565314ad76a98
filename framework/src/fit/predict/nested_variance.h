#pragma once

#include <Eigen/Dense>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/table/unset.h"

namespace bitlaw {

/// Rows that lie in cells, which lie in units: the settings of precision (bits) of a model, and models.
struct BITLAW_EXPORT NestedGroups {
  std::vector<size_t> unit_of_row, cell_of_row;  ///< [n]; rows of one cell are of one unit.
  size_t units = 0, cells = 0;
  std::vector<size_t> setting_of_cell;  ///< [cells]: cells of one setting (bits) scatter alike within; empty: all do.
  size_t rows() const { return unit_of_row.size(); }
};

/// How what a law leaves over scatters: between units, between the cells of a unit, and between the rows of a cell.
///
///     r_i = u_unit(i) + c_cell(i) + e_i,    variances s_u, s_c, w_setting s_e
///
/// where w says how much more the rows of a cell scatter at one setting of precision than on average (at 2 bits three
/// times as far as at 8): with M_p the mean square within cells at setting p on d_p degrees of freedom and M that of
/// all, w_p = (d_p M_p / M + 4) / (d_p + 4), drawn towards 1 where there are few rows (as variances of few replicates
/// are by Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3, there with an estimated 4). The variances are found by
/// restricted maximum likelihood (Patterson and Thompson 1971, Biometrika 58:545): with Q [n, q] an orthonormal basis
/// of the law's slopes, what is minimized over s_u / s_e and s_c / s_e is
///
///     (n - q) ln(r^T P r) + ln |S| + ln |Q^T S^-1 Q|,    P = S^-1 - S^-1 Q (Q^T S^-1 Q)^-1 Q^T S^-1.
///
/// A level that cannot be told from the one below it (every unit is one cell, every cell one row) has variance 0 and no
/// degrees of freedom, and the level below it has it all.
class BITLAW_EXPORT NestedVariance {
 public:
  enum Level { kUnit, kCell, kRow };
  /// `slopes` [n, k]; `residuals` [n]. `forms` [n, k] each: the slopes of other functions of what the law predicts (its
  /// logarithm, say). A parameter that is constant within each unit in any of them is taken for one that only units
  /// tell.
  NestedVariance(NestedGroups groups, const Eigen::MatrixXd& slopes, const Eigen::VectorXd& residuals,
                 const std::vector<Eigen::MatrixXd>& forms = {});

  /// Why there are no variances: too few rows. Empty exactly when there are.
  const std::string& why_none() const { return why_none_; }
  bool has(Level level) const { return has_[level]; }
  double variance(Level level) const { return variance_[level]; }
  double total() const { return variance_[kUnit] + variance_[kCell] + variance_[kRow]; }
  /// Groups of the level less the levels above it and the slopes that only it can tell. Not above 0: these rows do not
  /// show how much the level scatters.
  double degrees_of_freedom(Level level) const { return freedom_[level]; }
  const NestedGroups& groups() const { return groups_; }
  /// w of a cell's setting, and the degrees of freedom that it was found with; 1 and those of the rows where all are
  /// alike.
  double row_factor(size_t cell) const { return factor_of_cell_[cell]; }
  double row_freedom(size_t cell) const { return freedom_of_cell_[cell]; }

  /// S^-1 v, S the covariance of the rows.
  Eigen::VectorXd Solve(const Eigen::VectorXd& v) const;

 private:
  void CountFreedom(const Eigen::MatrixXd& slopes, const std::vector<Eigen::MatrixXd>& forms);
  void FindFactors(const Eigen::VectorXd& residuals);
  void Minimize(const Eigen::MatrixXd& basis, const Eigen::VectorXd& residuals);

  NestedGroups groups_;
  std::string why_none_;
  std::array<bool, 3> has_{};
  std::array<double, 3> variance_{0, 0, 0}, freedom_{0, 0, 0};
  std::vector<size_t> rows_of_cell_, unit_of_cell_;
  std::vector<double> factor_of_cell_, freedom_of_cell_;
};

}  // namespace bitlaw
