#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/table/unset.h"

namespace bitlaw {

/// What is said of any fit by least squares with Gaussian residuals.
///   n rows, k parameters, SSR = sum of squared residuals, TSS = total sum of squares.
struct BITLAW_EXPORT FitQuality {
  size_t rows = 0;        ///< n
  size_t parameters = 0;  ///< k
  double ssr = kUnset;
  double r2 = kUnset;                 ///< 1 - SSR / TSS
  double adjusted_r2 = kUnset;        ///< 1 - (1 - R^2) (n - 1) / (n - k)
  double residual_variance = kUnset;  ///< SSR / (n - k)
  double log_likelihood = kUnset;     ///< -n/2 (ln(2 pi SSR / n) + 1)
  double aic = kUnset;                ///< 2 k - 2 ln L. k counts the law's parameters, not the variance (statsmodels).
  /// 2 K n / (n - K - 1) - 2 ln L, K = k + 1: with the variance, as Hurvich and Tsai (1989) derive it and R's AICcmodavg
  /// and MuMIn have it; its count matters here, where in AIC it is the same for all laws. NaN if n <= K + 1.
  double aicc = kUnset;
  double bic = kUnset;                ///< k ln n - 2 ln L
};

/// Fills everything from n, k, SSR and TSS.
BITLAW_EXPORT FitQuality QualityOf(size_t rows, size_t parameters, double ssr, double tss);

/// Adds sum ln w / 2 to the log likelihood of a weighted fit, and what follows from it.
BITLAW_EXPORT void AddLogWeights(FitQuality& quality, std::span<const double> weights);

struct BITLAW_EXPORT OlsCoefficient {
  std::string name;
  double value = kUnset;
  double standard_error = kUnset;
  double t = kUnset;    ///< value / standard_error
  double p = kUnset;    ///< Two-sided, Student's t with n - k degrees of freedom.
  double vif = kUnset;  ///< Variance inflation 1 / (1 - R_j^2) of the column on the others; NaN for a constant column.
};

/// Ordinary least squares of y on the columns of a design.
///
/// If the columns span a constant (an intercept, or columns that add up to one), TSS is taken about the mean of y and
/// the constant is not counted in F; otherwise TSS is about zero and adj. R^2 = 1 - (1 - R^2) n / (n - k). These are
/// the conventions of statsmodels and of R's summary.lm.
struct BITLAW_EXPORT OlsResult {
  FitQuality quality;
  std::vector<OlsCoefficient> coefficients;
  std::vector<double> covariance;  ///< [k, k]
  std::vector<double> fitted;      ///< [n]
  bool has_constant = false;
  size_t df_model = 0;     ///< k - 1 with a constant, k without.
  size_t df_residual = 0;  ///< n - k
  double f = kUnset;       ///< ((TSS - SSR) / df_model) / (SSR / df_residual); NaN if df_model is 0.
  double f_p = kUnset;
  double condition_number = kUnset;  ///< Of the design with columns scaled to unit length (Belsley, Kuh, Welsch 1980).
};

/// Why these columns cannot be fitted: fewer rows than columns + 1, a column that is zero, columns that are linear
/// combinations of others (written out). Empty exactly when FitOls() can.
///   design [n, k] row by row; names [k].
BITLAW_EXPORT std::string ExplainDegenerate(std::span<const double> design, std::span<const std::string> names);
BITLAW_EXPORT std::string ExplainDegenerate(std::span<const long double> design, std::span<const std::string> names);

/// Solves by column-pivoted Householder QR in extended precision, so that badly conditioned designs keep their digits.
///   design [n, k] row by row; y [n]; names [k]; weights [n], positive, or empty: all 1.
/// With weights, sum w r^2 is minimized, TSS is about the weighted mean, and ln L = -n/2 (ln(2 pi SSR / n) + 1) + sum
/// ln w / 2: weights are taken to be proportional to 1 / variance (statsmodels WLS). Error(kNumerical) with
/// ExplainDegenerate()'s text. Values that are not finite are an InternalError.
BITLAW_EXPORT OlsResult FitOls(std::span<const double> design, std::span<const double> y,
                               std::span<const std::string> names, std::span<const double> weights = {});
BITLAW_EXPORT OlsResult FitOls(std::span<const long double> design, std::span<const long double> y,
                               std::span<const std::string> names, std::span<const double> weights = {});

/// sigma2 (J^T J)^-1 for J [n, k] row by row, and which parameters J cannot tell apart: their rows and columns are NaN.
struct BITLAW_EXPORT Covariance {
  std::vector<double> values;       ///< [k, k]
  std::vector<bool> is_identified;  ///< [k]
};
BITLAW_EXPORT Covariance CovarianceOf(std::span<const double> jacobian, size_t parameters, double sigma2);

/// Two-sided p-value of Student's t, and upper tails of F and chi squared. NaN in, NaN out.
BITLAW_EXPORT double StudentP(double t, double degrees_of_freedom);
/// t with P(|T| < t) = level.
BITLAW_EXPORT double StudentQuantile(double level, double degrees_of_freedom);
BITLAW_EXPORT double ChiSquaredP(double chi_squared, double degrees_of_freedom);
/// The standard normal distribution and its inverse.
BITLAW_EXPORT double NormalCdf(double z);
BITLAW_EXPORT double NormalQuantile(double p);
BITLAW_EXPORT double FisherP(double f, double numerator_df, double denominator_df);
/// P(X >= k) of X ~ Binomial(n, 1/2): 1 for k <= 0, 0 for k > n.
BITLAW_EXPORT double CoinTail(int64_t k, int64_t n);

/// p-values of one family, adjusted by Holm's step-down procedure: the i-th smallest times the number of tests that are
/// not smaller, made monotone, at most 1. NaN stays NaN and is no member of the family.
/// Source: Holm 1979, Scandinavian Journal of Statistics 6(2).
BITLAW_EXPORT std::vector<double> AdjustedByHolm(std::span<const double> p);

}  // namespace bitlaw
