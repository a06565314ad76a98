#pragma once

#include <Eigen/Dense>
#include <cstddef>
#include <span>
#include <vector>

#include "bitlaw/api/law.h"
#include "fit/fit_rows.h"

namespace bitlaw {

/// Sums of weighted rows, the inner loop of every refit: out[p] = sum_i weight_i rows[i, p].
///
/// Rows are kept in blocks of eight columns, each a contiguous [n, 8]: a block's sums stay in registers.
class WeightedSums {
 public:
  WeightedSums() = default;
  /// rows [n, columns] row by row.
  WeightedSums(std::span<const double> rows, size_t columns);
  size_t columns() const { return columns_; }
  /// weights [n]; sums [columns()].
  void Sum(const double* weights, double* sums) const;

 private:
  size_t rows_ = 0, columns_ = 0;
  std::vector<double> blocks_;
};

/// Cholesky's L L^T of a positive definite matrix, in place in its lower triangle [k, k] row by row. False if a pivot
/// is not above `smallest`.
bool FactorInPlace(double* matrix, size_t k, double smallest);
/// Solves L L^T x = right in place.
void SolveFactored(const double* factor, size_t k, double* right);

/// A law with a linear form on fixed rows, prepared to be fitted again and again with other weights of the rows:
///
///     eta_i = offset_i + sum_j coefficient_j feature_ij = offset_i + (Q z)_i,    features = Q R diag(scale)
///
/// with the columns of Q orthonormal over all rows, so that normal equations in z keep their digits.
class LogLinearRefit {
 public:
  static constexpr size_t kMaxParameters = 32;
  /// `roots` [n]: the design and the targets are multiplied by them (roots of weights), or empty. The law must outlive
  /// it and have a linear form.
  LogLinearRefit(const Law& law, const FitRows& rows, std::span<const double> roots);

  size_t parameters() const { return k_; }
  double offset(size_t row) const { return offset_[row]; }

  /// Targets [n], of ln y - offset (or y - offset), which SolveLinear() fits.
  void SetTargets(std::span<const double> targets);
  /// Least squares of the targets, row i counted times[i] times. False where that does not determine the parameters.
  bool SolveLinear(const double* times, std::span<double> theta) const;
  /// The same for other targets; NaN leaves a row out.
  bool SolveLinear(std::span<const double> targets, const double* times, std::span<double> theta) const;

  /// Least squares of y - exp(eta), row i weighted by times[i], by Gauss-Newton with halved steps from `start`. False,
  /// with theta unchanged, if it leaves the law's bounds, loses a direction, or is not done in 40 evaluations; then
  /// another method must tell. Only without roots and for a form of ln y. y may be NaN where times is 0.
  bool SolveResponse(std::span<const double> y, const double* times, std::span<const double> start,
                     std::span<double> theta) const;

 private:
  bool Finish(double* z, std::span<double> theta) const;
  void Coefficients(const double* z, double* coefficients) const;

  const Law& law_;
  LinearForm form_;
  size_t n_ = 0, k_ = 0;
  std::vector<double> q_;  // [n, k]
  std::vector<double> scale_, offset_, roots_, targets_;
  Eigen::MatrixXd r_;
  WeightedSums products_;         // [n, k (k + 1) / 2]: q_a q_b, b <= a
  WeightedSums target_products_;  // the same and then q_a target [n, + k]
  WeightedSums columns_;          // [n, k]
};

}  // namespace bitlaw
