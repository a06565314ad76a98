#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "fit/linear_design.h"
#include "fit/strata.h"

namespace bitlaw {

namespace {

// Numbers of a column; empty if there is none.
std::span<const double> NumbersOf(const Table& table, const char* name) {
  const TableColumn* column = table.Find(name);
  return column == nullptr || column->is_text ? std::span<const double>() : std::span<const double>(column->numbers);
}

// acc_adj that each row would have if nothing were lost; NaN where that is not known. See Zone::kept.
std::vector<double> References(const Table& table, std::span<const double> accuracy, const std::vector<bool>& fits) {
  std::vector<double> reference(table.rows(), kUnset);
  const auto bits = NumbersOf(table, "B"), baseline = NumbersOf(table, "baseline_acc_adj");
  const TableColumn* model = table.Find("model");
  if (model == nullptr) model = table.Find("N");
  struct Best {
    double bits = -1, sum = 0, count = 0;
  };
  std::map<std::string, Best> best_of;
  const auto name_of = [&](size_t row) { return model == nullptr ? std::string() : table.CellText(*model, row); };
  for (size_t row = 0; row < table.rows() && !bits.empty(); ++row) {
    if (!fits[row] || std::isnan(accuracy[row]) || std::isnan(bits[row])) continue;
    Best& best = best_of[name_of(row)];
    if (bits[row] > best.bits) best = {bits[row], 0, 0};
    if (bits[row] < best.bits) continue;
    best.sum += accuracy[row];
    ++best.count;
  }
  for (size_t row = 0; row < table.rows(); ++row) {
    if (!baseline.empty()) reference[row] = baseline[row];
    if (!std::isnan(reference[row])) continue;
    const auto found = best_of.find(name_of(row));
    if (found != best_of.end()) reference[row] = found->second.sum / found->second.count;
  }
  return reference;
}

// Those of `fits` that have what the law needs, whatever their accuracy.
std::vector<bool> RowsOf(const Law& law, const Table& table, std::vector<bool> fits) {
  for (const std::string& name : law.covariates()) {
    const std::vector<double>& values = table.Numbers(name);
    for (size_t row = 0; row < fits.size(); ++row) fits[row] = fits[row] && std::isfinite(values[row]);
  }
  return fits;
}

// Values of B of the rows that are fitted, and of those that only the logarithm of the response could not take.
std::vector<std::string> BitZones(const Law& law, const Table& table, const LinearDesign& design,
                                  std::span<const double> accuracy, const std::vector<bool>& fits) {
  std::vector<std::string> conditions;
  const auto bits = NumbersOf(table, "B");
  const auto covariates = law.covariates();
  if (bits.empty() || std::find(covariates.begin(), covariates.end(), "B") == covariates.end()) return conditions;
  std::set<double> values;
  for (const size_t row : design.rows()) values.insert(bits[row]);
  for (size_t row = 0; row < table.rows() && !accuracy.empty(); ++row) {
    if (!fits[row] || !(accuracy[row] <= 0)) continue;
    const bool complete = std::all_of(covariates.begin(), covariates.end(),
                                      [&](const std::string& name) { return std::isfinite(table.Numbers(name)[row]); });
    if (complete) values.insert(bits[row]);
  }
  if (values.size() < 2) return conditions;
  for (const double value : values) conditions.push_back("B == " + ShortestText(value));
  return conditions;
}

void Flag(Zone& zone, bool is_flat) {
  const auto lost = [&](double kept, double share) { return zone.kept < kept || zone.lost_share >= share; };
  if (!lost(kZoneLoses, kZoneRowsLost)) return;
  const bool collapsed = lost(kZoneCollapses, kZoneCollapses);
  // NaN: the zone could not be fitted.
  const bool explains_nothing = zone.exponents.empty() || !(zone.adjusted_r2 >= 0);
  if (collapsed && explains_nothing) {
    zone.flags.emplace_back("structural collapse");
  } else if (!zone.exponents.empty() && zone.adjusted_r2 < kZoneExplained) {
    zone.flags.emplace_back("gap");
    if (collapsed && is_flat) zone.flags.emplace_back("precision collapse");
  }
}

}  // namespace

std::vector<Zone> Regimes(const Law& law, const Table& table, const FitSettings& settings) {
  std::vector<Zone> zones;
  const LinearDesign design(law, table, settings);
  if (!design.why_none().empty()) return zones;
  const TableColumn* hold_out = table.Find("hold_out");
  std::vector<bool> fits(table.rows());
  for (size_t row = 0; row < table.rows(); ++row) fits[row] = !IsHeldOut(hold_out, table, row);
  const auto accuracy = NumbersOf(table, "acc_adj");
  const std::vector<bool> of_law = RowsOf(law, table, fits);
  const std::vector<std::string> conditions =
      settings.zones.empty() ? BitZones(law, table, design, accuracy, of_law) : settings.zones;
  const std::vector<double> reference = accuracy.empty() ? std::vector<double>() : References(table, accuracy, fits);
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, design.rows());
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
      if (accuracy.empty() || !of_law[row] || std::isnan(accuracy[row])) continue;
      zone.at_chance += accuracy[row] <= 0;
      if (!(reference[row] > 0)) continue;
      sum += accuracy[row];
      reference_sum += reference[row];
      lost += accuracy[row] <= 0;
      ++count;
    }
    if (count > 0) {
      zone.kept = sum / reference_sum;
      zone.lost_share = lost / count;
    }
    std::vector<size_t> group_of_row;
    for (const size_t row : design.rows()) {
      group_of_row.push_back(within.contains(row) ? 1 : 0);
      zone.rows += within.contains(row);
    }
    const std::vector<size_t> columns = design.VaryingColumns(group_of_row, 1);
    zone.why_none = zone.rows == 0 ? "no row is fitted in it" : design.ExplainColumns(columns, &group_of_row, 1);
    bool is_flat = false;
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
        if (needs.size() == 1 && needs[0] == "G") is_flat = exponent.interval.low <= 0 && exponent.interval.high >= 0;
        zone.exponents.push_back(std::move(exponent));
      }
    }
    Flag(zone, is_flat);
    zones.push_back(std::move(zone));
  }
  return zones;
}

}  // namespace bitlaw
