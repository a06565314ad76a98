#include "fit/box/box_descent.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fit/box/box_step.h"

namespace bitlaw {

namespace {

// What a step gained of what was predicted, below which it is bent; before the curvature is there, any gain will do.
constexpr double kWellPredicted = 0.9;
constexpr int kMostBends = 2;
// Along an edge one small step may be one that the damping made small: so many in a row are convergence.
constexpr int kSmallSteps = 3;
// What a step gains of the objective, below which the sum does not resolve it.
constexpr double kRounding = 1e-14;

class Descender {
 public:
  Descender(const BoxProblem& problem, const BoxOptions& options)
      : problem_(problem),
        options_(options),
        n_(problem.function.residuals()),
        k_(problem.low.size()),
        is_square_(!std::isfinite(problem.knee)) {}
  BoxOutcome Run(std::span<double> x);

 private:
  struct Point {
    std::vector<double> x, residuals, jacobian;
    double value = 0;
  };
  double times(size_t i) const { return problem_.times.empty() ? 1 : problem_.times[i]; }
  double Loss(double r) const {
    const double size = std::fabs(r);
    return size <= problem_.knee ? 0.5 * r * r : problem_.knee * (size - 0.5 * problem_.knee);
  }
  double Slope(double r, double knee) const { return std::clamp(r, -knee, knee); }
  bool Evaluate(Point& point) const;
  double UsualSize(const Point& point) const;
  // Slope of the objective, and the diagonal D.
  void Linearize(const Point& point);
  bool FindCurvature(const Point& point);
  // A step with this lambda; `predicted` is what the model without lambda gains by it.
  bool Step(const Point& point, double lambda, std::vector<double>& step, double& predicted) const;
  bool HuberStep(const Point& point, std::span<const long double> base, std::span<const double> low,
                 std::span<const double> high, std::vector<double>& step) const;
  // Second order correction (Fletcher 1982): the model solved again with the residuals' bend on the way to `there`, so
  // that rows within the knee stay there. `there` becomes that point, if it is lower; else false.
  bool Bend(const Point& here, double lambda, Point& there) const;
  // What a step is limited by and what it costs beside the rows: C + lambda D.
  struct Around {
    std::vector<double> low, high;
    std::vector<long double> base;
  };
  Around AroundOf(const Point& point, double lambda) const;
  // The point that a step leads to, within the bounds.
  void Move(const Point& here, std::span<const double> step, Point& there) const;
  double CurvedPart(std::span<const double> step) const;
  // Whether what the model would still move, damped by nothing, is what rounding leaves of a law that fits exactly.
  bool IsAtRounding(const Point& point, std::vector<double>& step) const;

  // The parts of Run(): from here_, which changes with each step that is taken.
  enum class Next { kGoOn, kConverged, kFailed };
  Next Try();
  void Prepare();  // The model of the objective at here_.
  Next Damp();     // After a step that is refused.
  void Take();
  Next StepBelowRounding(double predicted, bool is_no_rise);

  const BoxProblem& problem_;
  const BoxOptions& options_;
  size_t n_, k_;
  bool is_square_;
  std::vector<long double> slope_, gram_;  // gram_ of squares only
  std::vector<double> diagonal_, steepest_, curvature_;
  bool has_curvature_ = false;
  Point here_, there_;
  std::vector<double> step_;
  double lambda_ = 1e-4, growth_ = 2, last_gain_ = std::numeric_limits<double>::infinity();
  bool is_new_ = true, wants_curvature_ = false, is_curvature_good_ = false;
  int iterations_ = 0, small_steps_ = 0;
};

bool Descender::Evaluate(Point& point) const {
  point.residuals.resize(n_);
  point.jacobian.resize(n_ * k_);
  if (!problem_.function.Evaluate(point.x, point.residuals.data(), point.jacobian.data())) return false;
  long double sum = 0;
  for (size_t i = 0; i < n_; ++i) sum += times(i) * Loss(point.residuals[i]);
  point.value = static_cast<double>(sum);
  return std::isfinite(point.value);
}

// The median of |r|; 0 for squares. A row within a tiny knee weighs as one of that size: by its own, the few that are
// within would damp every direction, that of the edge where they stay within too.
double Descender::UsualSize(const Point& point) const {
  if (is_square_) return 0;
  std::vector<double> sizes;
  for (const double r : point.residuals) sizes.push_back(std::fabs(r));
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  return *middle;
}

void Descender::Linearize(const Point& point) {
  slope_.assign(k_, 0);
  diagonal_.assign(k_, 0);
  gram_.assign(is_square_ ? k_ * k_ : 0, 0);
  const double usual = UsualSize(point);
  for (size_t i = 0; i < n_; ++i) {
    const double* g = point.jacobian.data() + i * k_;
    const double r = point.residuals[i], often = times(i), size = std::max(std::fabs(r), usual);
    const double psi = often * Slope(r, problem_.knee);
    const double weight = often * (size > problem_.knee ? problem_.knee / size : 1);
    for (size_t a = 0; a < k_; ++a) {
      slope_[a] += static_cast<long double>(psi) * g[a];
      diagonal_[a] += weight * g[a] * g[a];
    }
    if (!is_square_) continue;
    for (size_t a = 0; a < k_; ++a) {
      const long double left = static_cast<long double>(often) * g[a];
      for (size_t b = 0; b <= a; ++b) gram_[a * k_ + b] += left * g[b];
    }
  }
  for (size_t a = 0; a < k_ && is_square_; ++a) {
    for (size_t b = 0; b < a; ++b) gram_[b * k_ + a] = gram_[a * k_ + b];
  }
  steepest_.resize(k_, 0);
  for (size_t a = 0; a < k_; ++a) {
    steepest_[a] = std::max(steepest_[a], diagonal_[a]);
    diagonal_[a] = std::max(diagonal_[a], options_.damping_floor * steepest_[a]);
    if (!(diagonal_[a] > 0)) diagonal_[a] = 1;
  }
}

// sum times psi(r) r'' by differences of the slopes. False, which leaves none, where they cannot be taken.
bool Descender::FindCurvature(const Point& point) {
  curvature_.assign(k_ * k_, 0);
  has_curvature_ = false;
  Point beside;
  for (size_t j = 0; j < k_; ++j) {
    if (problem_.low[j] == problem_.high[j]) continue;
    beside.x = point.x;
    const double reach = std::sqrt(2 * point.value / diagonal_[j]);
    double h = 1e-6 * std::max(std::fabs(point.x[j]), std::min(reach, 1 + std::fabs(point.x[j])));
    if (!(h > 0)) h = 1e-9;
    if (point.x[j] + h > problem_.high[j]) h = -h;
    if (point.x[j] + h < problem_.low[j]) return false;
    beside.x[j] += h;
    h = beside.x[j] - point.x[j];
    if (!Evaluate(beside)) return false;
    for (size_t i = 0; i < n_; ++i) {
      const double psi = times(i) * Slope(point.residuals[i], problem_.knee) / h;
      if (psi == 0) continue;
      for (size_t a = 0; a < k_; ++a)
        curvature_[j * k_ + a] += psi * (beside.jacobian[i * k_ + a] - point.jacobian[i * k_ + a]);
    }
  }
  for (size_t a = 0; a < k_; ++a) {
    for (size_t b = 0; b < a; ++b)
      curvature_[a * k_ + b] = curvature_[b * k_ + a] = (curvature_[a * k_ + b] + curvature_[b * k_ + a]) / 2;
  }
  has_curvature_ = std::all_of(curvature_.begin(), curvature_.end(), [](double one) { return std::isfinite(one); });
  return has_curvature_;
}

double Descender::CurvedPart(std::span<const double> step) const {
  if (!has_curvature_) return 0;
  long double sum = 0;
  for (size_t a = 0; a < k_; ++a) {
    for (size_t b = 0; b < k_; ++b) sum += static_cast<long double>(step[a]) * curvature_[a * k_ + b] * step[b];
  }
  return static_cast<double>(sum / 2);
}

Descender::Around Descender::AroundOf(const Point& point, double lambda) const {
  Around around;
  for (size_t j = 0; j < k_; ++j) {
    around.low.push_back(problem_.low[j] - point.x[j]);
    around.high.push_back(problem_.high[j] - point.x[j]);
  }
  around.base.assign(k_ * k_, 0);
  for (size_t a = 0; a < k_; ++a) {
    for (size_t b = 0; b < k_; ++b) around.base[a * k_ + b] = has_curvature_ ? curvature_[a * k_ + b] : 0;
    around.base[a * k_ + a] += static_cast<long double>(lambda) * diagonal_[a];
  }
  return around;
}

bool Descender::Step(const Point& point, double lambda, std::vector<double>& step, double& predicted) const {
  const auto [low, high, base] = AroundOf(point, lambda);
  step.assign(k_, 0);
  if (is_square_) {
    std::vector<long double> hessian = gram_;
    for (size_t a = 0; a < k_ * k_; ++a) hessian[a] += base[a];
    if (!StepInBox(hessian, slope_, low, high, step)) return false;
    long double gain = 0;
    for (size_t a = 0; a < k_; ++a) {
      gain -= slope_[a] * step[a];
      for (size_t b = 0; b < k_; ++b) gain -= gram_[a * k_ + b] * step[a] * step[b] / 2;
    }
    predicted = static_cast<double>(gain) - CurvedPart(step);
    return true;
  }
  if (!HuberStep(point, base, low, high, step)) return false;
  // Row by row, so that what is gained is not lost in what stays.
  long double gain = 0;
  for (size_t i = 0; i < n_; ++i) {
    double moved = 0;
    for (size_t a = 0; a < k_; ++a) moved += point.jacobian[i * k_ + a] * step[a];
    gain += times(i) * (Loss(point.residuals[i]) - Loss(point.residuals[i] + moved));
  }
  predicted = static_cast<double>(gain) - CurvedPart(step);
  return true;
}

// Newton's method with an exact search along each direction on the piecewise quadratic, its knee brought down from the
// size of the residuals where there are few within it (Madsen and Nielsen 1990).
bool Descender::HuberStep(const Point& point, std::span<const long double> base, std::span<const double> low,
                          std::span<const double> high, std::vector<double>& step) const {
  std::vector<double> z = point.residuals, along(n_), direction(k_), down(k_), up(k_);
  std::vector<long double> hessian(k_ * k_), slope(k_), floor(k_);
  // Huber's psi of each row as it was summed last, and the sum of times psi g.
  std::vector<double> psi(n_, 0);
  std::vector<long double> rows_slope(k_, 0);
  std::vector<KneeRow> rows;
  rows.reserve(n_);
  double largest = 0;
  for (const double r : z) largest = std::max(largest, std::fabs(r));
  // What no row within the knee determines is left where it is.
  for (size_t a = 0; a < k_; ++a) floor[a] = 1e-13L * diagonal_[a];
  // Near the solution the knee as it is needs a few steps; otherwise from the size of the residuals down.
  bool is_direct = true;
  double knee = problem_.knee;
  for (;;) {
    const bool is_last = knee <= problem_.knee;
    std::fill(psi.begin(), psi.end(), 0.0);
    std::fill(rows_slope.begin(), rows_slope.end(), 0.0L);
    const int rounds = is_direct ? 10 : is_last ? 60 : 4;
    bool is_done = false;
    for (int round = 0; round < rounds && !is_done; ++round) {
      std::copy(base.begin(), base.end(), hessian.begin());
      for (size_t i = 0; i < n_; ++i) {
        const double* g = point.jacobian.data() + i * k_;
        // Of most rows the slope is what it was: they are beyond the knee, and on the same side.
        if (const double now = Slope(z[i], knee); now != psi[i]) {
          const long double change = static_cast<long double>(times(i)) * (static_cast<long double>(now) - psi[i]);
          for (size_t a = 0; a < k_; ++a) rows_slope[a] += change * g[a];
          psi[i] = now;
        }
        if (std::fabs(z[i]) > knee) continue;
        for (size_t a = 0; a < k_; ++a) {
          const long double left = static_cast<long double>(times(i)) * g[a];
          for (size_t b = 0; b <= a; ++b) hessian[a * k_ + b] += left * g[b];
        }
      }
      for (size_t a = 0; a < k_; ++a) {
        hessian[a * k_ + a] += floor[a];
        for (size_t b = 0; b < a; ++b) hessian[b * k_ + a] = hessian[a * k_ + b];
        slope[a] = rows_slope[a];
        for (size_t b = 0; b < k_; ++b) slope[a] += base[a * k_ + b] * step[b];
        down[a] = std::min(0.0, low[a] - step[a]);
        up[a] = std::max(0.0, high[a] - step[a]);
      }
      if (!StepInBox(hessian, slope, down, up, direction)) return false;
      long double initial = 0, curved = 0;
      for (size_t a = 0; a < k_; ++a) {
        initial += slope[a] * direction[a];
        for (size_t b = 0; b < k_; ++b) curved += base[a * k_ + b] * direction[a] * direction[b];
      }
      if (!(initial < 0)) {
        is_done = true;
        break;
      }
      for (size_t i = 0; i < n_; ++i) {
        along[i] = 0;
        for (size_t a = 0; a < k_; ++a) along[i] += point.jacobian[i * k_ + a] * direction[a];
      }
      rows.clear();
      for (size_t i = 0; i < n_; ++i) {
        // The slope of a row that stays beyond one end of the knee is the same all along.
        const double end = z[i] + along[i];
        if ((z[i] >= knee && end >= knee) || (z[i] <= -knee && end <= -knee)) continue;
        rows.push_back({z[i], along[i], times(i) * along[i], psi[i]});
      }
      const double share = ShareToLowest(rows, knee, initial, curved);
      double moved = 0, size = 0;
      for (size_t a = 0; a < k_; ++a) {
        const double before = step[a];
        step[a] = share == 1 && direction[a] == down[a] && std::isfinite(low[a])   ? std::max(low[a], before + down[a])
                  : share == 1 && direction[a] == up[a] && std::isfinite(high[a]) ? std::min(high[a], before + up[a])
                                                                                   : before + share * direction[a];
        step[a] = std::clamp(step[a], low[a], high[a]);
        moved = std::max(moved, std::fabs(step[a] - before) * std::sqrt(diagonal_[a]));
        size = std::max(size, std::fabs(step[a]) * std::sqrt(diagonal_[a]));
      }
      for (size_t i = 0; i < n_; ++i) {
        z[i] = point.residuals[i];
        for (size_t a = 0; a < k_; ++a) z[i] += point.jacobian[i * k_ + a] * step[a];
      }
      is_done = moved <= (is_last ? 1e-12 : 1e-2) * size;
    }
    if (is_direct && !is_done) {
      std::fill(step.begin(), step.end(), 0.0);
      z = point.residuals;
      knee = std::max(problem_.knee, largest / 4);
      is_direct = false;
      continue;
    }
    if (is_last) return true;
    knee = std::max(problem_.knee, knee / 8);
  }
}

void Descender::Move(const Point& here, std::span<const double> step, Point& there) const {
  there.x = here.x;
  for (size_t j = 0; j < k_; ++j) {
    const double low = problem_.low[j], high = problem_.high[j];
    there.x[j] = std::clamp(here.x[j] + step[j], low, high);
    // A step to the bound ends on it, whatever a sum rounds to.
    if (std::isfinite(low) && step[j] < 0 && step[j] <= low - here.x[j]) there.x[j] = low;
    if (std::isfinite(high) && step[j] > 0 && step[j] >= high - here.x[j]) there.x[j] = high;
  }
}

bool Descender::Bend(const Point& here, double lambda, Point& there) const {
  Point bent = here;
  bool has_left = false;
  for (size_t i = 0; i < n_; ++i) {
    double moved = 0;
    for (size_t a = 0; a < k_; ++a) moved += here.jacobian[i * k_ + a] * (there.x[a] - here.x[a]);
    has_left |= std::fabs(here.residuals[i] + moved) <= problem_.knee && std::fabs(there.residuals[i]) > problem_.knee;
    bent.residuals[i] = there.residuals[i] - moved;
  }
  if (!has_left) return false;
  const auto [low, high, base] = AroundOf(here, lambda);
  std::vector<double> step(k_, 0);
  if (!HuberStep(bent, base, low, high, step)) return false;
  Point other;
  Move(here, step, other);
  if (!Evaluate(other) || !(other.value < there.value)) return false;
  std::swap(other, there);
  return true;
}

bool Descender::IsAtRounding(const Point& point, std::vector<double>& step) const {
  double predicted = 0;
  if (!Step(point, 1e-12, step, predicted)) return false;
  for (size_t j = 0; j < k_; ++j) {
    if (std::fabs(step[j]) > 1e-6 * std::fabs(point.x[j]) + 1e-9) return false;
  }
  return true;
}

void Descender::Prepare() {
  Linearize(here_);
  // Finding it costs as much as k steps, so it is kept as long as it tells well what a step gains.
  if (!wants_curvature_ || !problem_.has_exact_slopes) {
    has_curvature_ = false;
  } else if (!has_curvature_ || !is_curvature_good_) {
    FindCurvature(here_);
  }
  is_new_ = false;
}

Descender::Next Descender::Damp() {
  lambda_ = std::max(lambda_ * growth_, 1e-12);
  growth_ *= 2;
  return lambda_ < 1e30 ? Next::kGoOn : Next::kFailed;
}

void Descender::Take() {
  std::swap(here_, there_);
  ++iterations_;
  is_new_ = true;
}

Descender::Next Descender::StepBelowRounding(double predicted, bool is_no_rise) {
  if (lambda_ > 1e-2 && is_no_rise) {
    // So little, because it is damped.
    Take();
    lambda_ /= 10;
    return Next::kGoOn;
  }
  // Steps are taken as long as they shrink.
  if (!is_no_rise || !(predicted < last_gain_)) return Next::kConverged;
  const double share = predicted / here_.value;
  const bool is_done = share <= 1e-24 || predicted > last_gain_ / 4;
  last_gain_ = predicted;
  Take();
  lambda_ = std::min(lambda_ / 10, 1e-6);
  wants_curvature_ = true;
  is_curvature_good_ = false;
  return (share <= options_.tolerance && options_.tolerance > kRounding) || is_done ? Next::kConverged : Next::kGoOn;
}

Descender::Next Descender::Try() {
  if (is_new_) Prepare();
  double predicted = 0;
  if (!Step(here_, lambda_, step_, predicted)) return Damp();
  if (!(predicted > 0)) {
    // No way down within the bounds, or none that sums still resolve; damped, it may be the damping.
    if (lambda_ <= 1e-2) return Next::kConverged;
    lambda_ /= 10;
    return Next::kGoOn;
  }
  const double share = predicted / here_.value;
  Move(here_, step_, there_);
  const bool is_finite = Evaluate(there_);
  // Edges are where a row is within the knee. They bend away from a straight step, which leaves a small knee at once.
  for (int bend = 0; bend < kMostBends && is_finite && !is_square_; ++bend) {
    const double gain = here_.value - there_.value;
    if (gain >= (wants_curvature_ ? kWellPredicted : 0) * predicted || !Bend(here_, lambda_, there_)) break;
  }
  const double gained = is_finite ? here_.value - there_.value : -std::numeric_limits<double>::infinity();
  const bool is_no_rise = is_finite && gained >= -1e-12 * here_.value;
  if (share < kRounding && (is_no_rise || lambda_ <= 1e-2 || lambda_ > 1e12)) {
    return StepBelowRounding(predicted, is_no_rise);
  }
  const double ratio = gained / predicted;
  if (!(ratio > 1e-4)) return Damp();
  const bool is_small = share <= options_.tolerance && lambda_ <= 1e-2;
  wants_curvature_ = gained < 0.01 * here_.value;
  is_curvature_good_ = !is_square_ && std::fabs(ratio - 1) < 0.02;
  Take();
  growth_ = 2;
  lambda_ = std::max(lambda_ * std::max(1.0 / 9, 1 - std::pow(2 * ratio - 1, 3)), 1e-16);
  small_steps_ = is_small ? small_steps_ + 1 : 0;
  return small_steps_ >= (is_square_ ? 1 : kSmallSteps) ? Next::kConverged : Next::kGoOn;
}

BoxOutcome Descender::Run(std::span<double> x) {
  BoxOutcome outcome;
  here_.x.assign(x.begin(), x.end());
  if (!Evaluate(here_)) {
    outcome.status = "failed: the law has no finite value or slope there";
    return outcome;
  }
  Next next = Next::kGoOn;
  // Steps that are refused cost an evaluation, but an iteration is one that is taken.
  for (int tries = 0; next == Next::kGoOn && iterations_ < options_.max_iterations && tries < 8 * options_.max_iterations;
       ++tries) {
    next = here_.value == 0 ? Next::kConverged : Try();
  }
  outcome.converged = next == Next::kConverged || (next == Next::kFailed && IsAtRounding(here_, step_));
  outcome.status = outcome.converged        ? "converged"
                   : next == Next::kFailed ? "failed: no step leads down"
                                            : fmt::format("not converged after {} iterations", options_.max_iterations);
  outcome.iterations = iterations_;
  outcome.value = here_.value;
  std::copy(here_.x.begin(), here_.x.end(), x.begin());
  return outcome;
}

}  // namespace

BoxOutcome DescendInBox(const BoxProblem& problem, const BoxOptions& options, std::span<double> x) {
  return Descender(problem, options).Run(x);
}

}  // namespace bitlaw
