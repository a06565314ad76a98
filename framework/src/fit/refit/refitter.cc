#include "fit/refit/refitter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"
#include "fit/refit/log_linear_refit.h"
#include "fit/solve/objective.h"

namespace bitlaw {

namespace {

// How far an iteration goes that starts at the solution on all rows.
const DescentOptions kRough = {.max_iterations = 200, .refine = false, .is_near = true};

// Number of correct answers among n, each with probability p. Beyond a variance of 50 a rounded normal, which differs
// from the binomial by less than what other sources of error leave visible.
double DrawBinomial(Rng& rng, double n, double p) {
  const double variance = n * p * (1 - p);
  if (variance <= 0) return n * p;
  if (variance > 50) return std::clamp(std::round(n * p + std::sqrt(variance) * rng.Normal()), 0.0, n);
  double correct = 0;
  for (double i = 0; i < std::round(n); ++i) correct += rng.Uniform() < p;
  return std::min(correct, n);
}

// These multiplicities (empty: 1 each) in the first lane, and nothing in the others.
std::vector<Lanes> InFirstLane(std::span<const double> multiplicity, size_t rows) {
  std::vector<Lanes> lanes(rows, Lanes{});
  for (size_t i = 0; i < rows; ++i) lanes[i].at[0] = multiplicity.empty() ? 1 : multiplicity[i];
  return lanes;
}

}  // namespace

struct Refitter::State {
  const Law& law;
  std::string method;
  FitProcedure procedure;
  ResponseInverse inverse;
  CompiledExpression response_of_accuracy;
  FitRows rows;
  std::vector<size_t> row_index;  // Table rows of `rows`.
  std::vector<size_t> cases;
  size_t table_rows = 0;
  std::vector<double> theta;
  std::unique_ptr<Objective> objective;

  // By table row.
  std::vector<double> x;  // [table rows, c]
  std::vector<double> response, accuracy, item_error, total, correct, chance;

  bool is_ols = false, of_log = false;
  std::optional<LinearForm> form;
  // OLS, and least squares of the response of a law whose logarithm is linear.
  std::optional<LogLinearRefit> linear;

  explicit State(const Law& the_law) : law(the_law), inverse(the_law.response()) {}
  void PrepareLinear();
  // Least squares of these responses near the solution, where that is possible quickly.
  LaneFlags IterateLinear(std::span<const double> y, std::span<const Lanes> multiplicity, std::span<double> out) const;
  // That, and where it is not, the iteration for any law. `with` has the same responses.
  bool Iterate(std::span<const double> y, const Objective& with, std::span<const double> multiplicity,
               std::span<double> out) const;
  bool IterateFrom(const Objective& with, std::span<const double> multiplicity, std::span<double> out) const;
  // OLS of the rows in the first lane; of these targets, where they are not empty.
  bool SolveOne(std::span<const double> targets, std::span<const double> multiplicity, std::span<double> out) const;
  // Multiplicities of `rows` from those of the table.
  std::vector<double> OfRows(std::span<const double> multiplicity) const;
};

void Refitter::State::PrepareLinear() {
  std::vector<double> roots;
  if (is_ols) {
    for (size_t i = 0; i < rows.size(); ++i) roots.push_back(std::sqrt(of_log ? rows.log_weight(i) : rows.weight(i)));
  }
  linear.emplace(law, rows, roots);
  if (!is_ols) return;
  std::vector<double> targets;
  for (size_t i = 0; i < rows.size(); ++i)
    targets.push_back((of_log ? std::log(rows.y[i]) : rows.y[i]) - linear->offset(i));
  linear->SetTargets(targets);
}

LaneFlags Refitter::State::IterateLinear(std::span<const double> y, std::span<const Lanes> multiplicity,
                                         std::span<double> out) const {
  if (!linear) return {};
  std::vector<Lanes> weighted;
  if (!rows.weights.empty()) {
    weighted.assign(multiplicity.begin(), multiplicity.end());
    for (size_t i = 0; i < weighted.size(); ++i) {
      for (double& times : weighted[i].at) times *= rows.weights[i];
    }
  }
  if (!weighted.empty()) multiplicity = weighted;
  LaneFlags good = linear->SolveResponse(y, multiplicity, theta, out);
  const auto parameters = law.parameters();
  for (size_t lane = 0; lane < kLanes; ++lane) {
    for (size_t j = 0; j < theta.size() && good[lane]; ++j) {
      const double value = out[lane * theta.size() + j];
      good[lane] = value >= parameters[j].min && value <= parameters[j].max;
    }
  }
  return good;
}

bool Refitter::State::Iterate(std::span<const double> y, const Objective& with, std::span<const double> multiplicity,
                              std::span<double> out) const {
  if (linear) {
    std::vector<double> near(kLanes * theta.size());
    if (IterateLinear(y, InFirstLane(multiplicity, rows.size()), near)[0]) {
      std::copy_n(near.begin(), theta.size(), out.begin());
      return true;
    }
  }
  return IterateFrom(with, multiplicity, out);
}

bool Refitter::State::SolveOne(std::span<const double> targets, std::span<const double> multiplicity,
                               std::span<double> out) const {
  std::vector<double> all(kLanes * theta.size());
  const std::vector<Lanes> times = InFirstLane(multiplicity, rows.size());
  const bool good = (targets.empty() ? linear->SolveLinear(times, all) : linear->SolveLinear(targets, times, all))[0];
  std::copy_n(all.begin(), theta.size(), out.begin());
  return good;
}

namespace {

// Cholesky's L L^T of a positive definite matrix, in place in its lower triangle [k, k] row by row. False if a pivot is
// not above `smallest`.
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

// Solves L L^T x = right in place.
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

// Gauss-Newton with halved steps from a solution nearby, for sums of squares. False, which leaves the work to Descend(),
// where it leaves the bounds, loses a direction, or is not done in 30 steps.
bool GaussNewton(const Objective& objective, std::span<const double> multiplicity, std::vector<double>& theta) {
  const size_t k = theta.size(), n = objective.rows().size();
  const auto parameters = objective.law().parameters();
  constexpr size_t kMax = 16;
  if (k > kMax) return false;
  double gram[kMax * kMax], right[kMax], scale[kMax], step[kMax], gradient[kMax];
  std::vector<double> base = theta;
  double base_cost = std::numeric_limits<double>::infinity(), shrink = 1, moved = 1;
  for (int evaluation = 0; evaluation < 30; ++evaluation) {
    std::fill(gram, gram + k * k, 0.0);
    std::fill(right, right + k, 0.0);
    double cost = 0;
    for (size_t i = 0; i < n; ++i) {
      const double times = multiplicity.empty() ? 1 : multiplicity[i];
      if (times == 0) continue;
      const double r = objective.Residual(theta, i, {gradient, k});
      cost += times * r * r;
      for (size_t a = 0; a < k; ++a) {
        const double left = times * gradient[a];
        right[a] -= left * r;
        for (size_t b = 0; b <= a; ++b) gram[a * k + b] += left * gradient[b];
      }
    }
    if (!std::isfinite(cost) && evaluation == 0) return false;
    if (!(cost <= base_cost * (1 + 1e-10))) {
      shrink /= 2;
      if (shrink < 0.05) return false;
      for (size_t a = 0; a < k; ++a) theta[a] = base[a] + shrink * step[a];
      continue;
    }
    if (moved < 1e-7 && shrink == 1) return true;
    base = theta;
    base_cost = cost;
    shrink = 1;
    for (size_t a = 0; a < k; ++a) {
      scale[a] = std::sqrt(gram[a * k + a]);
      if (!(scale[a] > 0) || !std::isfinite(scale[a])) return false;
    }
    for (size_t a = 0; a < k; ++a) {
      for (size_t b = 0; b <= a; ++b) gram[a * k + b] /= scale[a] * scale[b];
      step[a] = right[a] / scale[a];
    }
    if (!FactorInPlace(gram, k, 1e-13)) return false;
    SolveFactored(gram, k, step);
    moved = 0;
    for (size_t a = 0; a < k; ++a) {
      step[a] /= scale[a];
      theta[a] = base[a] + step[a];
      moved = std::max(moved, std::fabs(step[a]) / (std::fabs(base[a]) + 1e-9));
      if (theta[a] < parameters[a].min || theta[a] > parameters[a].max) return false;
    }
  }
  return false;
}

}  // namespace

bool Refitter::State::IterateFrom(const Objective& with, std::span<const double> multiplicity,
                                  std::span<double> out) const {
  using Loss = FitProcedure::Loss;
  const auto used = static_cast<size_t>(
      std::count_if(multiplicity.begin(), multiplicity.end(), [](double times) { return times > 0; }));
  if (!multiplicity.empty() && used < theta.size()) {
    std::fill(out.begin(), out.end(), kUnset);
    return false;
  }
  if (procedure.loss == Loss::kSquares || procedure.loss == Loss::kBinomial) {
    std::vector<double> near = theta;
    if (GaussNewton(with, multiplicity, near)) {
      std::copy(near.begin(), near.end(), out.begin());
      return true;
    }
  }
  const Descent descent = Descend(with, theta, multiplicity, kRough);
  // Where the objective is flat (all rows at chance, say) the iteration ends where it began: that determines nothing.
  const bool moved = multiplicity.empty() || descent.theta != theta;
  const bool good = moved && descent.converged && std::isfinite(descent.value);
  for (size_t j = 0; j < out.size(); ++j) out[j] = good ? descent.theta[j] : kUnset;
  return good;
}

std::vector<double> Refitter::State::OfRows(std::span<const double> multiplicity) const {
  std::vector<double> chosen;
  if (multiplicity.empty()) return chosen;
  chosen.reserve(row_index.size());
  for (const size_t row : row_index) chosen.push_back(multiplicity[row]);
  return chosen;
}

Refitter::Refitter(const Law& law, const Table& table, const FitSettings& settings, const MethodFit& method)
    : state_(std::make_unique<State>(law)) {
  State& state = *state_;
  state.method = method.method;
  state.theta = method.theta();
  state.table_rows = table.rows();
  state.form = law.linear_form();
  state.is_ols = method.method == "ols";
  state.of_log = method.space == "log response";
  if (method.method == "binomial") {
    state.procedure.loss = FitProcedure::Loss::kBinomial;
  } else if (method.method == "huber" || method.method == "huber_likelihood") {
    state.procedure = law.procedure();
  } else if (state.of_log) {
    state.procedure.space = FitProcedure::Space::kLog;
  }
  const bool take_log = state.of_log || TakesLog(law);
  const LawRows selected = SelectRows(law, table, {settings.chance_rule, take_log, settings.weights});
  const bool is_binomial = method.method == "binomial";
  state.rows = is_binomial ? selected.counted : selected.fit;
  state.row_index = is_binomial ? selected.counted_index : selected.fit_index;

  const size_t c = law.covariates().size();
  const auto column_or_missing = [&](const char* name) {
    const TableColumn* column = table.Find(name);
    return column == nullptr || column->is_text ? std::vector<double>(table.rows(), kUnset) : column->numbers;
  };
  state.accuracy = column_or_missing("acc_adj");
  state.item_error = column_or_missing("standard_error");
  state.response = table.Evaluate(Expression::Parse(law.response()));
  state.total.assign(table.rows(), kUnset);
  state.correct = state.chance = state.total;
  for (size_t i = 0; i < selected.counted_index.size(); ++i) {
    const size_t row = selected.counted_index[i];
    state.total[row] = selected.counted.total[i];
    state.correct[row] = selected.counted.correct[i];
    state.chance[row] = selected.counted.chance[i];
  }
  state.x.resize(table.rows() * c);
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : law.covariates()) columns.push_back(&table.Numbers(name));
  for (size_t row = 0; row < table.rows(); ++row) {
    for (size_t j = 0; j < c; ++j) state.x[row * c + j] = (*columns[j])[row];
  }
  const TableColumn* hold_out = table.Find("hold_out");
  for (const size_t row : selected.complete_index) {
    if (!IsHeldOut(hold_out, table, row)) state.cases.push_back(row);
  }
  if (state.inverse.exists()) {
    const std::vector<std::string> scope = {"acc_adj"};
    state.response_of_accuracy = Expression::Parse(law.response()).Compile(scope);
  }
  if (state.is_ols && !state.form) throw InternalError("Refitter: law '" + law.name() + "' has no linear form");
  if (state.is_ols && state.form->columns.size() > LogLinearRefit::kMaxParameters) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("law '{}': {} parameters. At most {} can be refitted to resamples: use a law with fewer.",
                            law.name(), state.form->columns.size(), LogLinearRefit::kMaxParameters));
  }
  const bool is_response = state.procedure == FitProcedure() && state.form && state.form->of_log &&
                           state.form->columns.size() <= LogLinearRefit::kMaxParameters;
  if (state.is_ols || is_response) state.PrepareLinear();
  if (!state.is_ols) {
    state.objective = std::make_unique<Objective>(law, state.rows, state.procedure, &state.inverse);
  }
}

Refitter::~Refitter() = default;
Refitter::Refitter(Refitter&&) noexcept = default;

const Law& Refitter::law() const { return state_->law; }
const std::string& Refitter::method() const { return state_->method; }
size_t Refitter::parameters() const { return state_->theta.size(); }
size_t Refitter::table_rows() const { return state_->table_rows; }
std::span<const double> Refitter::theta() const { return state_->theta; }
std::span<const size_t> Refitter::rows() const { return state_->row_index; }
std::span<const size_t> Refitter::cases() const { return state_->cases; }

bool Refitter::Refit(std::span<const double> multiplicity, std::span<double> theta) const {
  const State& state = *state_;
  const std::vector<double> of_rows = state.OfRows(multiplicity);
  return state.is_ols ? state.SolveOne({}, of_rows, theta)
                      : state.Iterate(state.rows.y, *state.objective, of_rows, theta);
}

bool Refitter::RefitToPredict(std::span<const double> multiplicity, std::span<double> theta, std::string& why) const {
  if (Refit(multiplicity, theta)) return true;
  const State& state = *state_;
  const std::vector<double> of_rows = state.OfRows(multiplicity);
  const auto used = std::count_if(of_rows.begin(), of_rows.end(), [](double times) { return times > 0; });
  why = "the rows left do not determine the parameters";
  if (state.is_ols || static_cast<size_t>(used) < parameters()) return false;
  const auto predictions = [&](std::span<const double> at) {
    std::vector<double> predicted;
    for (const size_t row : state.cases) predicted.push_back(Predict(at, row));
    return predicted;
  };
  std::vector<double> at = state.theta, before = predictions(at);
  double moved = 0;
  for (int round = 0; round < 10; ++round) {
    const Descent descent = Descend(*state.objective, at, of_rows, kRough);
    if (!std::isfinite(descent.value) || descent.theta == state.theta) {
      if (!std::isfinite(descent.value)) why = descent.status;
      return false;
    }
    at = descent.theta;
    const std::vector<double> now = predictions(at);
    moved = 0;
    for (size_t i = 0; i < now.size(); ++i) {
      const double share = std::fabs(now[i] - before[i]) / std::fabs(now[i]);
      moved = std::isnan(share) ? moved : std::max(moved, share);
    }
    before = now;
    if (descent.converged || moved < 1e-3) {
      std::copy(at.begin(), at.end(), theta.begin());
      return true;
    }
  }
  why = fmt::format("not converged after {} iterations, the last {} of which moved a prediction by {:.1g} %",
                    10 * kRough.max_iterations, kRough.max_iterations, 100 * moved);
  return false;
}

std::array<bool, kLanes> Refitter::RefitLanes(std::span<const Lanes> multiplicity, std::span<double> theta) const {
  const State& state = *state_;
  if (state.is_ols) return state.linear->SolveLinear(multiplicity, theta);
  LaneFlags good = state.IterateLinear(state.rows.y, multiplicity, theta);
  std::vector<double> one(multiplicity.size());
  for (size_t lane = 0; lane < kLanes; ++lane) {
    if (good[lane]) continue;
    for (size_t i = 0; i < one.size(); ++i) one[i] = multiplicity[i].at[lane];
    good[lane] = state.IterateFrom(*state.objective, one, theta.subspan(lane * parameters(), parameters()));
  }
  return good;
}

bool Refitter::RefitResponses(std::span<const double> responses, std::span<const double> multiplicity,
                              std::span<double> theta) const {
  const State& state = *state_;
  const size_t n = state.rows.size();
  if (responses.size() != n || state.method == "binomial")
    throw InternalError("RefitResponses: responses do not fit the rows, or the method");
  std::vector<double> times = state.OfRows(multiplicity);
  if (times.empty()) times.assign(n, 1);
  FitRows rows = state.is_ols ? FitRows() : state.rows;
  std::vector<double> targets(n);
  for (size_t i = 0; i < n; ++i) {
    const double y = state.of_log ? std::log(responses[i]) : responses[i];
    if (!std::isfinite(y)) times[i] = 0;
    if (state.is_ols) {
      targets[i] = std::isfinite(y) ? y - state.linear->offset(i) : 0;
    } else {
      rows.y[i] = std::isfinite(y) ? responses[i] : 1;
    }
  }
  if (state.is_ols) return state.SolveOne(targets, times, theta);
  return state.Iterate(rows.y, Objective(state.law, rows, state.procedure, &state.inverse), times, theta);
}

std::string Refitter::ExplainNoItems() const {
  const State& state = *state_;
  if (!state.inverse.exists()) return "no accuracy follows from the response " + state.law.response();
  for (const size_t row : state.row_index) {
    if (std::isnan(state.total[row]) && std::isnan(state.item_error[row]))
      return "the table has neither counts nor a column standard_error";
  }
  return "";
}

bool Refitter::RefitNewItems(Rng& rng, std::span<double> theta) const {
  const State& state = *state_;
  if (!ExplainNoItems().empty()) return false;
  std::vector<double> accuracy(state.table_rows, kUnset);
  for (const size_t row : state.row_index) {
    if (!std::isnan(state.total[row])) {
      const double correct = DrawBinomial(rng, state.total[row], state.correct[row] / state.total[row]);
      accuracy[row] = (correct / state.total[row] - state.chance[row]) / (1 - state.chance[row]);
    } else {
      accuracy[row] = state.accuracy[row] + state.item_error[row] * rng.Normal();
    }
  }
  return RefitAccuracies(accuracy, theta);
}

bool Refitter::RefitAccuracies(std::span<const double> accuracy, std::span<double> theta) const {
  const State& state = *state_;
  if (state.method == "binomial") {
    FitRows drawn = state.rows;
    for (size_t i = 0; i < drawn.size(); ++i) {
      const size_t row = state.row_index[i];
      const double p = state.chance[row] + (1 - state.chance[row]) * accuracy[row];
      drawn.correct[i] = std::clamp(p, 0.0, 1.0) * state.total[row];
    }
    return state.Iterate({}, Objective(state.law, drawn, state.procedure, &state.inverse), {}, theta);
  }
  std::vector<double> responses(state.rows.size());
  for (size_t i = 0; i < responses.size(); ++i) {
    const double one = accuracy[state.row_index[i]];
    responses[i] = one > 0 && one < 1 ? state.response_of_accuracy.Number({&one, 1}) : kUnset;
  }
  return RefitResponses(responses, {}, theta);
}

double Refitter::Predict(std::span<const double> theta, size_t row) const {
  const size_t c = state_->law.covariates().size();
  return state_->law.Predict(theta, {state_->x.data() + row * c, c}, {});
}

double Refitter::PredictAccuracy(std::span<const double> theta, size_t row) const {
  return state_->inverse(Predict(theta, row));
}

double Refitter::Response(size_t row) const {
  const double y = state_->response[row];
  return std::isfinite(y) ? y : kUnset;
}

double Refitter::Accuracy(size_t row) const { return state_->accuracy[row]; }

}  // namespace bitlaw
