#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "bitlaw/api/law.h"
#include "fit/data/fit_rows.h"
#include "fit/refit/kernels/lane_kernels.h"

namespace bitlaw {

/// What holds in which of kLanes fits.
using LaneFlags = std::array<bool, kLanes>;

/// A law with a linear form on fixed rows, prepared to be fitted again and again, kLanes fits at once that differ in
/// how often each row counts:
///
///     eta_i = offset_i + sum_j coefficient_j feature_ij = offset_i + (Q z)_i,    features = Q R diag(scale)
///
/// with the columns of Q orthonormal over all rows, so that normal equations in z keep their digits.
///
/// Shapes   times [n], lane l for fit l; theta [kLanes, k] row by row.
/// Returns  in which lanes theta is the fit; in the others it is NaN.
class LogLinearRefit {
 public:
  static constexpr size_t kMaxParameters = kMaxLaneColumns;
  /// `roots` [n]: the design and the targets are multiplied by them (roots of weights), or empty. The law must outlive
  /// it and have a linear form of at most kMaxParameters columns.
  LogLinearRefit(const Law& law, const FitRows& rows, std::span<const double> roots);

  size_t parameters() const { return k_; }
  double offset(size_t row) const { return offset_[row]; }

  /// Targets [n], of ln y - offset (or y - offset), which SolveLinear() fits.
  void SetTargets(std::span<const double> targets);
  /// Least squares of the targets. Not where the rows do not determine the parameters; where they nearly do not, by QR
  /// in place of normal equations.
  LaneFlags SolveLinear(std::span<const Lanes> times, std::span<double> theta) const;
  /// The same for other targets.
  LaneFlags SolveLinear(std::span<const double> targets, std::span<const Lanes> times, std::span<double> theta) const;

  /// Least squares of y - exp(eta) by Gauss-Newton with halved steps from `start` [k], until no parameter moves by more
  /// than 1e-6 of itself; the last step is taken, and what is left is smaller still. Not in a lane that loses a
  /// direction or is not done in 40 evaluations; then another method must tell. Only without roots and for a form of ln
  /// y; bounds are not looked at.   y [n], finite
  LaneFlags SolveResponse(std::span<const double> y, std::span<const Lanes> times, std::span<const double> start,
                          std::span<double> theta) const;

 private:
  // Columns side by side in blocks, as LaneKernels::weighted_sums wants them.
  struct Columns {
    size_t width = 0;
    std::vector<double> blocks;
  };
  Columns Blocked(std::span<const double> rows, size_t width) const;
  // Sums of weighted columns.
  void Sum(const Columns& columns, std::span<const Lanes> weights, Lanes* sums) const;
  void Coefficients(const Lanes* z, Lanes* coefficients) const;
  bool Finish(const Lanes* coefficients, size_t lane, double* theta) const;
  // From normal equations in z: gram [k (k + 1) / 2], right [k].
  LaneFlags SolveNormal(Lanes* gram, Lanes* right, std::span<const double> targets, std::span<const Lanes> times,
                        std::span<double> theta) const;
  bool SolveByQr(std::span<const double> targets, std::span<const Lanes> times, size_t lane, Lanes* z) const;

  const LaneKernels& kernels_;
  LinearForm form_;
  size_t n_ = 0, k_ = 0;
  std::vector<double> q_;  // [n, k]
  std::vector<double> offset_, roots_, targets_;
  std::vector<double> forward_, back_;  // [k, k], upper: z = forward coefficients, coefficients = back z
  Columns products_;                    // [n, k (k + 1) / 2]: q_a q_b, b <= a
  Columns target_products_;             // The same and then q_a target [n, + k].
  Columns columns_;                     // q
};

}  // namespace bitlaw
