#include "fit/table/baseline.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "api/chance_adjusted.h"
#include "fit/table/strata_data.h"
#include "fit/table/unset.h"
#include "records/responses/item_responses.h"

namespace bitlaw {

namespace {

const TableColumn* NumberColumn(const Table& table, const char* name) {
  const TableColumn* column = table.Find(name);
  return column == nullptr || column->is_text ? nullptr : column;
}

// The column that names the model of a row; null if the table does not tell models apart.
const TableColumn* ModelColumn(const Table& table) {
  const TableColumn* model = table.Find("model");
  return model != nullptr ? model : table.Find("N");
}

}  // namespace

bool IsAnchorColumn(const std::string& covariate) {
  return covariate == kBaselineAccuracy || (covariate.starts_with("baseline_") && !TasksTelling(covariate).empty());
}

bool IsAnchored(const Law& law) {
  const auto covariates = law.covariates();
  return std::find(covariates.begin(), covariates.end(), kBaselineAccuracy) != covariates.end();
}

std::vector<bool> UnquantizedRows(const Table& table, const FactorRoles& roles) {
  const TableColumn* quantizer = table.Find("quantizer");
  const TableColumn *accuracy = NumberColumn(table, "acc_adj"), *baseline = NumberColumn(table, kBaselineAccuracy);
  std::vector<const TableColumn*> precision;
  for (const TableColumn& column : table.columns()) {
    if (!column.is_text && roles.Of(column.name) == FactorRole::kPrecision) precision.push_back(&column);
  }
  std::vector<bool> unquantized(table.rows(), false);
  for (size_t row = 0; row < table.rows(); ++row) {
    if (quantizer != nullptr && quantizer->is_text && quantizer->texts[row] == "none") {
      unquantized[row] = true;
      continue;
    }
    size_t known = 0, anchored = 0;
    for (const TableColumn* column : precision) {
      const double bits = column->numbers[row];
      known += !std::isnan(bits);
      anchored += bits >= roles.AnchorOf(column->name);
    }
    const bool other = accuracy != nullptr && baseline != nullptr && accuracy->numbers[row] != baseline->numbers[row];
    unquantized[row] = known > 0 && anchored == known && !other;
  }
  return unquantized;
}

std::vector<std::vector<size_t>> BaselineRowsOf(const Table& table, const FactorRoles& roles) {
  std::vector<std::vector<size_t>> rows_of(table.rows());
  const TableColumn* model = ModelColumn(table);
  if (model == nullptr) return rows_of;
  const auto key = [&](size_t row) {
    std::vector<std::string> parts = {table.CellText(*model, row)};
    for (const char* name : {"task", "stratum"}) parts.push_back(table.TextAt(name, row));
    return parts;
  };
  const std::vector<bool> unquantized = UnquantizedRows(table, roles);
  std::map<std::vector<std::string>, std::vector<size_t>> found;
  for (size_t row = 0; row < table.rows(); ++row) {
    if (unquantized[row]) found[key(row)].push_back(row);
  }
  for (size_t row = 0; row < table.rows() && !found.empty(); ++row) {
    const auto at = found.find(key(row));
    if (at != found.end()) rows_of[row] = at->second;
  }
  return rows_of;
}

Table WithBaseline(Table table, const FactorRoles& roles) {
  if (table.Find(kBaselineAccuracy) != nullptr) return table;
  const TableColumn *value = NumberColumn(table, "baseline_value"), *chance = NumberColumn(table, "chance");
  const bool observations = table.Find("trial") != nullptr && table.Find("task") != nullptr;
  if (value != nullptr && observations) return table;  // Whoever averages over tasks makes it of baseline_value.
  std::vector<double> baseline(table.rows(), kUnset);
  if (value != nullptr && chance != nullptr) {
    for (size_t row = 0; row < baseline.size(); ++row)
      baseline[row] = ChanceAdjusted(value->numbers[row], chance->numbers[row]);
  } else {
    const TableColumn* accuracy = NumberColumn(table, "acc_adj");
    if (accuracy == nullptr) return table;
    const auto rows_of = BaselineRowsOf(table, roles);
    if (std::all_of(rows_of.begin(), rows_of.end(), [](const auto& rows) { return rows.empty(); })) return table;
    for (size_t row = 0; row < baseline.size(); ++row) {
      double sum = 0;
      for (const size_t one : rows_of[row]) sum += accuracy->numbers[one];
      if (!rows_of[row].empty()) baseline[row] = sum / static_cast<double>(rows_of[row].size());
    }
  }
  table.AddNumbers(kBaselineAccuracy, std::move(baseline));
  return table;
}

std::vector<std::string> ModelsWithoutBaseline(const Table& table, const std::vector<bool>& is_counted) {
  std::vector<std::string> names;
  const TableColumn *model = ModelColumn(table), *baseline = NumberColumn(table, kBaselineAccuracy);
  for (size_t row = 0; row < table.rows(); ++row) {
    if (!is_counted[row] || (baseline != nullptr && !std::isnan(baseline->numbers[row]))) continue;
    const std::string name = model == nullptr ? RowLabel(table, row) : table.CellText(*model, row);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

}  // namespace bitlaw
