#include "fit/refitter.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"
#include "fit/log_linear_refit.h"
#include "fit/objective.h"

namespace bitlaw {

namespace {

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
  // Least squares of these responses near the solution; false where that is not possible quickly.
  bool IterateLinear(std::span<const double> y, std::span<const double> multiplicity, std::span<double> out) const;
  bool Iterate(const Objective& with, std::span<const double> multiplicity, std::span<double> out) const;
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

bool Refitter::State::IterateLinear(std::span<const double> y, std::span<const double> multiplicity,
                                    std::span<double> out) const {
  if (!linear) return false;
  std::vector<double> times(rows.size(), 1);
  for (size_t i = 0; i < times.size(); ++i) {
    if (!multiplicity.empty()) times[i] = multiplicity[i];
    times[i] *= rows.weight(i);
  }
  std::vector<double> near(theta.size());
  if (!linear->SolveResponse(y, times.data(), theta, near)) return false;
  const auto parameters = law.parameters();
  for (size_t j = 0; j < near.size(); ++j) {
    if (near[j] < parameters[j].min || near[j] > parameters[j].max) return false;
  }
  std::copy(near.begin(), near.end(), out.begin());
  return true;
}

namespace {

// Gauss-Newton with halved steps from a solution nearby, for sums of squares. False, which leaves the work to Ceres,
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

bool Refitter::State::Iterate(const Objective& with, std::span<const double> multiplicity,
                              std::span<double> out) const {
  using Loss = FitProcedure::Loss;
  if (procedure.loss == Loss::kSquares || procedure.loss == Loss::kBinomial) {
    std::vector<double> near = theta;
    if (GaussNewton(with, multiplicity, near)) {
      std::copy(near.begin(), near.end(), out.begin());
      return true;
    }
  }
  DescentOptions options;
  options.refine = false;
  options.max_iterations = 200;
  const Descent descent = Descend(with, theta, multiplicity, options);
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
  const bool take_log = state.of_log || (state.form && state.form->of_log);
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
  const TableColumn* hold_out = table.Find("hold_out");
  for (size_t row = 0; row < table.rows(); ++row) {
    bool complete = !IsHeldOut(hold_out, table, row);
    for (size_t j = 0; j < c; ++j) {
      state.x[row * c + j] = (*columns[j])[row];
      complete = complete && std::isfinite((*columns[j])[row]);
    }
    if (complete) state.cases.push_back(row);
  }
  if (state.inverse.exists()) {
    const std::vector<std::string> scope = {"acc_adj"};
    state.response_of_accuracy = Expression::Parse(law.response()).Compile(scope);
  }
  if (state.is_ols && !state.form) throw InternalError("Refitter: law '" + law.name() + "' has no linear form");
  const bool is_response = !state.is_ols && state.procedure == FitProcedure() && state.form && state.form->of_log;
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
  std::vector<double> of_rows = state.OfRows(multiplicity);
  if (state.is_ols && of_rows.empty()) of_rows.assign(state.rows.size(), 1);
  if (state.is_ols) return state.linear->SolveLinear(of_rows.data(), theta);
  double used = 0;
  for (const double times : of_rows) used += times > 0;
  if (!of_rows.empty() && used < static_cast<double>(parameters())) {
    std::fill(theta.begin(), theta.end(), kUnset);
    return false;
  }
  if (state.IterateLinear(state.rows.y, of_rows, theta)) return true;
  return state.Iterate(*state.objective, of_rows, theta);
}

bool Refitter::RefitResponses(std::span<const double> responses, std::span<const double> multiplicity,
                              std::span<double> theta) const {
  const State& state = *state_;
  if (responses.size() != state.rows.size() || state.method == "binomial")
    throw InternalError("RefitResponses: responses do not fit the rows, or the method");
  const std::vector<double> of_rows = state.OfRows(multiplicity);
  if (state.is_ols) {
    std::vector<double> targets(responses.size());
    for (size_t i = 0; i < targets.size(); ++i) {
      const double y = state.of_log ? std::log(responses[i]) : responses[i];
      targets[i] = std::isfinite(y) ? y - state.linear->offset(i) : kUnset;
    }
    const std::vector<double> times = of_rows.empty() ? std::vector<double>(targets.size(), 1) : of_rows;
    return state.linear->SolveLinear(targets, times.data(), theta);
  }
  FitRows rows = state.rows;
  std::vector<double> times = of_rows.empty() ? std::vector<double>(rows.size(), 1) : of_rows;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool usable = std::isfinite(responses[i]) && (!state.of_log || responses[i] > 0);
    rows.y[i] = usable ? responses[i] : 1;
    if (!usable) times[i] = 0;
  }
  if (state.IterateLinear(rows.y, times, theta)) return true;
  return state.Iterate(Objective(state.law, rows, state.procedure, &state.inverse), times, theta);
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
    return state.Iterate(Objective(state.law, drawn, state.procedure, &state.inverse), {}, theta);
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
