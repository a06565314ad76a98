#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Rows for a fit: covariates [n, c] row by row, in the order of the law's covariates(), and the response [n].
struct BITLAW_EXPORT FitRows {
  std::vector<double> x;
  std::vector<double> y;        ///< NaN where only the counts say something (accuracy at or below chance).
  std::vector<double> weights;  ///< [n], proportional to 1 / variance of the response; empty: all 1.
  /// Counts [n] each, or empty: correct of total items, of which a guess gets the fraction `chance`.
  std::vector<double> correct, total, chance;

  size_t size() const { return y.size(); }
  std::span<const double> row(size_t i, size_t covariates) const { return {x.data() + i * covariates, covariates}; }
  double weight(size_t i) const { return weights.empty() ? 1 : weights[i]; }
  /// Of ln y: the variance of the logarithm is that of the response over y^2.
  double log_weight(size_t i) const { return weights.empty() ? 1 : weights[i] * y[i] * y[i]; }
};

}  // namespace bitlaw
