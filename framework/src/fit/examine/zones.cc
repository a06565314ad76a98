#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/text/counted.h"
#include "fit/estimate/linear_design.h"
#include "fit/examine/strata.h"
#include "fit/table/accuracy_checks.h"
#include "fit/table/column_roles.h"

namespace bitlaw {

namespace {

// Numbers of a column; empty if there is none.
std::span<const double> NumbersOf(const Table& table, const std::string& name) {
  const TableColumn* column = table.Find(name);
  return column == nullptr || column->is_text ? std::span<const double>() : std::span<const double>(column->numbers);
}

// Which model each row is of: its name, or its size where the table has no names. Empty: the table does not say.
std::vector<std::string> ModelNames(const Table& table, const FactorRoles& roles) {
  const TableColumn* model = table.Find("model");
  if (model == nullptr) model = table.Find(FirstColumn(table, roles, FactorRole::kScale));
  std::vector<std::string> names;
  for (size_t row = 0; row < table.rows() && model != nullptr; ++row) names.push_back(table.CellText(*model, row));
  return names;
}

// Which rows have an accuracy that something can have scored.
std::vector<bool> HaveAccuracy(const Table& table, std::span<const double> accuracy) {
  const auto chance = NumbersOf(table, "chance");
  std::vector<bool> have(table.rows(), false);
  for (size_t row = 0; row < accuracy.size(); ++row) {
    have[row] = std::isfinite(accuracy[row]) &&
                ExplainImpossibleAccuracy(accuracy[row], chance.empty() ? kUnset : chance[row]).empty();
  }
  return have;
}

// acc_adj that each row would have if nothing were lost; NaN where that is not known. See Zone::kept.
std::vector<double> References(const Law& law, const Table& table, const FactorRoles& roles,
                               std::span<const double> accuracy, const std::vector<bool>& fits) {
  std::vector<double> reference(table.rows(), kUnset);
  std::vector<std::span<const double>> precision;  // More is better, the first factor of the law first.
  for (const std::string& name : PrecisionOf(law, table, roles)) precision.push_back(NumbersOf(table, name));
  const auto baseline = NumbersOf(table, "baseline_acc_adj");
  const std::vector<std::string> models = ModelNames(table, roles);
  struct Best {
    std::vector<double> bits;
    double sum = 0, count = 0;
  };
  std::map<std::string, Best> best_of;
  const auto name_of = [&](size_t row) { return models.empty() ? std::string() : models[row]; };
  for (size_t row = 0; row < table.rows() && !precision.empty(); ++row) {
    std::vector<double> bits;
    for (const auto& values : precision) bits.push_back(values[row]);
    if (!fits[row] || !std::all_of(bits.begin(), bits.end(), [](double value) { return std::isfinite(value); })) continue;
    Best& best = best_of[name_of(row)];
    if (bits > best.bits) best = {bits, 0, 0};
    if (bits < best.bits) continue;
    best.sum += accuracy[row];
    ++best.count;
  }
  for (size_t row = 0; row < table.rows(); ++row) {
    if (!baseline.empty() && std::isfinite(baseline[row])) reference[row] = baseline[row];
    if (!std::isnan(reference[row])) continue;
    const auto found = best_of.find(name_of(row));
    if (found != best_of.end()) reference[row] = found->second.sum / found->second.count;
  }
  return reference;
}

// Values of the law's factors of precision, and of those others that were declared, in the rows that are fitted and in
// those at or below chance; none of a factor with many values.
std::vector<std::string> UsualZones(const Law& law, const Table& table, const FactorRoles& roles, const LinearDesign& design,
                                    const std::vector<bool>& at_chance) {
  constexpr size_t kMostBits = 16, kFewValues = 8;
  std::vector<std::string> conditions;
  const auto add = [&](const std::vector<std::string>& names, size_t most) {
    for (const std::string& name : names) {
      const auto column = NumbersOf(table, name);
      std::set<double> values;
      for (const size_t row : design.rows()) values.insert(column[row]);
      for (size_t row = 0; row < table.rows(); ++row) {
        if (at_chance[row]) values.insert(column[row]);
      }
      if (values.size() < 2 || values.size() > most) continue;
      for (const double value : values) conditions.push_back(name + " == " + ShortestText(value));
    }
  };
  add(roles.CovariatesOf(law, FactorRole::kPrecision), kMostBits);
  add(roles.DeclaredOthers(law), kFewValues);
  return conditions;
}

// What a law knows of the models behind its rows: covariates that are constant within each.
class ModelDifferences {
 public:
  ModelDifferences(const Law& law, const Table& table, const FactorRoles& roles, std::span<const size_t> rows)
      : models_(ModelNames(table, roles)) {
    for (const std::string& name : law.covariates()) {
      const std::vector<double>& values = table.Numbers(name);
      std::map<std::string, double> value_of;
      const bool is_constant = !models_.empty() && std::all_of(rows.begin(), rows.end(), [&](size_t row) {
        return value_of.emplace(models_[row], values[row]).first->second == values[row];
      });
      if (is_constant) constant_.push_back(&values);
    }
  }
  // Whether these rows are of several models between which no such covariate differs.
  bool AreUnseen(const std::vector<size_t>& rows) const {
    if (models_.empty() || rows.empty()) return false;
    const auto differ = [&](const auto& of_row) {
      return std::any_of(rows.begin(), rows.end(), [&](size_t row) { return of_row[row] != of_row[rows[0]]; });
    };
    return differ(models_) &&
           std::none_of(constant_.begin(), constant_.end(), [&](const auto* values) { return differ(*values); });
  }

 private:
  std::vector<std::string> models_;
  std::vector<const std::vector<double>*> constant_;
};

// What flags a zone that lost accuracy, or why none can.
struct ZoneFacts {
  size_t rows = 0;     // Fitted, or at or below chance.
  size_t factors = 0;  // Of the law's linear form, varying in the zone.
  bool is_flat = false, are_models_unseen = false;
};

void Flag(Zone& zone, const ZoneFacts& facts) {
  const auto lost = [&](double kept, double share) { return zone.kept < kept || zone.lost_share >= share; };
  if (!lost(kZoneLoses, kZoneRowsLost)) return;
  const size_t needed = std::max<size_t>(3, facts.factors + 2);
  const bool at_chance = zone.lost_share >= kZoneCollapses;
  if (facts.rows < needed) {
    zone.why_not_judged =
        fmt::format("{} fitted or at chance, of at least {} that are needed", Counted(facts.rows, "row"), needed);
  } else if (!at_chance && facts.are_models_unseen) {
    zone.why_not_judged = "no covariate of the law tells the models apart";
  } else if (!at_chance && !zone.why_none.empty() && zone.rows >= needed) {
    zone.why_not_judged = "its factors cannot be told apart there";
  }
  if (!zone.why_not_judged.empty()) return;
  const bool collapsed = lost(kZoneCollapses, kZoneCollapses);
  // NaN: too few rows are above chance for a fit.
  const bool explains_nothing = zone.exponents.empty() || !(zone.adjusted_r2 >= 0);
  if (collapsed && explains_nothing) {
    zone.flags.emplace_back("structural collapse");
  } else if (!zone.exponents.empty() && zone.adjusted_r2 < kZoneExplained) {
    zone.flags.emplace_back("gap");
    if (collapsed && facts.is_flat) zone.flags.emplace_back("precision collapse");
  }
}

}  // namespace

std::vector<Zone> Regimes(const Law& law, const Table& table, const FitSettings& settings) {
  std::vector<Zone> zones;
  const LinearDesign design(law, table, settings);
  if (!design.why_none().empty()) return zones;
  const TableColumn* hold_out = table.Find("hold_out");
  const auto accuracy = NumbersOf(table, "acc_adj");
  // Rows with an accuracy; of those, the ones that the law is about, and that are at or below chance.
  std::vector<bool> scored = HaveAccuracy(table, accuracy), of_law(table.rows(), false), at_chance = of_law;
  for (size_t row = 0; row < table.rows(); ++row) scored[row] = scored[row] && !IsHeldOut(hold_out, table, row);
  for (const size_t row : design.complete_rows()) of_law[row] = scored[row];
  for (size_t row = 0; row < table.rows(); ++row) at_chance[row] = of_law[row] && accuracy[row] <= 0;
  const std::vector<std::string> conditions =
      settings.zones.empty() ? UsualZones(law, table, settings.roles, design, at_chance) : settings.zones;
  const std::vector<double> reference = References(law, table, settings.roles, accuracy, scored);
  const ModelDifferences models(law, table, settings.roles, design.rows());
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, design.rows(), settings.roles);
  std::vector<size_t> all(design.columns());
  for (size_t j = 0; j < all.size(); ++j) all[j] = j;
  std::vector<double> pooled(design.columns(), kUnset);
  if (design.ExplainColumns(all).empty()) {
    const OlsResult whole = design.Fit(all);
    for (size_t j = 0; j < all.size(); ++j) pooled[j] = whole.coefficients[j].value;
  }
  for (const std::string& condition : conditions) {
    Zone zone;
    zone.name = condition;
    const std::vector<size_t> members = table.Where(Expression::Parse(condition));
    const std::set<size_t> within(members.begin(), members.end());
    double sum = 0, reference_sum = 0, count = 0, lost = 0;
    for (const size_t row : members) {
      if (!of_law[row]) continue;
      zone.at_chance += at_chance[row];
      if (!(reference[row] > 0)) continue;
      sum += accuracy[row];
      reference_sum += reference[row];
      lost += at_chance[row];
      ++count;
    }
    if (count > 0) {
      zone.kept = sum / reference_sum;
      zone.lost_share = lost / count;
    }
    ZoneFacts facts;
    size_t granularities = 0;
    std::vector<size_t> group_of_row, fitted;
    for (const size_t row : design.rows()) {
      group_of_row.push_back(within.contains(row) ? 1 : 0);
      if (group_of_row.back() == 1) fitted.push_back(row);
    }
    zone.rows = fitted.size();
    facts.rows = zone.rows + static_cast<size_t>(std::count_if(members.begin(), members.end(), [&](size_t row) {
                   return at_chance[row] && !std::binary_search(fitted.begin(), fitted.end(), row);
                 }));
    facts.are_models_unseen = models.AreUnseen(fitted);
    const std::vector<size_t> columns = design.VaryingColumns(group_of_row, 1);
    zone.why_none = zone.rows == 0 ? "no row is fitted in it" : design.ExplainColumns(columns, &group_of_row, 1);
    for (const size_t column : columns) facts.factors += !design.covariates_of(column).empty();
    if (zone.why_none.empty()) {
      const OlsResult fit = design.Fit(columns, &group_of_row, 1);
      const ClusterRobust robust = design.Robust(columns, fit, units, &group_of_row, 1);
      zone.adjusted_r2 = fit.quality.adjusted_r2;
      for (size_t j = 0; j < columns.size(); ++j) {
        const auto& needs = design.covariates_of(columns[j]);
        if (needs.empty()) continue;
        Zone::Exponent exponent;
        exponent.parameter = law.parameters()[design.parameter(columns[j])].name;
        exponent.value = fit.coefficients[j].value;
        const RobustError error = robust.units().is_clustered() ? robust.Error(j)
                                                                : RobustError{fit.coefficients[j].standard_error,
                                                                              static_cast<double>(fit.df_residual)};
        exponent.standard_error = error.error;
        exponent.degrees_of_freedom = error.degrees_of_freedom;
        const double half = error.error * StudentQuantile(settings.confidence, error.degrees_of_freedom);
        exponent.interval = {exponent.value - half, exponent.value + half};
        exponent.amplification = exponent.value / pooled[columns[j]];
        if (needs.size() == 1 && settings.roles.Of(needs[0]) == FactorRole::kGranularity) {
          const bool is_flat = exponent.interval.low <= 0 && exponent.interval.high >= 0;
          facts.is_flat = is_flat && (granularities == 0 || facts.is_flat);
          ++granularities;
        }
        zone.exponents.push_back(std::move(exponent));
      }
    }
    Flag(zone, facts);
    zones.push_back(std::move(zone));
  }
  return zones;
}

}  // namespace bitlaw
