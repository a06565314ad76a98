#include "fit/predict/stratum_predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/options/quoted_text.h"
#include "fit/solve/least_squares.h"
#include "fit/table/baseline.h"

namespace bitlaw {

Interval MeasuredInterval(double acc_adj, double chance, double standard_error, double items, double level) {
  const double p = AccuracyOf(acc_adj, chance), error = (1 - chance) * standard_error;
  const double n = p > 0 && p < 1 && error > 0 ? p * (1 - p) / (error * error) : items;
  if (!(n > 0) || !std::isfinite(p) || p < 0 || p > 1) return {};
  const double t = NormalQuantile((1 + level) / 2), t2 = t * t / n;
  const double middle = (p + t2 / 2) / (1 + t2), half = t * std::sqrt(p * (1 - p) / n + t2 / n / 4) / (1 + t2);
  return {ChanceAdjusted(middle - half, chance), ChanceAdjusted(middle + half, chance)};
}

StratumPredictor::StratumPredictor(const Law& law, StratumData data, const FitSettings& settings)
    : law_(law), data_(std::make_unique<StratumData>(std::move(data))), settings_(settings) {
  settings_.nulls = false;
  fit_ = FitLaw(law, data_->table, settings_);
  if (fit_.Methods().empty()) {
    why_none_ = !fit_.unusable.empty()               ? fit_.unusable
                : !fit_.why_no_least_squares.empty() ? fit_.why_no_least_squares
                                                     : fit_.why_no_ols;
    return;
  }
  problem_.emplace(law, data_->table, settings_, method().procedure);
  predictor_ = std::make_unique<LawPredictor>(*problem_, data_->table, settings_, method());
  zones_ = Regimes(law, data_->table, settings_);
  const size_t c = law.covariates().size();
  constexpr size_t kFew = 64;
  for (size_t j = 0; j < c; ++j) {
    std::set<double> values;
    for (size_t i = 0; i < problem_->rows().size(); ++i) values.insert(problem_->rows().row(i, c)[j]);
    low_.push_back(values.empty() ? kUnset : *values.begin());
    high_.push_back(values.empty() ? kUnset : *values.rbegin());
    settings_of_.emplace_back();
    if (values.size() <= kFew) settings_of_.back().assign(values.begin(), values.end());
  }
}

// "B == 2: gap" if the point is in the zone; "B = 2.5 lies next to B == 2: gap" between that and the next setting.
std::string StratumPredictor::ZoneNote(std::span<const double> x, const Zone& zone) const {
  if (zone.flags.empty()) return "";
  std::string flags;
  for (const std::string& flag : zone.flags) flags += (flags.empty() ? "" : ", ") + flag;
  const Expression condition = Expression::Parse(zone.name);
  const std::vector<std::string> names = condition.names();
  std::vector<ExpressionVariable> scope;
  std::vector<double> values;
  for (const std::string& name : names) {
    const auto at = std::find(law_.covariates().begin(), law_.covariates().end(), name);
    if (at == law_.covariates().end()) return "";  // A zone of a column that the point does not have.
    scope.push_back({name, ExpressionType::kNumber});
    values.push_back(x[static_cast<size_t>(at - law_.covariates().begin())]);
  }
  if (condition.Compile(scope, ExpressionType::kBool).Truth(values)) return fmt::format("{}: {}", zone.name, flags);
  // A usual zone is one value of one factor.
  if (names.size() != 1 || zone.name.find(" == ") == std::string::npos) return "";
  const auto j = static_cast<size_t>(std::find(law_.covariates().begin(), law_.covariates().end(), names[0]) -
                                     law_.covariates().begin());
  const std::vector<double>& known = settings_of_[j];
  const auto above = std::lower_bound(known.begin(), known.end(), values[0]);
  for (const auto at : {above, above == known.begin() ? known.end() : above - 1}) {
    if (at == known.end() || IsSameFactor(*at, values[0])) continue;
    if (above != known.end() && IsSameFactor(*above, values[0])) continue;  // It has a zone of its own.
    const std::vector<double> there = {*at};
    if (condition.Compile(scope, ExpressionType::kBool).Truth(there))
      return fmt::format("{} = {:.6g} is next to {}: {}", names[0], values[0], zone.name, flags);
  }
  return "";
}

std::vector<double> StratumPredictor::Anchored(std::span<const double> x, const std::string& unit,
                                               const LawPoint& point, std::string& why) const {
  std::vector<double> out(x.begin(), x.end());
  const Table& table = data_->table;
  const bool has_models = table.Find("model") != nullptr;
  const auto size = std::find(law_.covariates().begin(), law_.covariates().end(), "N");
  const double* given = point.Number("N");
  const double n = given != nullptr                   ? *given
                   : size == law_.covariates().end() ? kUnset
                                                      : x[static_cast<size_t>(size - law_.covariates().begin())];
  const auto is_of_point = [&](size_t row) {
    if (has_models ? table.TextAt("model", row) != unit : !IsSameFactor(table.NumberAt("N", row), n)) return false;
    return std::all_of(point.words.begin(), point.words.end(), [&](const auto& word) {
      return word.first != "task" || table.Find("task") == nullptr || table.TextAt("task", row) == word.second;
    });
  };
  for (size_t j = 0; j < out.size() && why.empty(); ++j) {
    const std::string& name = law_.covariates()[j];
    if (!std::isnan(out[j]) || !IsAnchorColumn(name)) continue;
    for (size_t row = 0; row < table.rows() && why.empty(); ++row) {
      const double value = is_of_point(row) ? table.NumberAt(name, row) : kUnset;
      if (std::isnan(value)) continue;
      if (!std::isnan(out[j]) && !IsSameFactor(value, out[j]))
        why = fmt::format("{} differs between its tasks: add task=NAME to the point", name);
      out[j] = value;
    }
    if (why.empty() && std::isnan(out[j])) why = fmt::format("no {} of the model is recorded", name);
    if (why.empty() && !(out[j] > 0))
      why = fmt::format("the unquantized model is at or below chance: {} = {:.6g}", name, out[j]);
  }
  return out;
}

PointPlace StratumPredictor::Place(std::span<const double> x) const {
  PointPlace place;
  for (size_t j = 0; j < x.size(); ++j) {
    const bool is_below = x[j] < low_[j] && !IsSameFactor(x[j], low_[j]);
    const bool is_above = x[j] > high_[j] && !IsSameFactor(x[j], high_[j]);
    if (!is_below && !is_above) continue;
    place.outside.push_back(fmt::format("{} = {:.6g} is {} {:.6g} to {:.6g}", law_.covariates()[j], x[j],
                                        is_below ? "below" : "above", low_[j], high_[j]));
  }
  place.distance = predictor_->Distance(x);
  for (const Zone& zone : zones_) {
    std::string note = ZoneNote(x, zone);
    if (!note.empty()) place.zones.push_back(std::move(note));
  }
  return place;
}

std::vector<MeasuredValue> StratumPredictor::Measured(std::span<const double> x, const std::string& unit,
                                                      const LawPoint& point) const {
  std::vector<MeasuredValue> found;
  const Table& table = data_->table;
  const bool is_accuracy = table.Find("acc_adj") != nullptr && ResponseInverse(law_.response()).exists();
  const std::vector<double> response =
      is_accuracy ? table.Numbers("acc_adj") : table.Evaluate(Expression::Parse(law_.response()));
  // Of a response that is a column, another may have its errors: kl_choices_error.
  const std::string error_column = UnquotedName(law_.response()) + "_error";
  for (size_t row = 0; row < table.rows(); ++row) {
    if (!std::isfinite(response[row])) continue;
    if (!unit.empty() && table.Find("model") != nullptr && table.TextAt("model", row) != unit) continue;
    const bool has_words = std::all_of(point.words.begin(), point.words.end(), [&](const auto& word) {
      return table.Find(word.first) == nullptr || table.TextAt(word.first, row) == word.second;
    });
    bool is_same = has_words;
    for (size_t j = 0; j < x.size() && is_same; ++j)
      is_same = IsAnchorColumn(law_.covariates()[j]) || IsSameFactor(table.NumberAt(law_.covariates()[j], row), x[j]);
    if (!is_same) continue;
    const double error = table.NumberAt(is_accuracy ? "standard_error" : error_column, row);
    MeasuredValue value{RowLabel(table, row), response[row], error, {}};
    if (!is_accuracy && std::isfinite(error)) {
      const double half = NormalQuantile((1 + settings_.confidence) / 2) * error;
      value.interval = {value.value - half, value.value + half};
    }
    if (is_accuracy) {
      const double chance = table.NumberAt("chance", row), items = table.NumberAt("items", row);
      value.interval = MeasuredInterval(value.value, std::isnan(chance) ? 0 : chance, value.standard_error, items,
                                        settings_.confidence);
    }
    found.push_back(std::move(value));
  }
  return found;
}

Coverage StratumPredictor::LeaveOut(Coverage::LeftOut left_out) const {
  return MeasureCoverage(*problem_, data_->table, settings_, method(), left_out);
}

namespace {

Table WithoutColumn(const Table& table, const std::string& name) {
  Table out(table.origin());
  for (const TableColumn& column : table.columns()) {
    if (column.name != name) out.Add(column);
  }
  out.KeepRowNames(table);
  return out;
}

}  // namespace

PredictedStudy::PredictedStudy(std::unique_ptr<Law> law, Table table, const FitSettings& settings, bool with_held_out) {
  laws_.push_back(std::move(law));
  table_ = std::make_unique<Table>(with_held_out ? WithoutColumn(table, "hold_out") : std::move(table));
  if (const TableColumn* hold_out = table_->Find("hold_out")) {
    std::set<std::string> held_out;
    for (size_t row = 0; row < table_->rows(); ++row) {
      if (IsHeldOut(hold_out, *table_, row)) held_out.insert(table_->TextAt("model", row));
    }
    held_out.erase("");
    if (!held_out.empty()) {
      notes_.push_back("Held out of the fit, so a new model to the law: " +
                       JoinNames({held_out.begin(), held_out.end()}) + ". --with-held-out fits it too.");
    }
  }
  controlled_ = std::make_unique<ControlledStudy>(laws_, *table_, std::vector<Control>());
  FitSettings plain = settings;
  plain.controls.clear();
  if (!settings.controls.empty())
    notes_.push_back("The study's controls are not used: predictions are of the law without them.");
  StrataData data = SplitStrata(controlled_->table(), settings.average_tasks);
  for (StratumData& stratum : data.strata) strata_.emplace_back(this->law(), std::move(stratum), plain);
}

}  // namespace bitlaw
