#include "fit/log_linear_refit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"

// GCC picks the widest of these that the machine has when the library is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define BITLAW_WIDE_LOOPS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define BITLAW_WIDE_LOOPS
#endif

namespace bitlaw {

namespace {

// out[c] = sum_i weights[i] block[8 i + c]. Four rows at a time in sums of their own: additions do not wait for each
// other.
BITLAW_WIDE_LOOPS void SumBlock(const double* block, const double* weights, size_t rows, double* out) {
  double sums[4][8] = {};
  size_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) {
      const double weight = weights[i + lane];
      const double* row = block + 8 * (i + lane);
      for (size_t c = 0; c < 8; ++c) sums[lane][c] += weight * row[c];
    }
  }
  for (; i < rows; ++i) {
    for (size_t c = 0; c < 8; ++c) sums[0][c] += weights[i] * block[8 * i + c];
  }
  for (size_t c = 0; c < 8; ++c) out[c] = (sums[0][c] + sums[1][c]) + (sums[2][c] + sums[3][c]);
}

}  // namespace

WeightedSums::WeightedSums(std::span<const double> rows, size_t columns)
    : rows_(columns == 0 ? 0 : rows.size() / columns), columns_(columns) {
  const size_t blocks = (columns + 7) / 8;
  blocks_.assign(blocks * rows_ * 8, 0);
  for (size_t i = 0; i < rows_; ++i) {
    for (size_t c = 0; c < columns; ++c) blocks_[(c / 8 * rows_ + i) * 8 + c % 8] = rows[i * columns + c];
  }
}

void WeightedSums::Sum(const double* weights, double* sums) const {
  double part[8];
  for (size_t first = 0; first < columns_; first += 8) {
    SumBlock(blocks_.data() + first * rows_, weights, rows_, part);
    std::copy_n(part, std::min<size_t>(8, columns_ - first), sums + first);
  }
}

bool FactorInPlace(double* matrix, size_t k, double smallest) {
  for (size_t a = 0; a < k; ++a) {
    for (size_t b = 0; b <= a; ++b) {
      double sum = matrix[a * k + b];
      for (size_t m = 0; m < b; ++m) sum -= matrix[a * k + m] * matrix[b * k + m];
      if (a == b && !(sum > smallest)) return false;
      matrix[a * k + b] = a == b ? std::sqrt(sum) : sum / matrix[b * k + b];
    }
  }
  return true;
}

void SolveFactored(const double* factor, size_t k, double* right) {
  for (size_t a = 0; a < k; ++a) {
    for (size_t m = 0; m < a; ++m) right[a] -= factor[a * k + m] * right[m];
    right[a] /= factor[a * k + a];
  }
  for (size_t a = k; a-- > 0;) {
    for (size_t m = a + 1; m < k; ++m) right[a] -= factor[m * k + a] * right[m];
    right[a] /= factor[a * k + a];
  }
}

LogLinearRefit::LogLinearRefit(const Law& law, const FitRows& rows, std::span<const double> roots)
    : law_(law), n_(rows.size()), roots_(roots.begin(), roots.end()) {
  const auto form = law.linear_form();
  if (!form) throw InternalError("LogLinearRefit: law '" + law.name() + "' has no linear form");
  form_ = *form;
  k_ = form_.columns.size();
  using Extended = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
  const auto n = static_cast<Eigen::Index>(n_), k = static_cast<Eigen::Index>(k_);
  Extended design(n, k);
  offset_.resize(n_);
  std::vector<long double> features(k_);
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    offset_[at] = static_cast<double>(law.LinearFeaturesExtended(rows.row(at, law.covariates().size()), features));
    const double root = roots_.empty() ? 1 : roots_[at];
    for (size_t j = 0; j < k_; ++j) design(i, static_cast<Eigen::Index>(j)) = features[j] * root;
  }
  for (Eigen::Index j = 0; j < k; ++j) {
    const long double length = design.col(j).norm();
    scale_.push_back(static_cast<double>(length));
    design.col(j) /= length;
  }
  const Eigen::HouseholderQR<Extended> qr(design);
  const Extended thin = qr.householderQ() * Extended::Identity(n, k);
  r_ = qr.matrixQR().topRows(k).template triangularView<Eigen::Upper>().toDenseMatrix().template cast<double>();
  q_.resize(n_ * k_);
  std::vector<double> products;
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < k; ++j) q_[static_cast<size_t>(i * k + j)] = static_cast<double>(thin(i, j));
    const double* row = q_.data() + static_cast<size_t>(i * k);
    for (size_t a = 0; a < k_; ++a) {
      for (size_t b = 0; b <= a; ++b) products.push_back(row[a] * row[b]);
    }
  }
  products_ = WeightedSums(products, k_ * (k_ + 1) / 2);
  columns_ = WeightedSums(q_, k_);
}

void LogLinearRefit::SetTargets(std::span<const double> targets) {
  targets_.assign(targets.begin(), targets.end());
  std::vector<double> products;
  for (size_t i = 0; i < n_; ++i) {
    const double* row = q_.data() + i * k_;
    for (size_t a = 0; a < k_; ++a) {
      for (size_t b = 0; b <= a; ++b) products.push_back(row[a] * row[b]);
    }
    const double target = targets[i] * (roots_.empty() ? 1 : roots_[i]);
    for (size_t a = 0; a < k_; ++a) products.push_back(row[a] * target);
  }
  target_products_ = WeightedSums(products, k_ * (k_ + 1) / 2 + k_);
}

void LogLinearRefit::Coefficients(const double* z, double* coefficients) const {
  for (size_t a = k_; a-- > 0;) {
    double sum = z[a];
    for (size_t m = a + 1; m < k_; ++m)
      sum -= r_(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(m)) * coefficients[m];
    coefficients[a] = sum / r_(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(a));
  }
}

bool LogLinearRefit::Finish(double* z, std::span<double> theta) const {
  double coefficients[kMaxParameters];
  Coefficients(z, coefficients);
  bool finite = true;
  for (size_t a = 0; a < k_; ++a) {
    const double coefficient = coefficients[a] / scale_[a];
    theta[form_.columns[a].parameter] = form_.columns[a].is_log ? std::exp(coefficient) : coefficient;
    finite = finite && std::isfinite(theta[form_.columns[a].parameter]);
  }
  return finite;
}

bool LogLinearRefit::SolveLinear(const double* times, std::span<double> theta) const {
  double sums[kMaxParameters * (kMaxParameters + 3) / 2], gram[kMaxParameters * kMaxParameters];
  if (k_ > kMaxParameters) return false;
  target_products_.Sum(times, sums);
  size_t used = 0;
  for (size_t i = 0; i < n_; ++i) used += times[i] != 0;
  std::fill(theta.begin(), theta.end(), std::numeric_limits<double>::quiet_NaN());
  if (used < k_) return false;
  const double* sum = sums;
  for (size_t a = 0; a < k_; ++a) {
    for (size_t b = 0; b <= a; ++b) gram[a * k_ + b] = *sum++;
  }
  double right[kMaxParameters];
  std::copy_n(sum, k_, right);
  // Q is orthonormal over all rows, so a small pivot means that the resample lost a direction.
  if (!FactorInPlace(gram, k_, 1e-12)) return false;
  SolveFactored(gram, k_, right);
  return Finish(right, theta);
}

bool LogLinearRefit::SolveLinear(std::span<const double> targets, const double* times, std::span<double> theta) const {
  if (k_ > kMaxParameters) return false;
  std::vector<double> weights(n_), weighted(n_);
  size_t used = 0;
  for (size_t i = 0; i < n_; ++i) {
    const bool is_used = times[i] != 0 && !std::isnan(targets[i]);
    weights[i] = is_used ? times[i] : 0;
    weighted[i] = is_used ? times[i] * targets[i] * (roots_.empty() ? 1 : roots_[i]) : 0;
    used += is_used;
  }
  std::fill(theta.begin(), theta.end(), std::numeric_limits<double>::quiet_NaN());
  if (used < k_) return false;
  double sums[kMaxParameters * (kMaxParameters + 1) / 2], gram[kMaxParameters * kMaxParameters], right[kMaxParameters];
  products_.Sum(weights.data(), sums);
  columns_.Sum(weighted.data(), right);
  const double* sum = sums;
  for (size_t a = 0; a < k_; ++a) {
    for (size_t b = 0; b <= a; ++b) gram[a * k_ + b] = *sum++;
  }
  if (!FactorInPlace(gram, k_, 1e-12)) return false;
  SolveFactored(gram, k_, right);
  return Finish(right, theta);
}

bool LogLinearRefit::SolveResponse(std::span<const double> y, const double* times, std::span<const double> start,
                                   std::span<double> theta) const {
  if (k_ > kMaxParameters) return false;
  double z[kMaxParameters], base[kMaxParameters], step[kMaxParameters], coefficients[kMaxParameters];
  double sums[kMaxParameters * (kMaxParameters + 1) / 2], gram[kMaxParameters * kMaxParameters];
  for (size_t a = 0; a < k_; ++a) {
    const double value = start[form_.columns[a].parameter];
    if (form_.columns[a].is_log && !(value > 0)) return false;
    coefficients[a] = (form_.columns[a].is_log ? std::log(value) : value) * scale_[a];
  }
  for (size_t a = 0; a < k_; ++a) {
    z[a] = 0;
    for (size_t m = a; m < k_; ++m)
      z[a] += r_(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(m)) * coefficients[m];
  }
  std::vector<double> curvature(n_), slope(n_);
  double base_cost = std::numeric_limits<double>::infinity(), shrink = 1;
  bool is_done = false;
  for (int evaluation = 0; evaluation < 40; ++evaluation) {
    double cost = 0;
    for (size_t i = 0; i < n_; ++i) {
      if (times[i] == 0) {
        curvature[i] = slope[i] = 0;
        continue;
      }
      const double* row = q_.data() + i * k_;
      double eta = offset_[i];
      for (size_t a = 0; a < k_; ++a) eta += row[a] * z[a];
      const double value = std::exp(eta), residual = y[i] - value, weighted = times[i] * value;
      cost += times[i] * residual * residual;
      slope[i] = weighted * residual;
      curvature[i] = weighted * value;
    }
    if (!std::isfinite(cost) && evaluation == 0) return false;
    if (!(cost <= base_cost * (1 + 1e-10))) {
      shrink /= 2;
      if (shrink < 0.05) return false;
      for (size_t a = 0; a < k_; ++a) z[a] = base[a] + shrink * step[a];
      continue;
    }
    if (is_done && shrink == 1) return Finish(z, theta);
    std::copy_n(z, k_, base);
    base_cost = cost;
    shrink = 1;
    products_.Sum(curvature.data(), sums);
    columns_.Sum(slope.data(), step);
    const double* sum = sums;
    double largest = 0;
    for (size_t a = 0; a < k_; ++a) {
      for (size_t b = 0; b <= a; ++b) gram[a * k_ + b] = *sum++;
      largest = std::max(largest, gram[a * k_ + a]);
    }
    if (!(largest > 0) || !FactorInPlace(gram, k_, 1e-13 * largest)) return false;
    SolveFactored(gram, k_, step);
    // Done where no parameter moves by more than 1e-7 of itself (an amplitude: its logarithm by 1e-7).
    Coefficients(step, coefficients);
    double moved = 0;
    double at[kMaxParameters];
    Coefficients(base, at);
    for (size_t a = 0; a < k_; ++a) {
      const double size = form_.columns[a].is_log ? 1 : std::fabs(at[a] / scale_[a]) + 1e-9;
      moved = std::max(moved, std::fabs(coefficients[a] / scale_[a]) / size);
      z[a] = base[a] + step[a];
    }
    is_done = moved < 1e-7;
  }
  return false;
}

}  // namespace bitlaw
