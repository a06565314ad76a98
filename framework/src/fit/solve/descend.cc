#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "fit/box/box_descent.h"
#include "fit/solve/objective.h"
#include "fit/solve/projected_residuals.h"

namespace bitlaw {

namespace {

// The rows of an objective that count at least once.
class UsedRows {
 public:
  UsedRows(const Objective& objective, std::span<const double> multiplicity) {
    for (size_t i = 0; i < objective.rows().size(); ++i) {
      const double times = multiplicity.empty() ? 1 : multiplicity[i];
      if (times == 0) continue;
      rows.push_back(i);
      this->times.push_back(times);
    }
  }
  std::vector<size_t> rows;
  std::vector<double> times;
};

class RowResiduals final : public ResidualFunction {
 public:
  RowResiduals(const Objective& objective, std::span<const size_t> rows) : objective_(objective), rows_(rows) {}
  size_t residuals() const override { return rows_.size(); }
  bool Evaluate(std::span<const double> x, double* residuals, double* jacobian) const override {
    const size_t k = x.size();
    for (size_t at = 0; at < rows_.size(); ++at) {
      const std::span<double> gradient(jacobian + at * k, k);
      residuals[at] = objective_.Residual(x, rows_[at], gradient);
      if (!std::isfinite(residuals[at])) return false;
      for (const double slope : gradient) {
        if (!std::isfinite(slope)) return false;
      }
    }
    return true;
  }

 private:
  const Objective& objective_;
  std::span<const size_t> rows_;
};

struct Bounds {
  explicit Bounds(const Law& law) {
    for (const LawParameter& parameter : law.parameters()) {
      low.push_back(parameter.min);
      high.push_back(parameter.max);
    }
  }
  std::vector<double> low, high;
};

constexpr double kFine = 1e-16, kRough = 1e-10;
// Share of a Huber's sum that a refit to a resample may leave: of n rows about sqrt(2 n kResample) standard errors,
// below 0.005 up to n = 10,000. A digit more costs a fifth of the steps, and a hundred times as many on a flat edge.
constexpr double kResample = 1e-9;

void Take(const BoxOutcome& outcome, Descent& descent) {
  descent.iterations += outcome.iterations;
  descent.converged = outcome.converged;
  descent.status = outcome.status;
}

// Over the parameters that are not linear, the others solved for. Leaves theta where it was if that leads nowhere.
void DescendProjected(const Objective& objective, std::span<const double> multiplicity, const DescentOptions& options,
                      Descent& descent) {
  const ProjectedResiduals residuals(objective, multiplicity, options.linear, descent.theta);
  std::vector<double> free, low, high, theta = descent.theta;
  for (const size_t j : residuals.free()) {
    free.push_back(theta[j]);
    low.push_back(objective.law().parameters()[j].min);
    high.push_back(objective.law().parameters()[j].max);
  }
  const double before = objective.Value(descent.theta, multiplicity);
  if (!free.empty()) {
    const BoxProblem problem = {residuals, {}, low, high, std::numeric_limits<double>::infinity(), false};
    // Not to the last digits: the descent over all parameters does that, and counts.
    Take(DescendInBox(problem, {options.max_iterations, kRough}, free), descent);
  }
  if (residuals.Complete(free, theta) && objective.Value(theta, multiplicity) < before) descent.theta = theta;
}

void DescendSquares(const Objective& objective, std::span<const double> multiplicity, const DescentOptions& options,
                    Descent& descent) {
  const bool is_linear_there = objective.procedure().loss == FitProcedure::Loss::kSquares &&
                               objective.procedure().space == FitProcedure::Space::kResponse;
  if (!options.linear.empty() && is_linear_there) DescendProjected(objective, multiplicity, options, descent);
  const UsedRows used(objective, multiplicity);
  const RowResiduals residuals(objective, used.rows);
  const Bounds bounds(objective.law());
  BoxProblem problem = {residuals, used.times, bounds.low, bounds.high};
  // Of many rows a pass costs more than the steps it saves.
  problem.has_exact_slopes = used.rows.size() <= 50000;
  const BoxOptions box = {options.max_iterations, options.refine ? kFine : kRough};
  std::vector<double> other = descent.theta;
  const BoxOutcome first = DescendInBox(problem, box, descent.theta);
  Take(first, descent);
  if (!options.is_far) return;
  BoxOptions steady = box;
  steady.damping_floor = 1;
  const BoxOutcome second = DescendInBox(problem, steady, other);
  // A rounding error is no reason for another end.
  if (second.converged >= first.converged && (second.value < first.value * (1 - 1e-9) || !first.converged)) {
    descent.theta = other;
    Take(second, descent);
  }
}

void DescendHuber(const Objective& objective, double knee, std::span<const double> multiplicity, double tolerance,
                  const DescentOptions& options, Descent& descent) {
  const UsedRows used(objective, multiplicity);
  const RowResiduals residuals(objective, used.rows);
  const Bounds bounds(objective.law());
  const BoxProblem problem = {residuals, used.times, bounds.low, bounds.high, knee};
  Take(DescendInBox(problem, {options.max_iterations, tolerance}, descent.theta), descent);
}

// Least squares of the same residuals lead near. A knee far below them makes the objective nearly a sum of absolute
// values, with an edge wherever a row's residual is 0: it is brought down in steps, each solution starting the next.
// From the solution of nearly the same problem that begins at a smaller knee.
void ApproachHuber(const Objective& objective, double knee, std::span<const double> multiplicity,
                   const DescentOptions& options, Descent& descent) {
  const auto largest = [&] {
    double size = 0;
    for (size_t i = 0; i < objective.rows().size(); ++i) {
      if (multiplicity.empty() || multiplicity[i] != 0)
        size = std::max(size, std::fabs(objective.Residual(descent.theta, i, {})));
    }
    return size;
  };
  DescentOptions rough = options;
  rough.max_iterations = std::min(options.max_iterations, 50);
  if (!options.is_near)
    DescendHuber(objective, std::numeric_limits<double>::infinity(), multiplicity, 1e-3, rough, descent);
  for (double one = largest() / (options.is_near ? 100 : 10); one > knee * 1.0001; one /= 10)
    DescendHuber(objective, one, multiplicity, 1e-4, rough, descent);
}

}  // namespace

Descent Descend(const Objective& objective, std::span<const double> start, std::span<const double> multiplicity,
                const DescentOptions& options) {
  Descent descent;
  descent.theta.assign(start.begin(), start.end());
  if (!std::isfinite(objective.Value(start, multiplicity))) {
    descent.value = std::numeric_limits<double>::infinity();
    descent.status = "failed: the law has no finite value there";
    return descent;
  }
  const FitProcedure& procedure = objective.procedure();
  const double tolerance = options.refine ? kFine : options.is_near ? kResample : kRough;
  switch (procedure.loss) {
    case FitProcedure::Loss::kSquares:
    case FitProcedure::Loss::kBinomial: DescendSquares(objective, multiplicity, options, descent); break;
    case FitProcedure::Loss::kHuber:
      ApproachHuber(objective, procedure.delta, multiplicity, options, descent);
      DescendHuber(objective, procedure.delta, multiplicity, tolerance, options, descent);
      break;
    case FitProcedure::Loss::kHuberLikelihood:
      // Given the scale s it is a Huber fit with its knee at delta s; given theta the scale has one best value.
      for (int round = 0; round < 50; ++round) {
        const double scale = objective.BestScale(descent.theta, multiplicity);
        if (!(scale > 0)) break;
        const std::vector<double> before = descent.theta;
        if (round == 0) ApproachHuber(objective, procedure.delta * scale, multiplicity, options, descent);
        DescendHuber(objective, procedure.delta * scale, multiplicity, tolerance, options, descent);
        double moved = 0;
        for (size_t j = 0; j < before.size(); ++j) {
          moved = std::max(moved, std::fabs(descent.theta[j] - before[j]) / (1e-12 + std::fabs(before[j])));
        }
        if (moved < (options.refine ? 1e-9 : 1e-6)) break;
        // What is left of the scale moves the parameters by about that share of their errors.
        if (options.is_near && std::fabs(objective.BestScale(descent.theta, multiplicity) / scale - 1) < 1e-4) break;
      }
      descent.scale = objective.BestScale(descent.theta, multiplicity);
      break;
  }
  descent.value = objective.Value(descent.theta, multiplicity);
  return descent;
}

}  // namespace bitlaw
