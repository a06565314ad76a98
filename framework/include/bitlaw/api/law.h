#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

struct BITLAW_EXPORT LawParameter {
  std::string name;
  std::string unit;  ///< "" for exponents.
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  double start = std::numeric_limits<double>::quiet_NaN();  ///< NaN: the fit finds one.
  double published = std::numeric_limits<double>::quiet_NaN();  ///< The value its source prints; NaN: none.
};

/// How a law's parameters are found from rows. Published coefficients belong to a procedure, not to a formula alone:
/// the same law fitted by another one has others.
///
///   residual   r = f - y (kResponse) or ln f - ln y (kLog); for kBinomial the signed root of a row's deviance.
///   minimized  kSquares: sum r^2.  kHuber: sum h(r), h(r) = r^2 / 2 up to |r| = delta, delta (|r| - delta / 2) beyond.
///              kHuberLikelihood: the negative log likelihood of a Huber density with free scale s,
///              sum h(r / s) + n ln s (delta is in units of s).
///              kBinomial: the deviance of the counts correct/total, p = chance + (1 - chance) acc_adj.
struct BITLAW_EXPORT FitProcedure {
  enum class Loss { kSquares, kHuber, kHuberLikelihood, kBinomial };
  enum class Space { kResponse, kLog };
  Loss loss = Loss::kSquares;
  Space space = Space::kResponse;
  double delta = 1e-3;
  bool operator==(const FitProcedure&) const = default;
};

/// The linear form of a law, as it stands or after a logarithm:
///
///     response    = offset(x) + sum_j coefficient_j * feature_j(x)      (of_log = false)
///     ln response = offset(x) + sum_j coefficient_j * feature_j(x)      (of_log = true)
///
/// For A * N^alpha * log2(B)^beta: of_log, features {1, ln N, ln log2 B}, coefficients {ln A, alpha, beta}, offset 0.
struct BITLAW_EXPORT LinearForm {
  struct Column {
    std::string name;       ///< "log(log2(B))"; the intercept is "1".
    size_t parameter = 0;   ///< Index of the law's parameter that this coefficient gives.
    bool is_log = false;    ///< coefficient = ln(parameter): the amplitude.
  };
  bool of_log = true;
  std::vector<Column> columns;  ///< One a parameter.
};

/// A functional form: response = f(x; theta), with theta the parameters and x the covariates of one row.
///
/// The response of an observation is itself an expression of its columns (for the four-factor law,
/// -log(acc_adj)); the fit applies it before it calls the law.
/// Threads: const calls are safe from several threads and allocate nothing.
class BITLAW_EXPORT Law {
 public:
  virtual ~Law() = default;

  virtual const std::string& name() const = 0;
  virtual std::span<const LawParameter> parameters() const = 0;
  /// Whether its author left the parameters to be told from the columns by their names: reports then list them, and a
  /// table with a column of such a name is refused.
  virtual bool infers_parameters() const { return false; }
  /// Column names, in the order of x; or comparisons with a text ("quantizer == 'gptq'"), which are 1 or 0.
  virtual std::span<const std::string> covariates() const = 0;

  /// The response as an expression over table columns, e.g. "-log(acc_adj)".
  virtual const std::string& response() const = 0;

  /// f(x; theta). If `gradient` is not empty it has one slot a parameter and receives df/dtheta.
  /// A point outside the domain gives NaN, never an exception.
  virtual double Predict(std::span<const double> theta, std::span<const double> x,
                         std::span<double> gradient) const = 0;

  /// The linear form, if there is one; nullopt otherwise.
  virtual std::optional<LinearForm> linear_form() const { return std::nullopt; }
  /// Fills one value a column of linear_form() and returns the offset. Only called when there is a linear form.
  virtual double LinearFeatures(std::span<const double> x, std::span<double> features) const;

  /// The same in extended precision, for designs whose columns nearly cancel. Default: LinearFeatures().
  virtual long double LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const;

  /// How its parameters are to be found, beside what every law gets. Default: least squares in the response.
  virtual FitProcedure procedure() const { return {}; }

  virtual std::string formula_text() const = 0;
  virtual std::string citation() const { return ""; }
};

}  // namespace bitlaw
