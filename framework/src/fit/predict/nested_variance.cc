#include "fit/predict/nested_variance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace bitlaw {

namespace {

// Columns less their means over the groups.
Eigen::MatrixXd Centred(Eigen::MatrixXd columns, const std::vector<size_t>& group_of_row, size_t groups) {
  Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(groups), columns.cols());
  Eigen::VectorXd counts = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(groups));
  for (Eigen::Index i = 0; i < columns.rows(); ++i) {
    const auto group = static_cast<Eigen::Index>(group_of_row[static_cast<size_t>(i)]);
    sums.row(group) += columns.row(i);
    counts[group] += 1;
  }
  for (Eigen::Index i = 0; i < columns.rows(); ++i) {
    const auto group = static_cast<Eigen::Index>(group_of_row[static_cast<size_t>(i)]);
    columns.row(i) -= sums.row(group) / counts[group];
  }
  return columns;
}

// Slopes with columns of unit length; a column of zeros stays.
Eigen::MatrixXd Scaled(Eigen::MatrixXd slopes) {
  for (Eigen::Index j = 0; j < slopes.cols(); ++j) {
    const double length = slopes.col(j).norm();
    if (length > 0) slopes.col(j) /= length;
  }
  return slopes;
}

// Of columns of unit length before they were centred.
Eigen::Index RankOf(const Eigen::MatrixXd& columns) {
  if (columns.cols() == 0) return 0;
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(columns.transpose() * columns);
  return (svd.singularValues().array() > 1e-12).count();
}

// The covariance over s_e: w on the diagonal, `cell` and `unit` more where rows share these.
class Pattern {
 public:
  Pattern(const NestedGroups& groups, const std::vector<size_t>& rows_of_cell, const std::vector<size_t>& unit_of_cell,
          const std::vector<double>& w, double unit, double cell)
      : groups_(groups), w_(w), cell_factor_(groups.cells), unit_factor_(groups.units) {
    // Of w + cell 1 1^T the inverse is (1 - f 1 1^T) / w, f = cell / (w + n cell); of a unit the same again with its
    // cells'.
    std::vector<double> ones(groups.units, 0);  // 1^T (cells)^-1 1 of a unit.
    for (size_t c = 0; c < groups.cells; ++c) {
      const double rows = static_cast<double>(rows_of_cell[c]);
      cell_factor_[c] = cell / (w[c] + rows * cell);
      log_determinant_ += rows * std::log(w[c]) + std::log1p(rows * cell / w[c]);
      ones[unit_of_cell[c]] += rows * (1 - rows * cell_factor_[c]) / w[c];
    }
    for (size_t u = 0; u < groups.units; ++u) {
      unit_factor_[u] = unit / (1 + unit * ones[u]);
      log_determinant_ += std::log1p(unit * ones[u]);
    }
  }
  double log_determinant() const { return log_determinant_; }
  Eigen::MatrixXd Solve(const Eigen::MatrixXd& v) const {
    const Eigen::MatrixXd by_cells = WithinCells(v);
    // (cells)^-1 1 differs between the cells of a unit: it is applied to the unit's sum of what the cells left.
    const Eigen::MatrixXd weights = WithinCells(Eigen::MatrixXd::Ones(v.rows(), 1));
    Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(groups_.units), v.cols());
    for (Eigen::Index i = 0; i < v.rows(); ++i) sums.row(UnitOf(i)) += by_cells.row(i);
    Eigen::MatrixXd solved = by_cells;
    for (Eigen::Index i = 0; i < v.rows(); ++i)
      solved.row(i) -= weights(i, 0) * unit_factor_[static_cast<size_t>(UnitOf(i))] * sums.row(UnitOf(i));
    return solved;
  }

 private:
  Eigen::Index UnitOf(Eigen::Index row) const {
    return static_cast<Eigen::Index>(groups_.unit_of_row[static_cast<size_t>(row)]);
  }
  // (cells)^-1 v
  Eigen::MatrixXd WithinCells(Eigen::MatrixXd v) const {
    Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(groups_.cells), v.cols());
    for (Eigen::Index i = 0; i < v.rows(); ++i)
      sums.row(static_cast<Eigen::Index>(groups_.cell_of_row[static_cast<size_t>(i)])) += v.row(i);
    for (Eigen::Index i = 0; i < v.rows(); ++i) {
      const size_t cell = groups_.cell_of_row[static_cast<size_t>(i)];
      v.row(i) = (v.row(i) - cell_factor_[cell] * sums.row(static_cast<Eigen::Index>(cell))) / w_[cell];
    }
    return v;
  }
  const NestedGroups& groups_;
  const std::vector<double>& w_;
  std::vector<double> cell_factor_, unit_factor_;
  double log_determinant_ = 0;
};

}  // namespace

NestedVariance::NestedVariance(NestedGroups groups, const Eigen::MatrixXd& slopes, const Eigen::VectorXd& residuals,
                               const std::vector<Eigen::MatrixXd>& forms)
    : groups_(std::move(groups)), rows_of_cell_(groups_.cells, 0), unit_of_cell_(groups_.cells, 0) {
  for (size_t i = 0; i < groups_.rows(); ++i) {
    ++rows_of_cell_[groups_.cell_of_row[i]];
    unit_of_cell_[groups_.cell_of_row[i]] = groups_.unit_of_row[i];
  }
  const size_t n = groups_.rows();
  has_ = {groups_.units > 1 && groups_.units<n, groups_.cells> groups_.units && groups_.cells < n, true};
  const Eigen::MatrixXd scaled = Scaled(slopes);
  CountFreedom(scaled, forms);
  double freedom = 0;
  for (const double one : freedom_) freedom += one;
  if (!(freedom_[kRow] >= 1) || !(freedom >= 1)) {
    why_none_ = "there are too few rows to show how predictions scatter";
    return;
  }
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(scaled);
  qr.setThreshold(1e-9);
  const Eigen::MatrixXd basis = qr.householderQ() * Eigen::MatrixXd::Identity(static_cast<Eigen::Index>(n), qr.rank());
  FindFactors(residuals);
  Minimize(basis, residuals);
}

void NestedVariance::CountFreedom(const Eigen::MatrixXd& scaled, const std::vector<Eigen::MatrixXd>& forms) {
  const auto n = static_cast<double>(groups_.rows());
  const Eigen::Index rank = RankOf(scaled);
  const auto within = [&](const std::vector<size_t>& group_of_row, size_t groups) {
    Eigen::Index least = RankOf(Centred(scaled, group_of_row, groups));
    for (const Eigen::MatrixXd& form : forms) {
      if (form.allFinite()) least = std::min(least, RankOf(Centred(Scaled(form), group_of_row, groups)));
    }
    return least;
  };
  const Eigen::Index in_units = has_[kUnit] ? within(groups_.unit_of_row, groups_.units) : rank;
  const Eigen::Index in_cells = has_[kCell] ? std::min(in_units, within(groups_.cell_of_row, groups_.cells)) : in_units;
  const double units = has_[kUnit] ? static_cast<double>(groups_.units) : 0;
  const double cells = has_[kCell] ? static_cast<double>(groups_.cells) : units;
  if (has_[kUnit]) freedom_[kUnit] = units - static_cast<double>(rank - in_units);
  if (has_[kCell]) freedom_[kCell] = cells - units - static_cast<double>(in_units - in_cells);
  freedom_[kRow] = n - cells - static_cast<double>(in_cells);
}

void NestedVariance::FindFactors(const Eigen::VectorXd& residuals) {
  constexpr double kPrior = 4;
  factor_of_cell_.assign(groups_.cells, 1);
  freedom_of_cell_.assign(groups_.cells, freedom_[kRow]);
  if (!has_[kCell] || groups_.setting_of_cell.empty()) return;
  const Eigen::MatrixXd within = Centred(residuals, groups_.cell_of_row, groups_.cells);
  const size_t settings = *std::max_element(groups_.setting_of_cell.begin(), groups_.setting_of_cell.end()) + 1;
  std::vector<double> squares(settings, 0), freedom(settings, 0);
  for (size_t i = 0; i < groups_.rows(); ++i) {
    const double left = within(static_cast<Eigen::Index>(i), 0);
    squares[groups_.setting_of_cell[groups_.cell_of_row[i]]] += left * left;
  }
  for (size_t c = 0; c < groups_.cells; ++c)
    freedom[groups_.setting_of_cell[c]] += static_cast<double>(rows_of_cell_[c]) - 1;
  double all = 0, all_freedom = 0;
  for (size_t p = 0; p < settings; ++p) all += squares[p], all_freedom += freedom[p];
  if (!(all > 0)) return;
  for (size_t c = 0; c < groups_.cells; ++c) {
    const size_t p = groups_.setting_of_cell[c];
    factor_of_cell_[c] = (squares[p] / (all / all_freedom) + kPrior) / (freedom[p] + kPrior);
    freedom_of_cell_[c] = std::min(freedom_[kRow], freedom[p] + kPrior);
  }
}

void NestedVariance::Minimize(const Eigen::MatrixXd& basis, const Eigen::VectorXd& residuals) {
  const double freedom = static_cast<double>(residuals.size() - basis.cols());
  double row_variance = 0;
  const auto value = [&](double unit, double cell) {
    const Pattern pattern(groups_, rows_of_cell_, unit_of_cell_, factor_of_cell_, unit, cell);
    const Eigen::MatrixXd solved = pattern.Solve(basis);
    const Eigen::VectorXd solved_residuals = pattern.Solve(residuals);
    double squares = residuals.dot(solved_residuals), log_slopes = 0;
    if (basis.cols() > 0) {
      const Eigen::LDLT<Eigen::MatrixXd> gram(basis.transpose() * solved);
      const Eigen::VectorXd projected = basis.transpose() * solved_residuals;
      squares -= projected.dot(gram.solve(projected));
      log_slopes = gram.vectorD().array().log().sum();
    }
    row_variance = squares / freedom;
    return freedom * std::log(std::max(row_variance, std::numeric_limits<double>::min())) + pattern.log_determinant() +
           log_slopes;
  };
  // A grid over the ratios, 0 among them, then ever finer steps around the best: the surface may have two valleys.
  std::vector<double> ratios = {0};
  for (double exponent = -2; exponent <= 6.01; exponent += 0.5) ratios.push_back(std::pow(10.0, exponent));
  double unit = 0, cell = 0, best = std::numeric_limits<double>::infinity();
  const auto consider = [&](double u, double c) {
    const double now = value(u, c);
    if (!(now < best)) return;
    best = now, unit = u, cell = c;
  };
  for (const double u : ratios) {
    for (const double c : ratios) {
      if ((u > 0 && !has_[kUnit]) || (c > 0 && !has_[kCell])) continue;
      consider(u, c);
    }
  }
  for (double step = std::sqrt(std::sqrt(10.0)); step > 1.0005; step = std::sqrt(step)) {
    const double u = unit, c = cell;
    for (const double du : {1 / step, 1.0, step}) {
      for (const double dc : {1 / step, 1.0, step}) consider(u * du, c * dc);
    }
  }
  value(unit, cell);
  variance_ = {unit * row_variance, cell * row_variance, row_variance};
}

Eigen::VectorXd NestedVariance::Solve(const Eigen::VectorXd& v) const {
  if (!(variance_[kRow] > 0)) return Eigen::VectorXd::Zero(v.size());
  const Pattern pattern(groups_, rows_of_cell_, unit_of_cell_, factor_of_cell_, variance_[kUnit] / variance_[kRow],
                        variance_[kCell] / variance_[kRow]);
  return pattern.Solve(v) / variance_[kRow];
}

}  // namespace bitlaw
