#include "fit/estimate/cluster_robust.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "bitlaw/base/error.h"
#include "fit/estimate/method_fit.h"

namespace bitlaw {

namespace {

using Real = long double;
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic>;
using Vector = Eigen::Matrix<Real, Eigen::Dynamic, 1>;
using Small = Eigen::MatrixXd;
using SmallVector = Eigen::VectorXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// So many units correct themselves: A_u differs from the identity by less than anything that is printed.
constexpr size_t kManyUnits = 50000;
// 1 - leverage of a direction that one unit alone determines.
constexpr double kDetermined = 1e-9;
// A share of the expected variance below this is a direction that lost some of its units' parts.
constexpr double kWhole = 0.99;

Eigen::Map<const RowMajor> At(const std::vector<double>& matrices, size_t index, Eigen::Index k) {
  return {matrices.data() + index * static_cast<size_t>(k * k), k, k};
}
Eigen::Map<const SmallVector> At(std::span<const double> vectors, size_t index, Eigen::Index k) {
  return {vectors.data() + index * static_cast<size_t>(k), k};
}

// Y with M = Y Y^T for M = (J^T J)^-1.
Matrix InverseRoot(const Matrix& jacobian) {
  Matrix scaled = jacobian;
  Vector lengths = scaled.colwise().norm();
  for (Eigen::Index j = 0; j < lengths.size(); ++j) scaled.col(j) /= lengths[j];
  const Eigen::HouseholderQR<Matrix> qr(scaled);
  const Eigen::Index k = scaled.cols();
  Matrix root = qr.matrixQR().topLeftCorner(k, k).template triangularView<Eigen::Upper>().solve(Matrix::Identity(k, k));
  for (Eigen::Index j = 0; j < k; ++j) root.row(j) /= lengths[j];
  return root;
}

// The sum over s and t of Var(D_st), D the estimated covariance of q whitened contrasts under the working model:
//   Var(D_st) = sum_uv T_uv(s,s) T_uv(t,t) + T_uv(s,t) T_uv(t,s),  T_uv = [u = v] own_u - shared_u^T shared_v.
// own [q, q] and shared [k, q] of each unit.
double VarianceOfParts(const std::vector<Small>& own, const std::vector<Small>& shared, Eigen::Index q, Eigen::Index k) {
  double total = 0;
  for (Eigen::Index s = 0; s < q; ++s) {
    for (Eigen::Index t = 0; t < q; ++t) {
      Small cross = Small::Zero(k, k);
      for (size_t u = 0; u < own.size(); ++u) {
        const auto x = shared[u].col(s), y = shared[u].col(t);
        total += own[u](s, s) * own[u](t, t) + own[u](s, t) * own[u](t, s);
        total -= own[u](s, s) * y.squaredNorm() + own[u](t, t) * x.squaredNorm() + 2 * own[u](s, t) * x.dot(y);
        cross += y * x.transpose();
      }
      total += cross.squaredNorm() + (cross * cross).trace();
    }
  }
  return total;
}

}  // namespace

// d = root^T contrast and, of each unit: what it adds to contrast^T theta; d^T own d; shared d.
struct ClusterRobust::Parts {
  SmallVector value, own;
  Small shared;  // [k, units]
  double expected = 0;
};

ClusterRobust::ClusterRobust(std::span<const double> jacobian, std::span<const double> residuals, RowUnits units,
                             const std::vector<bool>& free)
    : units_(std::move(units)), parameters_(free.size()) {
  const size_t n = residuals.size(), g = units_.size();
  if (jacobian.size() != n * parameters_ || units_.unit_of_row.size() != n)
    throw InternalError("ClusterRobust: jacobian, residuals and units do not fit together");
  for (size_t j = 0; j < parameters_; ++j) {
    if (free[j]) free_.push_back(j);
  }
  cr1_.assign(parameters_ * parameters_, kUnset);
  cr2_ = cr1_;
  const auto k = static_cast<Eigen::Index>(free_.size());
  if (k == 0 || n <= free_.size()) return;
  Matrix slopes(static_cast<Eigen::Index>(n), k);
  for (size_t i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < k; ++j)
      slopes(static_cast<Eigen::Index>(i), j) = jacobian[i * parameters_ + free_[static_cast<size_t>(j)]];
  }
  const Matrix root = InverseRoot(slopes);
  const RowMajor z = (slopes * root).cast<double>();
  const Small root_double = root.cast<double>();
  root_.assign(root_double.data(), root_double.data() + k * k);  // Column by column.
  double ssr = 0;
  for (const double r : residuals) ssr += r * r;
  residual_variance_ = ssr / static_cast<double>(n - free_.size());

  is_corrected_ = g <= kManyUnits;
  const auto slots = static_cast<size_t>(k);
  influence_.assign(g * slots, 0);
  RowMajor plain_meat = RowMajor::Zero(k, k), meat = RowMajor::Zero(k, k);
  std::vector<double> gram(is_corrected_ ? g * slots * slots : 0, 0);
  for (size_t i = 0; i < n; ++i) {
    const size_t u = units_.unit_of_row[i];
    const auto row = z.row(static_cast<Eigen::Index>(i));
    for (size_t a = 0; a < slots; ++a) {
      influence_[u * slots + a] -= row[static_cast<Eigen::Index>(a)] * residuals[i];
      for (size_t b = 0; is_corrected_ && b < slots; ++b)
        gram[(u * slots + a) * slots + b] += row[static_cast<Eigen::Index>(a)] * row[static_cast<Eigen::Index>(b)];
    }
  }
  own_.assign(gram.size(), 0);
  shared_ = own_;
  for (size_t u = 0; u < g; ++u) {
    Eigen::Map<SmallVector> added(influence_.data() + u * slots, k);
    plain_meat += added * added.transpose();
    if (!is_corrected_) continue;
    // W = A_u seen from the columns of Z_u: (I - Z Z^T)^(-1/2) Z = Z W, a function of P = Z^T Z.
    const Eigen::SelfAdjointEigenSolver<Small> eigen(At(gram, u, k));
    SmallVector w(k), own(k), shared(k);
    for (Eigen::Index j = 0; j < k; ++j) {
      const double leverage = std::max(0.0, eigen.eigenvalues()[j]), left = 1 - leverage;
      w[j] = left > kDetermined ? 1 / std::sqrt(left) : 0;
      own[j] = w[j] * w[j] * leverage;
      shared[j] = w[j] * leverage;
    }
    const Small& q = eigen.eigenvectors();
    added = (q * w.asDiagonal() * q.transpose() * added).eval();
    Eigen::Map<RowMajor>(own_.data() + u * slots * slots, k, k) = q * own.asDiagonal() * q.transpose();
    Eigen::Map<RowMajor>(shared_.data() + u * slots * slots, k, k) = q * shared.asDiagonal() * q.transpose();
    meat += added * added.transpose();
  }
  const auto units_count = static_cast<double>(g), rows = static_cast<double>(n);
  if (g < 2) return;
  if (!is_corrected_) meat = plain_meat * (units_count / (units_count - 1));
  const double c = units_count / (units_count - 1) * (rows - 1) / (rows - static_cast<double>(k));
  const RowMajor one = c * root_double * plain_meat * root_double.transpose();
  const RowMajor two = root_double * meat * root_double.transpose();
  for (size_t a = 0; a < slots; ++a) {
    for (size_t b = 0; b < slots; ++b) {
      const size_t at = free_[a] * parameters_ + free_[b];
      cr1_[at] = one(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b));
      cr2_[at] = two(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b));
    }
  }
}

bool ClusterRobust::IsFree(std::span<const double> contrast) const {
  if (contrast.size() != parameters_) throw InternalError("ClusterRobust: a contrast has one number a parameter");
  bool some = false;
  for (size_t j = 0; j < parameters_; ++j) {
    if (contrast[j] == 0) continue;
    if (!std::isfinite(contrast[j]) || std::find(free_.begin(), free_.end(), j) == free_.end()) return false;
    some = true;
  }
  return some && units_.size() > 1 && !root_.empty();
}

ClusterRobust::Parts ClusterRobust::Of(std::span<const double> contrast) const {
  const auto k = static_cast<Eigen::Index>(free_.size());
  const auto g = static_cast<Eigen::Index>(units_.size());
  SmallVector chosen(k);
  for (Eigen::Index j = 0; j < k; ++j) chosen[j] = contrast[free_[static_cast<size_t>(j)]];
  const Eigen::Map<const Small> root(root_.data(), k, k);
  const SmallVector d = root.transpose() * chosen;
  Parts parts;
  parts.expected = d.squaredNorm();
  parts.value.resize(g);
  parts.own = SmallVector::Zero(g);
  parts.shared = Small::Zero(k, g);
  for (Eigen::Index u = 0; u < g; ++u) {
    const auto at = static_cast<size_t>(u);
    parts.value[u] = d.dot(At(std::span<const double>(influence_), at, k));
    if (!is_corrected_) continue;
    parts.own[u] = d.dot(At(own_, at, k) * d);
    parts.shared.col(u) = At(shared_, at, k) * d;
  }
  return parts;
}

RobustError ClusterRobust::Error(std::span<const double> contrast) const {
  RobustError error;
  if (!IsFree(contrast)) return error;
  const Parts parts = Of(contrast);
  const auto g = static_cast<double>(units_.size());
  if (!is_corrected_) return {std::sqrt(parts.value.squaredNorm() * g / (g - 1)), g - 1};
  // T_uv = [u = v] own_u - shared_u . shared_v is the covariance of what units u and v add, for rows of variance 1.
  const double trace = parts.own.sum() - parts.shared.squaredNorm();
  if (!(trace > kWhole * parts.expected)) return error;
  double squares = parts.own.squaredNorm();
  for (Eigen::Index u = 0; u < parts.own.size(); ++u) squares -= 2 * parts.own[u] * parts.shared.col(u).squaredNorm();
  squares += (parts.shared * parts.shared.transpose()).squaredNorm();
  error.error = std::sqrt(parts.value.squaredNorm());
  error.degrees_of_freedom = trace * trace / squares;
  return error;
}

RobustError ClusterRobust::Error(size_t parameter) const {
  std::vector<double> contrast(parameters_, 0);
  contrast[parameter] = 1;
  return Error(contrast);
}

ClusterRobust::Test ClusterRobust::AreZero(std::span<const double> contrasts, std::span<const double> values) const {
  Test test;
  const auto q = static_cast<Eigen::Index>(values.size()), k = static_cast<Eigen::Index>(free_.size());
  test.df1 = static_cast<double>(q);
  if (q == 0) {
    test.why_none = "there is nothing to test";
    return test;
  }
  std::vector<Parts> parts;
  for (size_t s = 0; s < values.size(); ++s) {
    const auto contrast = contrasts.subspan(s * parameters_, parameters_);
    if (!IsFree(contrast)) {
      test.why_none = units_.size() < 2 ? "there is one unit" : "a parameter is not free";
      return test;
    }
    parts.push_back(Of(contrast));
  }
  const auto g = static_cast<Eigen::Index>(units_.size());
  // Omega = C M C^T, and the units' parts of the contrasts made independent, Omega^(-1/2) C theta.
  Small full(k, q);
  const Eigen::Map<const Small> root(root_.data(), k, k);
  for (Eigen::Index s = 0; s < q; ++s) {
    SmallVector chosen(k);
    for (Eigen::Index j = 0; j < k; ++j)
      chosen[j] = contrasts[static_cast<size_t>(s) * parameters_ + free_[static_cast<size_t>(j)]];
    full.col(s) = root.transpose() * chosen;
  }
  const Eigen::SelfAdjointEigenSolver<Small> omega(Small(full.transpose() * full));
  if (!(omega.eigenvalues()[0] > 1e-12 * omega.eigenvalues()[q - 1])) {
    test.why_none = "the hypotheses are not independent of each other";
    return test;
  }
  const Small whiten = omega.operatorInverseSqrt();
  const Small directions = full * whiten;  // [k, q], orthonormal
  Small added(g, q);
  for (Eigen::Index s = 0; s < q; ++s) added.col(s) = parts[static_cast<size_t>(s)].value;
  added = (added * whiten).eval();
  SmallVector difference(q);
  for (Eigen::Index s = 0; s < q; ++s) difference[s] = values[static_cast<size_t>(s)];
  difference = (whiten * difference).eval();
  const Small variance = added.transpose() * added;
  double eta = static_cast<double>(g - 1);
  if (is_corrected_) {
    std::vector<Small> own(static_cast<size_t>(g)), shared(static_cast<size_t>(g));
    Small expected = Small::Zero(q, q);
    for (size_t u = 0; u < own.size(); ++u) {
      own[u] = directions.transpose() * At(own_, u, k) * directions;
      shared[u] = At(shared_, u, k) * directions;  // [k, q]
      expected += own[u] - shared[u].transpose() * shared[u];
    }
    if (!((expected - Small::Identity(q, q)).norm() < (1 - kWhole) * std::sqrt(static_cast<double>(q)))) {
      test.why_none = "one unit alone determines what is tested";
      return test;
    }
    eta = static_cast<double>(q * (q + 1)) / VarianceOfParts(own, shared, q, k);
  }
  test.df2 = eta - test.df1 + 1;
  if (!(test.df2 > 0.5)) {
    test.why_none = "the " + std::to_string(units_.size()) + " units are too few to test " + std::to_string(q) +
                    " parameters at once";
    test.df2 = kUnset;
    return test;
  }
  const double wald = difference.dot(variance.ldlt().solve(difference));
  test.f = wald * test.df2 / (eta * test.df1);
  test.p = FisherP(test.f, test.df1, test.df2);
  if (std::isnan(test.p)) test.why_none = "the variance of what is tested is singular";
  return test;
}

RobustError ClusterRobust::Difference(const ClusterRobust& a, const ClusterRobust& b, size_t parameter) {
  std::vector<double> contrast(a.parameters_, 0);
  contrast[parameter] = 1;
  if (a.parameters_ != b.parameters_ || !a.IsFree(contrast) || !b.IsFree(contrast)) return {};
  const Parts of_a = a.Of(contrast), of_b = b.Of(contrast);
  const double trace_a = of_a.own.sum() - of_a.shared.squaredNorm();
  const double trace_b = of_b.own.sum() - of_b.shared.squaredNorm();
  if (a.is_corrected_ && !(trace_a > kWhole * of_a.expected)) return {};
  if (b.is_corrected_ && !(trace_b > kWhole * of_b.expected)) return {};
  // Units of both lie one on the other; rows of the two fits have variances of their own.
  std::unordered_map<std::string, Eigen::Index> place_of;
  for (const std::string& label : a.units_.labels) place_of.emplace(label, static_cast<Eigen::Index>(place_of.size()));
  for (const std::string& label : b.units_.labels) place_of.emplace(label, static_cast<Eigen::Index>(place_of.size()));
  const auto g = static_cast<Eigen::Index>(place_of.size());
  SmallVector value = SmallVector::Zero(g), own = value;
  const auto slots_a = of_a.shared.rows(), slots_b = of_b.shared.rows();
  Small shared = Small::Zero(slots_a + slots_b, g);
  for (size_t u = 0; u < a.units_.size(); ++u) {
    const auto at = place_of.at(a.units_.labels[u]), from = static_cast<Eigen::Index>(u);
    value[at] += of_a.value[from];
    own[at] += a.residual_variance_ * of_a.own[from];
    shared.col(at).head(slots_a) = std::sqrt(a.residual_variance_) * of_a.shared.col(from);
  }
  for (size_t u = 0; u < b.units_.size(); ++u) {
    const auto at = place_of.at(b.units_.labels[u]), from = static_cast<Eigen::Index>(u);
    value[at] -= of_b.value[from];
    own[at] += b.residual_variance_ * of_b.own[from];
    shared.col(at).tail(slots_b) = std::sqrt(b.residual_variance_) * of_b.shared.col(from);
  }
  const auto count = static_cast<double>(g);
  if (!a.is_corrected_ || !b.is_corrected_) return {std::sqrt(value.squaredNorm() * count / (count - 1)), count - 1};
  const double trace = own.sum() - shared.squaredNorm();
  double squares = own.squaredNorm() + (shared * shared.transpose()).squaredNorm();
  for (Eigen::Index u = 0; u < g; ++u) squares -= 2 * own[u] * shared.col(u).squaredNorm();
  return {std::sqrt(value.squaredNorm()), trace * trace / squares};
}

namespace {

bool IsHuber(const FitProcedure& procedure) {
  return procedure.loss == FitProcedure::Loss::kHuber || procedure.loss == FitProcedure::Loss::kHuberLikelihood;
}

}  // namespace

ScoreRows ScoresOf(const FitProblem& problem, const MethodFit& method) {
  ScoreRows scores;
  const FitRows& rows = problem.rows();
  const FitProcedure& procedure = problem.procedure();
  const Objective objective = problem.objective();
  const std::vector<double> theta = method.theta();
  const size_t n = rows.size(), k = theta.size();
  scores.jacobian.resize(n * k);
  scores.residuals.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const std::span<double> slopes(scores.jacobian.data() + i * k, k);
    if (problem.of_counts()) {
      const double p = objective.Probability(theta, i, slopes);
      const double root = std::sqrt(rows.total[i] / (p * (1 - p)));
      for (double& slope : slopes) slope *= root;
      scores.residuals[i] = (p - rows.correct[i] / rows.total[i]) * root;
    } else {
      scores.residuals[i] = objective.Residual(theta, i, slopes);
    }
  }
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!std::all_of(scores.jacobian.begin(), scores.jacobian.end(), finite) ||
      !std::all_of(scores.residuals.begin(), scores.residuals.end(), finite)) {
    scores.why_none = "the law has no finite slope in every row";
    return scores;
  }
  if (!IsHuber(procedure)) return scores;
  const bool is_scaled = procedure.loss == FitProcedure::Loss::kHuberLikelihood;
  const double knee = is_scaled ? procedure.delta * method.scale : procedure.delta;
  double within = 0;
  for (const double r : scores.residuals) within += std::fabs(r) <= knee;
  const double share = within / static_cast<double>(n);
  if (share < 0.25) {
    scores.why_none = "fewer than a quarter of the rows lie within the knee of the Huber loss";
    return scores;
  }
  for (double& r : scores.residuals) r = std::clamp(r, -knee, knee) / share;
  return scores;
}

std::shared_ptr<const ClusterRobust> RobustOf(const FitProblem& problem, RowUnits units, const MethodFit& method,
                                              std::string& why) {
  if (units.size() < 2) {
    why = "there is one " + units.name;
    return nullptr;
  }
  const ScoreRows scores = ScoresOf(problem, method);
  why = scores.why_none;
  if (!why.empty()) return nullptr;
  const size_t k = method.parameters.size();
  std::vector<bool> free(k);
  for (size_t j = 0; j < k; ++j) {
    const bool known = method.covariance.size() == k * k && std::isfinite(method.covariance[j * k + j]);
    free[j] = known || (IsHuber(problem.procedure()) && method.parameters[j].note.empty());
  }
  return std::make_shared<const ClusterRobust>(scores.jacobian, scores.residuals, std::move(units), free);
}

}  // namespace bitlaw
