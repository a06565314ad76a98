#include "fit/predict/law_predictor.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "fit/data/row_units.h"
#include "fit/predict/nested_variance.h"
#include "fit/solve/least_squares.h"

namespace bitlaw {

namespace {

std::vector<size_t> AllPlaces(const FitProblem& problem) {
  std::vector<size_t> places(problem.index().size());
  std::iota(places.begin(), places.end(), size_t{0});
  return places;
}

// Accuracies where the response has an inverse and the table has them; else the logarithm, where it is positive.
ErrorScale ScaleOf(const FitProblem& problem, const Table& table, std::span<const double> theta) {
  const TableColumn* accuracy = table.Find("acc_adj");
  if (problem.inverse().exists() && accuracy != nullptr && !accuracy->is_text) {
    const TableColumn* chance = table.Find("chance");
    double sum = 0, count = 0;
    for (const size_t row : problem.index()) {
      if (chance == nullptr || chance->is_text || std::isnan(chance->numbers[row])) continue;
      sum += chance->numbers[row];
      ++count;
    }
    return ErrorScale(ErrorScale::Kind::kAngle, count > 0 ? sum / count : 0);
  }
  const FitRows& rows = problem.rows();
  const size_t c = problem.law().covariates().size();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(rows.y[i] > 0) || !(problem.law().Predict(theta, rows.row(i, c), {}) > 0))
      return ErrorScale(ErrorScale::Kind::kResponse);
  }
  return ErrorScale(ErrorScale::Kind::kLog);
}

Eigen::MatrixXd InverseOf(const Eigen::MatrixXd& gram) {
  // Scaled, so that directions that the rows do not determine are told from small numbers.
  const Eigen::VectorXd scale = gram.diagonal().cwiseSqrt().unaryExpr([](double x) { return x > 0 ? 1 / x : 0; });
  const Eigen::MatrixXd scaled = scale.asDiagonal() * gram * scale.asDiagonal();
  Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> decomposition(scaled);
  decomposition.setThreshold(1e-12);
  return scale.asDiagonal() * decomposition.pseudoInverse() * scale.asDiagonal();
}

}  // namespace

struct LawPredictor::State {
  State(const FitProblem& of, const Table& table, const FitSettings& settings, std::span<const double> estimates)
      : problem(of),
        theta(estimates.begin(), estimates.end()),
        confidence(settings.confidence),
        scale(ScaleOf(of, table, estimates)) {}

  FitProblem problem;
  std::vector<double> theta;
  double confidence;
  ErrorScale scale;
  std::string unit_name;
  std::vector<size_t> free;       // Parameters off their bounds.
  std::vector<size_t> precision;  // Covariates that make the cells of a unit.
  std::map<std::string, size_t> unit_of_label;
  std::map<std::pair<size_t, std::vector<double>>, size_t> cell_of_key;
  std::map<std::vector<double>, size_t> setting_of_key;  // Of NestedGroups::setting_of_cell.
  std::optional<NestedVariance> scatter;
  Eigen::MatrixXd slopes;     // J [n, k]
  Eigen::MatrixXd estimator;  // A [k, n]
  Eigen::MatrixXd leverage;   // (J^T J)^-1
  double largest_leverage = kUnset;
  Eigen::VectorXd residuals;

  const Law& law() const { return problem.law(); }
  void Prepare(const Table& table, const FitSettings& settings, const MethodFit& method, std::span<const size_t> kept);
  // z(f(x; theta)), with its slopes by the free parameters.
  double Scaled(std::span<const double> x, Eigen::VectorXd* out) const;
  std::vector<double> CellKey(std::span<const double> x) const;
  LawPrediction At(std::span<const double> x, const std::string& unit) const;
};

LawPredictor::LawPredictor(const FitProblem& problem, const Table& table, const FitSettings& settings,
                           const MethodFit& method)
    : LawPredictor(problem, table, settings, method, method.theta(), AllPlaces(problem)) {}

LawPredictor::LawPredictor(const FitProblem& problem, const Table& table, const FitSettings& settings,
                           const MethodFit& method, std::span<const double> theta, std::span<const size_t> kept)
    : state_(std::make_unique<State>(problem, table, settings, theta)) {
  if (method.procedure != problem.procedure()) throw InternalError("LawPredictor: the fit is of another problem");
  state_->Prepare(table, settings, method, kept);
}

LawPredictor::~LawPredictor() = default;
LawPredictor::LawPredictor(LawPredictor&&) noexcept = default;

const ErrorScale& LawPredictor::scale() const { return state_->scale; }
const std::string& LawPredictor::unit_name() const { return state_->unit_name; }
size_t LawPredictor::units() const { return state_->scatter->groups().units; }
const std::vector<size_t>& LawPredictor::cell_of_row() const { return state_->scatter->groups().cell_of_row; }

LawPredictor::Scatter LawPredictor::scatter() const {
  const NestedVariance& variance = *state_->scatter;
  if (!variance.why_none().empty()) return {};
  return {std::sqrt(variance.variance(NestedVariance::kUnit)), std::sqrt(variance.variance(NestedVariance::kCell)),
          std::sqrt(variance.variance(NestedVariance::kRow))};
}

double LawPredictor::State::Scaled(std::span<const double> x, Eigen::VectorXd* out) const {
  std::vector<double> gradient(out == nullptr ? 0 : theta.size());
  const double response = law().Predict(theta, x, gradient);
  double slope = 1;
  const double value = scale.of_accuracy() ? problem.inverse()(response, &slope) : response;
  if (out != nullptr) {
    slope *= scale.Slope(value);
    out->resize(static_cast<Eigen::Index>(free.size()));
    for (size_t j = 0; j < free.size(); ++j) (*out)[static_cast<Eigen::Index>(j)] = slope * gradient[free[j]];
  }
  return scale(value);
}

std::vector<double> LawPredictor::State::CellKey(std::span<const double> x) const {
  std::vector<double> key;
  for (const size_t j : precision) key.push_back(x[j]);
  return key;
}

void LawPredictor::State::Prepare(const Table& table, const FitSettings& settings, const MethodFit& method,
                                  std::span<const size_t> kept) {
  const FitRows& rows = problem.rows();
  const size_t c = law().covariates().size();
  for (size_t j = 0; j < theta.size(); ++j) {
    if (method.parameters[j].note != "at its bound") free.push_back(j);
  }
  const std::vector<std::string> precise = settings.roles.CovariatesOf(law(), FactorRole::kPrecision);
  for (size_t j = 0; j < c; ++j) {
    if (std::find(precise.begin(), precise.end(), law().covariates()[j]) != precise.end()) precision.push_back(j);
  }
  std::vector<size_t> table_rows;
  for (const size_t place : kept) table_rows.push_back(problem.index()[place]);
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, table_rows, settings.roles);
  unit_name = units.name;
  const auto n = static_cast<Eigen::Index>(kept.size()), k = static_cast<Eigen::Index>(free.size());
  NestedGroups groups;
  groups.unit_of_row = units.unit_of_row;
  groups.units = units.size();
  for (size_t u = 0; u < units.labels.size(); ++u) unit_of_label[units.labels[u]] = u;
  const TableColumn* accuracy = scale.of_accuracy() ? table.Find("acc_adj") : nullptr;
  slopes.resize(n, k);
  residuals.resize(n);
  Eigen::VectorXd weights(n), row_slopes;
  std::vector<Eigen::MatrixXd> forms(2, Eigen::MatrixXd(n, k));  // Slopes of f and of ln f.
  std::vector<double> gradient(theta.size());
  for (Eigen::Index i = 0; i < n; ++i) {
    const size_t place = kept[static_cast<size_t>(i)];
    const std::span<const double> x = rows.row(place, c);
    const auto key = std::pair(groups.unit_of_row[static_cast<size_t>(i)], CellKey(x));
    const auto [at_cell, is_new] = cell_of_key.emplace(key, cell_of_key.size());
    groups.cell_of_row.push_back(at_cell->second);
    if (is_new)
      groups.setting_of_cell.push_back(setting_of_key.emplace(key.second, setting_of_key.size()).first->second);
    const double predicted = Scaled(x, &row_slopes);
    slopes.row(i) = row_slopes.transpose();
    const double response = law().Predict(theta, x, gradient);
    for (Eigen::Index j = 0; j < k; ++j) {
      forms[0](i, j) = gradient[free[static_cast<size_t>(j)]];
      forms[1](i, j) = forms[0](i, j) / response;
    }
    const double measured = accuracy != nullptr ? accuracy->numbers[problem.index()[place]] : rows.y[place];
    residuals[i] = scale(measured) - predicted;
    // The weight of the row's square on this scale: a share of n items has n, a logarithm or a response its own times
    // the square of its slope by z.
    if (method.of_counts()) {
      weights[i] = rows.total[place];
    } else {
      double to_value = 1;
      const double value = scale.of_accuracy() ? problem.inverse()(response, &to_value) : response;
      const double by_z = 1 / (to_value * scale.Slope(value)) / (method.of_log() ? response : 1);
      weights[i] = (method.of_log() ? rows.log_weight(place) : rows.weight(place)) * by_z * by_z;
    }
    if (!std::isfinite(weights[i])) weights[i] = 0;
  }
  groups.cells = cell_of_key.size();
  estimator = InverseOf(slopes.transpose() * weights.asDiagonal() * slopes) * slopes.transpose() * weights.asDiagonal();
  leverage = InverseOf(slopes.transpose() * slopes);
  largest_leverage = 0;
  for (Eigen::Index i = 0; i < n; ++i)
    largest_leverage = std::max(largest_leverage, slopes.row(i).dot(leverage * slopes.row(i).transpose()));
  scatter.emplace(std::move(groups), slopes, residuals, forms);
}

double LawPredictor::Distance(std::span<const double> x) const {
  Eigen::VectorXd there;
  state_->Scaled(x, &there);
  return there.dot(state_->leverage * there) / state_->largest_leverage;
}

LawPrediction LawPredictor::At(std::span<const double> x, const std::string& unit) const { return state_->At(x, unit); }

LawPrediction LawPredictor::State::At(std::span<const double> x, const std::string& unit) const {
  LawPrediction out;
  out.response = law().Predict(theta, x, {});
  out.law_value = out.value = scale.of_accuracy() ? problem.inverse()(out.response) : out.response;
  const auto at_unit = unit_of_label.find(unit);
  out.is_known_unit = at_unit != unit_of_label.end();
  Eigen::VectorXd there;
  const double law_z = Scaled(x, &there);
  if (!std::isfinite(law_z) || !there.allFinite()) {
    out.why_no_interval = "the law has no value there";
    return out;
  }
  if (!scatter->why_none().empty()) {
    out.why_no_interval = scatter->why_none();
    return out;
  }
  // A level that is in a variance's sum must be known; s_u of a known unit matters little, but is known with it.
  if (!out.is_known_unit && scatter->has(NestedVariance::kUnit) &&
      scatter->degrees_of_freedom(NestedVariance::kUnit) < 1) {
    out.why_no_interval = std::to_string(scatter->groups().units) +
                          (unit_name == "model" ? " models" : " values of " + unit_name) +
                          " are too few to show how far the law is off for another one";
    return out;
  }
  const NestedGroups& groups = scatter->groups();
  const size_t n = groups.rows();
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t cell = kNone;
  if (out.is_known_unit) {
    const auto found = cell_of_key.find({at_unit->second, CellKey(x)});
    if (found != cell_of_key.end()) cell = found->second;
  }
  Eigen::VectorXd shared = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(n));
  for (size_t i = 0; i < n && out.is_known_unit; ++i) {
    if (groups.unit_of_row[i] != at_unit->second) continue;
    shared[static_cast<Eigen::Index>(i)] =
        scatter->variance(NestedVariance::kUnit) +
        (groups.cell_of_row[i] == cell ? scatter->variance(NestedVariance::kCell) : 0);
  }
  const Eigen::VectorXd u = scatter->Solve(shared);
  const Eigen::VectorXd lambda = estimator.transpose() * (there - slopes.transpose() * u) + u;
  const double z = law_z + u.dot(residuals);
  if (out.is_known_unit) out.value = scale.Inverse(z);

  // Rows at the point's bits scatter as those of other models there; at bits that no row has, as all do.
  double own_factor = 1, own_freedom = scatter->degrees_of_freedom(NestedVariance::kRow);
  if (const auto setting = setting_of_key.find(CellKey(x)); setting != setting_of_key.end()) {
    const auto& of_cell = groups.setting_of_cell;
    const auto like = static_cast<size_t>(std::find(of_cell.begin(), of_cell.end(), setting->second) - of_cell.begin());
    own_factor = scatter->row_factor(like);
    own_freedom = scatter->row_freedom(like);
  }
  // Of each level, the square of the weights that the groups get, the point's own group with 1 less.
  std::vector<double> of_unit(groups.units, 0), of_cell(groups.cells, 0);
  double of_rows = 0, of_units = 0, of_cells = 0;
  for (size_t i = 0; i < n; ++i) {
    const double weight = lambda[static_cast<Eigen::Index>(i)];
    of_unit[groups.unit_of_row[i]] += weight;
    of_cell[groups.cell_of_row[i]] += weight;
    of_rows += weight * weight * scatter->row_factor(groups.cell_of_row[i]);
  }
  if (out.is_known_unit) of_unit[at_unit->second] -= 1;
  if (cell != kNone) of_cell[cell] -= 1;
  for (const double weight : of_unit) of_units += weight * weight;
  for (const double weight : of_cell) of_cells += weight * weight;
  if (!out.is_known_unit) of_units += 1;
  if (cell == kNone) of_cells += 1;
  double total = 0, over_freedom = 0;
  const auto add = [&](NestedVariance::Level level, double share, double freedom) {
    const double part = share * scatter->variance(level);
    total += part;
    if (part > 0) over_freedom += part * part / std::max(1.0, freedom);
  };
  add(NestedVariance::kUnit, of_units, scatter->degrees_of_freedom(NestedVariance::kUnit));
  add(NestedVariance::kCell, of_cells, scatter->degrees_of_freedom(NestedVariance::kCell));
  add(NestedVariance::kRow, of_rows + own_factor, own_freedom);
  out.standard_error = std::sqrt(total);
  out.degrees_of_freedom = over_freedom > 0 ? total * total / over_freedom : kUnset;
  if (!(total > 0)) {
    out.interval = {out.value, out.value};  // The law leaves nothing over.
    return out;
  }
  const double half = out.standard_error * StudentQuantile(confidence, out.degrees_of_freedom);
  out.interval = {scale.Inverse(z - half), scale.Inverse(z + half)};
  return out;
}

}  // namespace bitlaw
