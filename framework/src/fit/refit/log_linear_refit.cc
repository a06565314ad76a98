#include "fit/refit/log_linear_refit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// Pivots of Q^T W Q, which are of the size of the weights: below the first the resample lost a direction, below the
// second normal equations lose digits that QR keeps.
constexpr double kLost = 1e-12, kDelicate = 1e-5;
constexpr size_t kMaxSums = kMaxLaneColumns * (kMaxLaneColumns + 3) / 2;

size_t Triangle(size_t k) { return k * (k + 1) / 2; }

}  // namespace

LogLinearRefit::LogLinearRefit(const Law& law, const FitRows& rows, std::span<const double> roots)
    : kernels_(BestLaneKernels()), n_(rows.size()), roots_(roots.begin(), roots.end()) {
  const auto form = law.linear_form();
  if (!form || form->columns.size() > kMaxParameters || form->columns.empty())
    throw InternalError("LogLinearRefit: law '" + law.name() + "' has no linear form, or too many columns");
  form_ = *form;
  k_ = form_.columns.size();
  using Extended = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
  const auto n = static_cast<Eigen::Index>(n_), k = static_cast<Eigen::Index>(k_);
  Extended design(n, k), lengths(k, 1);
  offset_.resize(n_);
  std::vector<long double> features(k_);
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    offset_[at] = static_cast<double>(law.LinearFeaturesExtended(rows.row(at, law.covariates().size()), features));
    const double root = roots_.empty() ? 1 : roots_[at];
    for (size_t j = 0; j < k_; ++j) design(i, static_cast<Eigen::Index>(j)) = features[j] * root;
  }
  for (Eigen::Index j = 0; j < k; ++j) {
    lengths(j) = design.col(j).norm();
    design.col(j) /= lengths(j);
  }
  const Eigen::HouseholderQR<Extended> qr(design);
  const Extended thin = qr.householderQ() * Extended::Identity(n, k);
  const Extended r = qr.matrixQR().topRows(k).triangularView<Eigen::Upper>().toDenseMatrix();
  const Extended inverse = r.triangularView<Eigen::Upper>().solve(Extended::Identity(k, k));
  for (Eigen::Index a = 0; a < k; ++a) {
    for (Eigen::Index b = 0; b < k; ++b) {
      forward_.push_back(static_cast<double>(r(a, b) * lengths(b)));
      back_.push_back(static_cast<double>(inverse(a, b) / lengths(a)));
    }
  }
  q_.resize(n_ * k_);
  std::vector<double> products;
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < k; ++j) q_[static_cast<size_t>(i * k + j)] = static_cast<double>(thin(i, j));
    const double* row = q_.data() + static_cast<size_t>(i * k);
    for (size_t a = 0; a < k_; ++a) {
      for (size_t b = 0; b <= a; ++b) products.push_back(row[a] * row[b]);
    }
  }
  products_ = Blocked(products, Triangle(k_));
  columns_ = Blocked(q_, k_);
}

LogLinearRefit::Columns LogLinearRefit::Blocked(std::span<const double> rows, size_t width) const {
  Columns columns;
  columns.width = width;
  columns.blocks.assign((width + kColumnBlock - 1) / kColumnBlock * n_ * kColumnBlock, 0);
  for (size_t i = 0; i < n_; ++i) {
    for (size_t c = 0; c < width; ++c)
      columns.blocks[(c / kColumnBlock * n_ + i) * kColumnBlock + c % kColumnBlock] = rows[i * width + c];
  }
  return columns;
}

void LogLinearRefit::Sum(const Columns& columns, std::span<const Lanes> weights, Lanes* sums) const {
  kernels_.weighted_sums(columns.blocks.data(), n_, columns.width, weights.data(), sums);
}

void LogLinearRefit::SetTargets(std::span<const double> targets) {
  targets_.assign(targets.begin(), targets.end());
  std::vector<double> products;
  for (size_t i = 0; i < n_; ++i) {
    if (!roots_.empty()) targets_[i] *= roots_[i];
    const double* row = q_.data() + i * k_;
    for (size_t a = 0; a < k_; ++a) {
      for (size_t b = 0; b <= a; ++b) products.push_back(row[a] * row[b]);
    }
    for (size_t a = 0; a < k_; ++a) products.push_back(row[a] * targets_[i]);
  }
  target_products_ = Blocked(products, Triangle(k_) + k_);
}

void LogLinearRefit::Coefficients(const Lanes* z, Lanes* coefficients) const {
  for (size_t a = 0; a < k_; ++a) {
    Lanes sum = {};
    for (size_t m = a; m < k_; ++m) {
      const double factor = back_[a * k_ + m];
      for (size_t lane = 0; lane < kLanes; ++lane) sum.at[lane] += factor * z[m].at[lane];
    }
    coefficients[a] = sum;
  }
}

// theta of one lane from its coefficients. False if a parameter is not finite.
bool LogLinearRefit::Finish(const Lanes* coefficients, size_t lane, double* theta) const {
  bool finite = true;
  for (size_t a = 0; a < k_; ++a) {
    const double coefficient = coefficients[a].at[lane];
    double& parameter = theta[form_.columns[a].parameter];
    parameter = form_.columns[a].is_log ? std::exp(coefficient) : coefficient;
    finite = finite && std::isfinite(parameter);
  }
  return finite;
}

bool LogLinearRefit::SolveByQr(std::span<const double> targets, std::span<const Lanes> times, size_t lane,
                               Lanes* z) const {
  const auto k = static_cast<Eigen::Index>(k_);
  Eigen::MatrixXd design = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(n_), k);
  Eigen::VectorXd right = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(n_));
  for (Eigen::Index i = 0; i < design.rows(); ++i) {
    const auto at = static_cast<size_t>(i);
    const double root = std::sqrt(times[at].at[lane]);
    if (root == 0) continue;
    for (Eigen::Index j = 0; j < k; ++j) design(i, j) = root * q_[at * k_ + static_cast<size_t>(j)];
    right[i] = root * targets[at];
  }
  const Eigen::VectorXd solution = design.colPivHouseholderQr().solve(right);
  for (Eigen::Index j = 0; j < k; ++j) z[static_cast<size_t>(j)].at[lane] = solution[j];
  return solution.allFinite();
}

LaneFlags LogLinearRefit::SolveNormal(Lanes* gram, Lanes* right, std::span<const double> targets,
                                      std::span<const Lanes> times, std::span<double> theta) const {
  Lanes smallest, coefficients[kMaxParameters];
  kernels_.solve(gram, k_, right, &smallest);
  LaneFlags good;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    good[lane] = smallest.at[lane] > kLost && (smallest.at[lane] > kDelicate || SolveByQr(targets, times, lane, right));
  }
  Coefficients(right, coefficients);
  for (size_t lane = 0; lane < kLanes; ++lane) {
    double* of_lane = theta.data() + lane * k_;
    good[lane] = good[lane] && Finish(coefficients, lane, of_lane);
    if (!good[lane]) std::fill_n(of_lane, k_, std::numeric_limits<double>::quiet_NaN());
  }
  return good;
}

LaneFlags LogLinearRefit::SolveLinear(std::span<const Lanes> times, std::span<double> theta) const {
  Lanes sums[kMaxSums];
  Sum(target_products_, times, sums);
  return SolveNormal(sums, sums + Triangle(k_), targets_, times, theta);
}

LaneFlags LogLinearRefit::SolveLinear(std::span<const double> targets, std::span<const Lanes> times,
                                      std::span<double> theta) const {
  std::vector<double> scaled(targets.begin(), targets.end());
  std::vector<Lanes> weighted(times.begin(), times.end());
  for (size_t i = 0; i < n_; ++i) {
    if (!roots_.empty()) scaled[i] *= roots_[i];
    for (double& weight : weighted[i].at) weight *= scaled[i];
  }
  Lanes gram[kMaxSums], right[kMaxParameters];
  Sum(products_, times, gram);
  Sum(columns_, weighted, right);
  return SolveNormal(gram, right, scaled, times, theta);
}

LaneFlags LogLinearRefit::SolveResponse(std::span<const double> y, std::span<const Lanes> times,
                                        std::span<const double> start, std::span<double> theta) const {
  LaneFlags good = {};
  std::fill(theta.begin(), theta.end(), std::numeric_limits<double>::quiet_NaN());
  double first[kMaxParameters];
  for (size_t a = 0; a < k_; ++a) {
    const double value = start[form_.columns[a].parameter];
    if (form_.columns[a].is_log && !(value > 0)) return good;
    first[a] = form_.columns[a].is_log ? std::log(value) : value;
  }
  Lanes z[kMaxParameters] = {}, base[kMaxParameters] = {}, step[kMaxParameters] = {}, right[kMaxParameters];
  for (size_t a = 0; a < k_; ++a) {
    double sum = 0;
    for (size_t m = a; m < k_; ++m) sum += forward_[a * k_ + m] * first[m];
    std::fill_n(z[a].at, kLanes, sum);
  }
  LaneFlags is_open;
  is_open.fill(true);
  double base_cost[kLanes], shrink[kLanes];
  std::fill_n(base_cost, kLanes, std::numeric_limits<double>::infinity());
  std::fill_n(shrink, kLanes, 1.0);
  const ExponentialRows rows = {q_.data(), offset_.data(), y.data(), n_, k_};
  std::vector<Lanes> slope(n_), curvature(n_);
  for (int evaluation = 0; evaluation < 40 && is_open != LaneFlags{}; ++evaluation) {
    Lanes cost;
    kernels_.exponential(rows, z, times.data(), slope.data(), curvature.data(), &cost);
    LaneFlags is_better = {};
    for (size_t lane = 0; lane < kLanes; ++lane) {
      if (!is_open[lane]) continue;
      is_better[lane] = cost.at[lane] <= base_cost[lane] * (1 + 1e-10) && std::isfinite(cost.at[lane]);
      if (is_better[lane]) {
        base_cost[lane] = cost.at[lane];
        shrink[lane] = 1;
        for (size_t a = 0; a < k_; ++a) base[a].at[lane] = z[a].at[lane];
        continue;
      }
      shrink[lane] /= 2;
      is_open[lane] = evaluation > 0 && shrink[lane] > 0.05;
      for (size_t a = 0; a < k_; ++a) z[a].at[lane] = base[a].at[lane] + shrink[lane] * step[a].at[lane];
    }
    if (is_better == LaneFlags{}) continue;
    Lanes gram[kMaxSums], smallest, moves[kMaxParameters], at[kMaxParameters];
    Sum(products_, curvature, gram);
    Sum(columns_, slope, right);
    double largest[kLanes] = {};
    for (size_t a = 0; a < k_; ++a) {
      for (size_t lane = 0; lane < kLanes; ++lane)
        largest[lane] = std::max(largest[lane], gram[Triangle(a) + a].at[lane]);
    }
    kernels_.solve(gram, k_, right, &smallest);
    Coefficients(right, moves);
    Coefficients(base, at);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      if (!is_better[lane]) continue;
      is_open[lane] = smallest.at[lane] > 1e-13 * largest[lane];
      if (!is_open[lane]) continue;
      double moved = 0;
      for (size_t a = 0; a < k_; ++a) {
        step[a].at[lane] = right[a].at[lane];
        z[a].at[lane] = base[a].at[lane] + step[a].at[lane];
        // An amplitude: its logarithm.
        const double size = form_.columns[a].is_log ? 1 : std::fabs(at[a].at[lane]) + 1e-9;
        moved = std::max(moved, std::fabs(moves[a].at[lane]) / size);
        at[a].at[lane] += moves[a].at[lane];
      }
      if (!(moved < 1e-6)) continue;
      // So near, steps shrink tenfold and more: what a further one would change is not worth an evaluation.
      is_open[lane] = false;
      good[lane] = Finish(at, lane, theta.data() + lane * k_);
    }
  }
  for (size_t lane = 0; lane < kLanes; ++lane) {
    if (!good[lane]) std::fill_n(theta.data() + lane * k_, k_, std::numeric_limits<double>::quiet_NaN());
  }
  return good;
}

}  // namespace bitlaw
