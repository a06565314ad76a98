#include "fit/solve/least_squares.h"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <limits>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

using Real = long double;  // 64 bits of mantissa on x86-64; polynomial designs lose a dozen digits on the way.
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic>;
using Vector = Eigen::Matrix<Real, Eigen::Dynamic, 1>;
template <typename Number>
using RowMajor = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// A column whose part outside the span of the others is smaller than this, relative to its length, is a combination of
// them: features are computed in double, so an exact dependence leaves about 1e-16.
constexpr double kRankTolerance = 1e-13;

struct ScaledDesign {
  Matrix columns;  // Unit length.
  Vector lengths;
};

template <typename Number>
ScaledDesign Scale(std::span<const Number> design, size_t k) {
  const auto n = static_cast<Eigen::Index>(design.size() / k);
  ScaledDesign scaled;
  scaled.columns =
      Eigen::Map<const RowMajor<Number>>(design.data(), n, static_cast<Eigen::Index>(k)).template cast<Real>();
  scaled.lengths = scaled.columns.colwise().norm();
  for (Eigen::Index j = 0; j < scaled.columns.cols(); ++j) {
    if (scaled.lengths[j] > 0) scaled.columns.col(j) /= scaled.lengths[j];
  }
  return scaled;
}

Eigen::ColPivHouseholderQR<Matrix> Factor(const Matrix& columns) {
  Eigen::ColPivHouseholderQR<Matrix> qr(columns);
  qr.setThreshold(static_cast<Real>(kRankTolerance));
  return qr;
}

// (A^T A)^-1 from A P = Q R.
Matrix InverseGram(const Eigen::ColPivHouseholderQR<Matrix>& qr, Eigen::Index k) {
  const Matrix r_inverse =
      qr.matrixR().topLeftCorner(k, k).template triangularView<Eigen::Upper>().solve(Matrix::Identity(k, k));
  const Matrix permuted = r_inverse * r_inverse.transpose();
  return qr.colsPermutation() * permuted * qr.colsPermutation().transpose();
}

// "log(G) = 3 * 1 + 2 * log(N)": the last of the columns that depend on one another, by those before it. Which of them
// the factorization leaves over is a matter of the last bits of their lengths.
std::string ExplainDependence(const ScaledDesign& scaled, const Eigen::ColPivHouseholderQR<Matrix>& qr,
                              std::span<const std::string> names) {
  const Eigen::Index rank = qr.rank();
  const auto& order = qr.colsPermutation().indices();
  // sum over columns of weight * scaled column = 0
  Vector weights = Vector::Zero(scaled.columns.cols());
  weights[order[rank]] = -1;
  const Vector solved = qr.matrixR()
                            .topLeftCorner(rank, rank)
                            .template triangularView<Eigen::Upper>()
                            .solve(qr.matrixR().col(rank).head(rank));
  for (Eigen::Index i = 0; i < rank; ++i) {
    if (std::fabs(solved[i]) >= 1e-9L) weights[order[i]] = solved[i];
  }
  Eigen::Index last = weights.size() - 1;
  while (weights[last] == 0) --last;
  std::string sum;
  for (Eigen::Index i = 0; i < last; ++i) {
    if (weights[i] == 0) continue;
    const Real weight = -weights[i] / weights[last] * scaled.lengths[last] / scaled.lengths[i];
    sum += fmt::format("{}{:.6g} * {}", sum.empty() ? "" : " + ", static_cast<double>(weight),
                       names[static_cast<size_t>(i)]);
  }
  return fmt::format("the columns of the design are collinear: {} = {} in all {} rows",
                     names[static_cast<size_t>(last)], sum, scaled.columns.rows());
}

}  // namespace

double StudentP(double t, double degrees_of_freedom) {
  if (std::isnan(t) || !(degrees_of_freedom > 0)) return kUnset;
  if (std::isinf(t)) return 0;
  const boost::math::students_t_distribution<double> student(degrees_of_freedom);
  return 2 * boost::math::cdf(boost::math::complement(student, std::fabs(t)));
}

double FisherP(double f, double numerator_df, double denominator_df) {
  if (std::isnan(f) || !(numerator_df > 0) || !(denominator_df > 0)) return kUnset;
  if (std::isinf(f)) return 0;
  if (f <= 0) return 1;
  const boost::math::fisher_f_distribution<double> fisher(numerator_df, denominator_df);
  return boost::math::cdf(boost::math::complement(fisher, f));
}

double CoinTail(int64_t k, int64_t n) {
  if (k <= 0) return 1;
  if (k > n) return 0;
  return boost::math::ibeta(static_cast<double>(k), static_cast<double>(n - k + 1), 0.5);
}

std::vector<double> AdjustedByHolm(std::span<const double> p) {
  std::vector<double> adjusted(p.begin(), p.end());
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  double largest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, p[order[i]] * static_cast<double>(order.size() - i)));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

FitQuality QualityOf(size_t rows, size_t parameters, double ssr, double tss) {
  FitQuality quality;
  quality.rows = rows;
  quality.parameters = parameters;
  const double n = static_cast<double>(rows), k = static_cast<double>(parameters);
  quality.ssr = ssr;
  if (tss > 0) {
    quality.r2 = 1 - ssr / tss;
    if (rows > parameters) quality.adjusted_r2 = 1 - (1 - quality.r2) * (n - 1) / (n - k);
  }
  if (rows > parameters) quality.residual_variance = ssr / (n - k);
  quality.log_likelihood = -n / 2 * (std::log(2 * M_PI * ssr / n) + 1);
  quality.aic = 2 * k - 2 * quality.log_likelihood;
  if (n > k + 2) quality.aicc = 2 * (k + 1) * n / (n - k - 2) - 2 * quality.log_likelihood;
  quality.bic = k * std::log(n) - 2 * quality.log_likelihood;
  return quality;
}

// What a row's weight adds to the log likelihood: its variance is sigma^2 / w.
void AddLogWeights(FitQuality& quality, std::span<const double> weights) {
  double sum = 0;
  for (const double weight : weights) sum += std::log(weight) / 2;
  quality.log_likelihood += sum;
  quality.aic -= 2 * sum;
  quality.aicc -= 2 * sum;
  quality.bic -= 2 * sum;
}

double StudentQuantile(double level, double degrees_of_freedom) {
  if (!(level > 0 && level < 1) || !(degrees_of_freedom > 0)) return kUnset;
  return boost::math::quantile(boost::math::students_t_distribution<double>(degrees_of_freedom), (1 + level) / 2);
}

double ChiSquaredP(double chi_squared, double degrees_of_freedom) {
  if (std::isnan(chi_squared) || !(degrees_of_freedom > 0)) return kUnset;
  if (std::isinf(chi_squared)) return 0;
  if (chi_squared <= 0) return 1;
  return boost::math::cdf(
      boost::math::complement(boost::math::chi_squared_distribution<double>(degrees_of_freedom), chi_squared));
}

double NormalCdf(double z) { return 0.5 * std::erfc(-z * M_SQRT1_2); }

double NormalQuantile(double p) {
  if (!(p >= 0 && p <= 1)) return kUnset;
  if (p == 0) return -std::numeric_limits<double>::infinity();
  if (p == 1) return std::numeric_limits<double>::infinity();
  return boost::math::quantile(boost::math::normal_distribution<double>(), p);
}

namespace {

template <typename Number>
std::string ExplainDegenerateDesign(std::span<const Number> design, std::span<const std::string> names) {
  const size_t k = names.size();
  const size_t rows = k == 0 ? 0 : design.size() / k;
  if (k == 0) return "the design has no columns";
  if (rows <= k) {
    return fmt::format("{} for {}: at least {} are needed, so that something is left over to judge the fit by",
                       Counted(rows, "row"), Counted(k, "parameter"), k + 1);
  }
  const ScaledDesign scaled = Scale(design, k);
  for (size_t j = 0; j < k; ++j) {
    if (scaled.lengths[static_cast<Eigen::Index>(j)] == 0) {
      return fmt::format("column {} is 0 in all {} rows", names[j], rows);
    }
  }
  const auto qr = Factor(scaled.columns);
  return qr.rank() == static_cast<Eigen::Index>(k) ? "" : ExplainDependence(scaled, qr, names);
}

// The covariance, and of each coefficient its value, error, t, p and VIF.   inverse = (X^T X)^-1 of the scaled columns;
// `roots` is what a constant looks like; variance is that of the residuals.
void AddCoefficients(const ScaledDesign& scaled, const Matrix& inverse, const Vector& solution, const Vector& roots,
                     Real variance, std::span<const std::string> names, OlsResult& result) {
  const size_t k = names.size();
  const auto columns = static_cast<Eigen::Index>(k);
  result.covariance.resize(k * k);
  for (Eigen::Index i = 0; i < columns; ++i) {
    for (Eigen::Index j = 0; j < columns; ++j) {
      result.covariance[static_cast<size_t>(i) * k + static_cast<size_t>(j)] =
          static_cast<double>(variance * inverse(i, j) / (scaled.lengths[i] * scaled.lengths[j]));
    }
  }
  for (Eigen::Index j = 0; j < columns; ++j) {
    OlsCoefficient coefficient;
    coefficient.name = names[static_cast<size_t>(j)];
    coefficient.value = static_cast<double>(solution[j] / scaled.lengths[j]);
    coefficient.standard_error = static_cast<double>(std::sqrt(variance * inverse(j, j)) / scaled.lengths[j]);
    coefficient.t = coefficient.value / coefficient.standard_error;
    coefficient.p = StudentP(coefficient.t, static_cast<double>(result.df_residual));
    // VIF = (X^T X)^-1_jj * sum (x_j - mean)^2; without a constant, about zero. Columns have unit length here.
    const Real column_mean = result.has_constant ? scaled.columns.col(j).dot(roots) / roots.squaredNorm() : 0;
    const Real spread = 1 - roots.squaredNorm() * column_mean * column_mean;
    if (spread > 1e-12L) coefficient.vif = static_cast<double>(inverse(j, j) * spread);
    result.coefficients.push_back(std::move(coefficient));
  }
}

template <typename Number>
OlsResult FitDesign(std::span<const Number> design, std::span<const Number> y, std::span<const std::string> names,
                    std::span<const double> weights) {
  const size_t k = names.size();
  if (k == 0 || design.size() != y.size() * k || (!weights.empty() && weights.size() != y.size()))
    throw InternalError("FitOls: design, y, names and weights do not fit together");
  const auto finite = [](auto value) { return std::isfinite(value); };
  if (!std::all_of(design.begin(), design.end(), finite) || !std::all_of(y.begin(), y.end(), finite) ||
      !std::all_of(weights.begin(), weights.end(), [](double w) { return std::isfinite(w) && w > 0; })) {
    throw InternalError("FitOls: a value is not finite, or a weight not positive");
  }
  const std::string why = ExplainDegenerate(design, names);
  if (!why.empty()) throw Error(ErrorKind::kNumerical, "least squares: " + why + ".");

  const auto n = static_cast<Eigen::Index>(y.size());
  const auto columns = static_cast<Eigen::Index>(k);
  // Rows are multiplied by sqrt(w); `ones` is then what a constant looks like.
  Vector roots = Vector::Ones(n);
  for (size_t i = 0; i < weights.size(); ++i) {
    roots[static_cast<Eigen::Index>(i)] = std::sqrt(static_cast<Real>(weights[i]));
  }
  std::vector<Real> weighted(design.size());
  for (size_t i = 0; i < weighted.size(); ++i) {
    weighted[i] = static_cast<Real>(design[i]) * roots[static_cast<Eigen::Index>(i / k)];
  }
  const ScaledDesign scaled = Scale(std::span<const Real>(weighted), k);
  const auto qr = Factor(scaled.columns);
  const Vector target =
      Eigen::Map<const Eigen::Matrix<Number, Eigen::Dynamic, 1>>(y.data(), n).template cast<Real>().cwiseProduct(roots);
  Vector solution = qr.solve(target);
  solution += qr.solve(target - scaled.columns * solution);  // One step of refinement.
  const Vector fitted = scaled.columns * solution;
  const Real ssr = (target - fitted).squaredNorm();

  OlsResult result;
  // The columns span a constant if a column of ones leaves no residual.
  result.has_constant = (roots - scaled.columns * qr.solve(roots)).norm() < 1e-10L * roots.norm();
  const Real mean = target.dot(roots) / roots.squaredNorm();
  const Real tss = result.has_constant ? (target - mean * roots).squaredNorm() : target.squaredNorm();
  result.quality = QualityOf(y.size(), k, static_cast<double>(ssr), static_cast<double>(tss));
  if (!weights.empty()) AddLogWeights(result.quality, weights);
  result.df_residual = y.size() - k;
  result.df_model = result.has_constant ? k - 1 : k;
  if (!result.has_constant && tss > 0) {
    result.quality.adjusted_r2 =
        1 - (1 - result.quality.r2) * static_cast<double>(n) / static_cast<double>(result.df_residual);
  }
  if (result.df_model > 0) {
    result.f = static_cast<double>((tss - ssr) / static_cast<Real>(result.df_model) /
                                   (ssr / static_cast<Real>(result.df_residual)));
    result.f_p = FisherP(result.f, static_cast<double>(result.df_model), static_cast<double>(result.df_residual));
  }

  const Real variance = ssr / static_cast<Real>(result.df_residual);
  const Matrix inverse = InverseGram(qr, columns);
  AddCoefficients(scaled, inverse, solution, roots, variance, names, result);
  for (Eigen::Index i = 0; i < n; ++i) result.fitted.push_back(static_cast<double>(fitted[i] / roots[i]));
  const Vector singular =
      Eigen::JacobiSVD<Matrix>(
          qr.matrixR().topLeftCorner(columns, columns).template triangularView<Eigen::Upper>().toDenseMatrix())
          .singularValues();
  result.condition_number = static_cast<double>(singular[0] / singular[columns - 1]);
  return result;
}

}  // namespace

std::string ExplainDegenerate(std::span<const double> design, std::span<const std::string> names) {
  return ExplainDegenerateDesign(design, names);
}

std::string ExplainDegenerate(std::span<const long double> design, std::span<const std::string> names) {
  return ExplainDegenerateDesign(design, names);
}

OlsResult FitOls(std::span<const double> design, std::span<const double> y, std::span<const std::string> names,
                 std::span<const double> weights) {
  return FitDesign(design, y, names, weights);
}

OlsResult FitOls(std::span<const long double> design, std::span<const long double> y,
                 std::span<const std::string> names, std::span<const double> weights) {
  return FitDesign(design, y, names, weights);
}

Covariance CovarianceOf(std::span<const double> jacobian, size_t parameters, double sigma2) {
  Covariance covariance;
  covariance.values.assign(parameters * parameters, kUnset);
  covariance.is_identified.assign(parameters, true);
  const ScaledDesign scaled = Scale(jacobian, parameters);
  const auto qr = Factor(scaled.columns);
  // Parameters that take part in a null direction of J are not identified; the others are estimated all the same.
  std::vector<size_t> kept;
  if (qr.rank() < static_cast<Eigen::Index>(parameters)) {
    const Eigen::JacobiSVD<Matrix> svd(scaled.columns, Eigen::ComputeThinU | Eigen::ComputeThinV);
    for (Eigen::Index direction = qr.rank(); direction < svd.matrixV().cols(); ++direction) {
      for (size_t j = 0; j < parameters; ++j) {
        if (std::fabs(svd.matrixV()(static_cast<Eigen::Index>(j), direction)) > 1e-6L)
          covariance.is_identified[j] = false;
      }
    }
  }
  for (size_t j = 0; j < parameters; ++j) {
    if (scaled.lengths[static_cast<Eigen::Index>(j)] == 0) covariance.is_identified[j] = false;
    if (covariance.is_identified[j]) kept.push_back(j);
  }
  if (kept.empty()) return covariance;
  Matrix columns(scaled.columns.rows(), static_cast<Eigen::Index>(kept.size()));
  for (size_t i = 0; i < kept.size(); ++i) {
    columns.col(static_cast<Eigen::Index>(i)) = scaled.columns.col(static_cast<Eigen::Index>(kept[i]));
  }
  const Matrix inverse = InverseGram(Factor(columns), columns.cols());
  for (size_t i = 0; i < kept.size(); ++i) {
    for (size_t j = 0; j < kept.size(); ++j) {
      const Real scale =
          scaled.lengths[static_cast<Eigen::Index>(kept[i])] * scaled.lengths[static_cast<Eigen::Index>(kept[j])];
      covariance.values[kept[i] * parameters + kept[j]] = static_cast<double>(
          static_cast<Real>(sigma2) * inverse(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) / scale);
    }
  }
  return covariance;
}

}  // namespace bitlaw
