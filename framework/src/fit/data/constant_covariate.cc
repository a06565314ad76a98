#include "fit/data/constant_covariate.h"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <vector>

#include "bitlaw/base/rng.h"
#include "fit/table/baseline.h"
#include "records/table.h"

namespace bitlaw {
namespace {

constexpr int kDraws = 8;  // Points theta at which slopes are looked at.

bool IsConstant(const FitRows& rows, size_t covariates, size_t j) {
  for (size_t i = 1; i < rows.size(); ++i)
    if (rows.x[i * covariates + j] != rows.x[j]) return false;
  return true;
}

std::vector<double> Draw(const Law& law, Rng& rng) {
  std::vector<double> theta;
  for (const LawParameter& parameter : law.parameters()) {
    const bool has_min = std::isfinite(parameter.min), has_max = std::isfinite(parameter.max);
    const double u = 0.1 + 0.8 * rng.Uniform();
    theta.push_back(has_min && has_max ? parameter.min + u * (parameter.max - parameter.min)
                    : has_min          ? parameter.min + u
                    : has_max          ? parameter.max - u
                                       : u);
  }
  return theta;
}

// Columns of unit length; zero columns stay.
Eigen::Index RankOf(Eigen::MatrixXd columns) {
  for (Eigen::Index j = 0; j < columns.cols(); ++j) {
    const double largest = columns.col(j).cwiseAbs().maxCoeff();
    if (largest > 0) columns.col(j) /= largest;
    if (const double length = columns.col(j).norm(); length > 0) columns.col(j) /= length;
  }
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr;
  qr.setThreshold(1e-10);
  return qr.compute(columns).rank();
}

// The largest rank of df/dtheta [rows, parameters] over a few points, or of the design where the law has a linear form:
// how many parameters rows like these can tell apart. 0 where no point has finite slopes.
Eigen::Index RankOfSlopes(const Law& law, const FitRows& rows) {
  const size_t c = law.covariates().size(), k = law.parameters().size();
  const bool is_linear = law.linear_form().has_value();
  Eigen::Index rank = 0;
  Rng rng(1);
  for (int draw = 0; draw < (is_linear ? 1 : kDraws) && rank < static_cast<Eigen::Index>(k); ++draw) {
    const std::vector<double> theta = Draw(law, rng);
    Eigen::MatrixXd slopes(rows.size(), k);
    std::vector<double> slope(k);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (is_linear) {
        law.LinearFeatures(rows.row(i, c), slope);
      } else {
        law.Predict(theta, rows.row(i, c), slope);
      }
      for (size_t j = 0; j < k; ++j) slopes(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = slope[j];
    }
    if (slopes.allFinite()) rank = std::max(rank, RankOf(std::move(slopes)));
  }
  return rank;
}

}  // namespace

std::string ExplainConstantCovariate(const Law& law, const FitRows& rows) {
  const size_t c = law.covariates().size();
  if (rows.size() == 0) return "";
  std::vector<size_t> constant;
  for (size_t j = 0; j < c; ++j)
    if (!IsAnchorColumn(law.covariates()[j]) && IsConstant(rows, c, j)) constant.push_back(j);
  if (constant.empty()) return "";
  bool any_varies = false;
  for (size_t j = 0; j < c; ++j) any_varies = any_varies || !IsConstant(rows, c, j);
  const Eigen::Index rank = RankOfSlopes(law, rows);
  // Rows at a single point say nothing of a form, though they may give it one parameter.
  if (any_varies && rank == static_cast<Eigen::Index>(law.parameters().size())) return "";
  // The one whose variation would tell one parameter more.
  const auto to_blame = std::find_if(constant.begin(), constant.end(), [&](size_t j) {
    FitRows varied = rows;
    const double step = rows.x[j] == 0 ? 0.1 : rows.x[j] / 4;
    for (size_t i = 0; i < rows.size(); ++i) varied.x[i * c + j] += step * static_cast<double>(i % 3);
    return RankOfSlopes(law, varied) > rank;
  });
  const size_t j = to_blame != constant.end() ? *to_blame : constant.front();
  return fmt::format(
      "{} does not vary: it is {} in {}, so nothing can be said about how the response depends on it. Use a law "
      "without {}, or add rows with another value",
      law.covariates()[j], ShortestText(rows.x[j]),
      rows.size() == 1 ? "the only row" : fmt::format("all {} rows", rows.size()), law.covariates()[j]);
}

}  // namespace bitlaw
