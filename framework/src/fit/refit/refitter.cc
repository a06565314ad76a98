#include "fit/refit/refitter.h"

#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <boost/random/binomial_distribution.hpp>
#include <cmath>
#include <limits>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "fit/refit/log_linear_refit.h"
#include "fit/table/baseline.h"

namespace bitlaw {

namespace {

// How far an iteration goes that starts at the solution on all rows.
const DescentOptions kRough = {.max_iterations = 200, .refine = false, .is_near = true};

// bitlaw's generator as Boost.Random wants one.
struct Engine {
  using result_type = uint64_t;
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return std::numeric_limits<uint64_t>::max(); }
  uint64_t operator()() { return rng.Next(); }
  Rng& rng;
};

// Number of correct answers among n, each with probability p. The n of a mean over tasks is no whole number: it is
// rounded, and the draw is given as a share of it.
double DrawBinomial(Rng& rng, double n, double p) {
  const double trials = std::max(1.0, std::round(n));
  boost::random::binomial_distribution<int64_t> draw(static_cast<int64_t>(trials), std::clamp(p, 0.0, 1.0));
  Engine engine{rng};
  return static_cast<double>(draw(engine)) * n / trials;
}

// These multiplicities (empty: 1 each) in the first lane, and nothing in the others.
std::vector<Lanes> InFirstLane(std::span<const double> multiplicity, size_t rows) {
  std::vector<Lanes> lanes(rows, Lanes{});
  for (size_t i = 0; i < rows; ++i) lanes[i].at[0] = multiplicity.empty() ? 1 : multiplicity[i];
  return lanes;
}

}  // namespace

struct Refitter::State {
  const FitProblem problem;
  const Law& law;
  const FitRows& rows;
  CompiledExpression response_of_accuracy;
  std::vector<size_t> cases;
  size_t table_rows = 0;
  std::vector<double> theta;
  std::unique_ptr<Objective> objective;

  // By table row.
  std::vector<double> x;  // [table rows, c]
  std::vector<double> response, accuracy, item_error, total, correct, chance;
  // Of an anchored law: which covariate is the unquantized model's accuracy, and the rows that measured it.
  std::optional<size_t> anchor;
  std::vector<std::vector<size_t>> anchor_rows;  // [table rows]

  bool is_ols = false, of_log = false;
  std::optional<LinearForm> form;
  // OLS, and least squares of the response of a law whose logarithm is linear.
  std::optional<LogLinearRefit> linear;

  explicit State(const FitProblem& the_problem)
      : problem(the_problem), law(problem.law()), rows(problem.rows()) {}
  void PrepareLinear();
  void PrepareAnchor(const Table& table);
  // The objective of the problem on rows that differ from its own in what was measured.
  Objective OfOtherRows(const FitRows& other) const {
    return Objective(law, other, problem.procedure(), &problem.inverse());
  }
  // Least squares of these responses near the solution, where that is possible quickly.
  LaneFlags IterateLinear(std::span<const double> y, std::span<const Lanes> multiplicity, std::span<double> out) const;
  // That, and where it is not, the iteration for any law. `with` has the same responses.
  bool Iterate(std::span<const double> y, const Objective& with, std::span<const double> multiplicity,
               std::span<double> out) const;
  bool IterateFrom(const Objective& with, std::span<const double> multiplicity, std::span<double> out) const;
  // Other accuracies of all rows, of the unquantized models too.
  bool IterateAnchored(std::span<const double> with, std::span<double> out) const;
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

void Refitter::State::PrepareAnchor(const Table& table) {
  if (!IsAnchored(law)) return;
  const auto covariates = law.covariates();
  anchor = static_cast<size_t>(std::find(covariates.begin(), covariates.end(), kBaselineAccuracy) - covariates.begin());
  anchor_rows = problem.selected().baseline_rows;
  // Rows of unquantized models are not fitted, but their items are drawn like others.
  const TableCounts counts = CountsOf(table);
  for (const size_t row : problem.index()) {
    for (const size_t one : anchor_rows[row]) {
      if (!counts.why_none.empty()) continue;
      total[one] = counts.total[one], correct[one] = counts.correct[one], chance[one] = counts.chance[one];
    }
  }
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

// At most so many parameters: their matrices need no memory of their own.
constexpr int kMaxSmall = 16;
using Gram = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, kMaxSmall, kMaxSmall>;
using Right = Eigen::Matrix<double, Eigen::Dynamic, 1, 0, kMaxSmall, 1>;

// Gauss-Newton with halved steps from a solution nearby, for sums of squares. False, which leaves the work to
// Descend(), where it leaves the bounds, loses a direction, or is not done in 30 steps. Ceres' TinySolver, which damps
// every step and keeps the Jacobian, takes 31 us for what takes 21 us here (293 rows, 4 parameters, one core).
bool GaussNewton(const Objective& objective, std::span<const double> multiplicity, std::vector<double>& theta) {
  const size_t n = objective.rows().size();
  const auto k = static_cast<Eigen::Index>(theta.size());
  const auto parameters = objective.law().parameters();
  if (k > kMaxSmall) return false;
  Gram gram(k, k);
  Right right(k), scale(k), step(k), gradient(k);
  Eigen::Map<Eigen::VectorXd> at(theta.data(), k);
  Right base = at;
  double base_cost = std::numeric_limits<double>::infinity(), shrink = 1, moved = 1;
  for (int evaluation = 0; evaluation < 30; ++evaluation) {
    gram.setZero();
    right.setZero();
    double cost = 0;
    for (size_t i = 0; i < n; ++i) {
      const double times = multiplicity.empty() ? 1 : multiplicity[i];
      if (times == 0) continue;
      const double r = objective.Residual(theta, i, {gradient.data(), theta.size()});
      cost += times * r * r;
      for (Eigen::Index a = 0; a < k; ++a) {
        const double left = times * gradient[a];
        right[a] -= left * r;
        for (Eigen::Index b = 0; b <= a; ++b) gram(a, b) += left * gradient[b];
      }
    }
    if (!std::isfinite(cost) && evaluation == 0) return false;
    if (!(cost <= base_cost * (1 + 1e-10))) {
      shrink /= 2;
      if (shrink < 0.05) return false;
      at = base + shrink * step;
      continue;
    }
    if (moved < 1e-7 && shrink == 1) return true;
    base = at;
    base_cost = cost;
    shrink = 1;
    for (Eigen::Index a = 0; a < k; ++a) {
      scale[a] = std::sqrt(gram(a, a));
      if (!(scale[a] > 0) || !std::isfinite(scale[a])) return false;
    }
    for (Eigen::Index a = 0; a < k; ++a) {
      for (Eigen::Index b = 0; b <= a; ++b) gram(a, b) /= scale[a] * scale[b];
    }
    const Eigen::LLT<Eigen::Ref<Gram>> factor(gram);
    // The squared diagonal of the factor has the pivots.
    if (factor.info() != Eigen::Success || !(gram.diagonal().cwiseAbs2().minCoeff() > 1e-13)) return false;
    step = right.cwiseQuotient(scale);
    factor.solveInPlace(step);
    step = step.cwiseQuotient(scale).eval();
    at = base + step;
    moved = 0;
    for (Eigen::Index a = 0; a < k; ++a) {
      const LawParameter& parameter = parameters[static_cast<size_t>(a)];
      moved = std::max(moved, std::fabs(step[a]) / (std::fabs(base[a]) + 1e-9));
      if (at[a] < parameter.min || at[a] > parameter.max) return false;
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
  const Loss loss = problem.procedure().loss;
  if (loss == Loss::kSquares || loss == Loss::kBinomial) {
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
  chosen.reserve(rows.size());
  for (const size_t row : problem.index()) chosen.push_back(multiplicity[row]);
  return chosen;
}

Refitter::Refitter(const Law& law, const Table& table, const FitSettings& settings, const MethodFit& method)
    : Refitter(FitProblem(law, table, settings, method.procedure), table, method) {}

Refitter::Refitter(const FitProblem& problem, const Table& table, const MethodFit& method)
    : state_(std::make_unique<State>(problem)) {
  State& state = *state_;
  const Law& law = problem.law();
  const LawRows& selected = problem.selected();
  if (method.procedure != problem.procedure()) throw InternalError("Refitter: the fit is of another problem");
  state.theta = method.theta();
  state.table_rows = table.rows();
  state.form = law.linear_form();
  state.is_ols = method.is_ols;
  state.of_log = method.of_log();

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
  if (state.problem.inverse().exists()) {
    const std::vector<std::string> scope = {"acc_adj"};
    state.response_of_accuracy = Expression::Parse(law.response()).Compile(scope);
  }
  if (state.is_ols && !state.form) throw InternalError("Refitter: law '" + law.name() + "' has no linear form");
  if (state.is_ols && state.form->columns.size() > LogLinearRefit::kMaxParameters) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("law '{}': {} parameters. At most {} can be refitted to resamples: use a law with fewer.",
                            law.name(), state.form->columns.size(), LogLinearRefit::kMaxParameters));
  }
  const bool is_response = problem.procedure() == FitProcedure() && state.form && state.form->of_log &&
                           state.form->columns.size() <= LogLinearRefit::kMaxParameters;
  if (state.is_ols || is_response) state.PrepareLinear();
  state.PrepareAnchor(table);
  if (!state.is_ols) {
    state.objective = std::make_unique<Objective>(problem.objective());
  }
}

Refitter::~Refitter() = default;
Refitter::Refitter(Refitter&&) noexcept = default;

const Law& Refitter::law() const { return state_->law; }
size_t Refitter::parameters() const { return state_->theta.size(); }
size_t Refitter::table_rows() const { return state_->table_rows; }
std::span<const double> Refitter::theta() const { return state_->theta; }
std::span<const size_t> Refitter::rows() const { return state_->problem.index(); }
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
  if (responses.size() != n || state.problem.of_counts())
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
  return state.Iterate(rows.y, state.OfOtherRows(rows), times, theta);
}

std::string Refitter::ExplainNoItems() const {
  const State& state = *state_;
  if (!state.problem.inverse().exists()) return "no accuracy follows from the response " + state.law.response();
  for (const size_t row : state.problem.index()) {
    if (std::isnan(state.total[row]) && std::isnan(state.item_error[row]))
      return "the table has neither counts nor a column standard_error";
  }
  return "";
}

bool Refitter::RefitNewItems(Rng& rng, std::span<double> theta) const {
  const State& state = *state_;
  if (!ExplainNoItems().empty()) return false;
  std::vector<double> accuracy(state.table_rows, kUnset);
  std::vector<size_t> rows(state.problem.index());
  if (state.anchor) {
    // Each unquantized model is drawn once, for all rows that are anchored on it.
    for (const size_t row : state.problem.index())
      rows.insert(rows.end(), state.anchor_rows[row].begin(), state.anchor_rows[row].end());
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  }
  for (const size_t row : rows) {
    if (!std::isnan(state.total[row])) {
      const double correct = DrawBinomial(rng, state.total[row], state.correct[row] / state.total[row]);
      accuracy[row] = ChanceAdjusted(correct / state.total[row], state.chance[row]);
    } else {
      const double error = std::isnan(state.item_error[row]) ? 0 : state.item_error[row];
      accuracy[row] = state.accuracy[row] + error * rng.Normal();
    }
  }
  return RefitAccuracies(accuracy, theta);
}

bool Refitter::State::IterateAnchored(std::span<const double> with, std::span<double> out) const {
  FitRows drawn = rows;
  const size_t c = law.covariates().size();
  std::vector<double> times(rows.size(), 1);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t row = problem.index()[i];
    const double one = with[row];
    double baseline = 0;
    for (const size_t anchored : anchor_rows[row])
      baseline += with[anchored] / static_cast<double>(anchor_rows[row].size());
    if (!anchor_rows[row].empty()) {
      drawn.x[i * c + *anchor] = baseline;
      if (!(baseline > 0)) times[i] = 0;
    }
    if (problem.of_counts()) {
      drawn.correct[i] = std::clamp(AccuracyOf(one, chance[row]), 0.0, 1.0) * total[row];
      continue;
    }
    drawn.y[i] = one > 0 && one < 1 ? response_of_accuracy.Number({&one, 1}) : kUnset;
    if (std::isfinite(drawn.y[i])) continue;
    times[i] = 0;
    drawn.y[i] = 1;
  }
  if (std::all_of(times.begin(), times.end(), [](double one) { return one == 1; })) times.clear();
  return IterateFrom(OfOtherRows(drawn), times, out);
}

std::string Refitter::ExplainFixedAnchor() const {
  const State& state = *state_;
  if (!state.anchor) return "";
  const auto& rows = state.problem.index();
  const auto missing =
      std::count_if(rows.begin(), rows.end(), [&](size_t row) { return state.anchor_rows[row].empty(); });
  if (missing == 0) return "";
  return fmt::format("{} of {} rows take the accuracy of their unquantized model as exact, since its row is not in the "
                     "table",
                     missing, rows.size());
}

bool Refitter::RefitAccuracies(std::span<const double> accuracy, std::span<double> theta) const {
  const State& state = *state_;
  if (state.anchor) return state.IterateAnchored(accuracy, theta);
  if (state.problem.of_counts()) {
    FitRows drawn = state.rows;
    for (size_t i = 0; i < drawn.size(); ++i) {
      const size_t row = state.problem.index()[i];
      const double p = AccuracyOf(accuracy[row], state.chance[row]);
      drawn.correct[i] = std::clamp(p, 0.0, 1.0) * state.total[row];
    }
    return state.Iterate({}, state.OfOtherRows(drawn), {}, theta);
  }
  std::vector<double> responses(state.rows.size());
  for (size_t i = 0; i < responses.size(); ++i) {
    const double one = accuracy[state.problem.index()[i]];
    responses[i] = one > 0 && one < 1 ? state.response_of_accuracy.Number({&one, 1}) : kUnset;
  }
  return RefitResponses(responses, {}, theta);
}

double Refitter::Predict(std::span<const double> theta, size_t row) const {
  const size_t c = state_->law.covariates().size();
  return state_->law.Predict(theta, {state_->x.data() + row * c, c}, {});
}

double Refitter::PredictAccuracy(std::span<const double> theta, size_t row) const {
  return state_->problem.inverse()(Predict(theta, row));
}

double Refitter::Response(size_t row) const {
  const double y = state_->response[row];
  return std::isfinite(y) ? y : kUnset;
}

double Refitter::Accuracy(size_t row) const { return state_->accuracy[row]; }

}  // namespace bitlaw
