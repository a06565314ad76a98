#include "fit/data/row_units.h"

#include <fmt/format.h>

#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "fit/table/column_roles.h"

namespace bitlaw {

namespace {

RowUnits ByColumn(const Table& table, const std::string& name, const TableColumn& column,
                  std::span<const size_t> rows) {
  RowUnits units;
  units.name = name;
  std::unordered_map<std::string, size_t> seen;
  for (const size_t row : rows) {
    const bool is_empty = column.is_text ? column.texts[row].empty() : std::isnan(column.numbers[row]);
    std::string label = is_empty ? "" : table.CellText(column, row);
    if (is_empty) label = fmt::format("(row {})", row + 1);
    const auto [at, is_new] = seen.emplace(label, units.labels.size());
    if (is_new) units.labels.push_back(std::move(label));
    units.unit_of_row.push_back(at->second);
  }
  return units;
}

RowUnits ByTrial(const Table& table, std::span<const size_t> rows) {
  if (const TableColumn* trial = table.Find("trial")) return ByColumn(table, "trials", *trial, rows);
  RowUnits units;
  units.name = "trials";
  for (const size_t row : rows) {
    units.unit_of_row.push_back(units.labels.size());
    units.labels.push_back(fmt::format("(row {})", row + 1));
  }
  return units;
}

// A table without models whose rows share few sizes is most likely one of few models.
std::string SizesNote(const Table& table, std::span<const size_t> rows, const FactorRoles& roles) {
  const std::string size = FirstColumn(table, roles, FactorRole::kScale);
  if (size.empty()) return "";
  std::unordered_set<double> sizes;
  for (const size_t row : rows) sizes.insert(table.Numbers(size)[row]);
  if (2 * sizes.size() > rows.size()) return "";
  return fmt::format(
      "there is no column 'model', so every row counts as independent; its {0} rows have {1} values of {2}: if rows of "
      "one {2} are of one model, give --unit {2} (or the column that names the model)",
      rows.size(), sizes.size(), size);
}

}  // namespace

std::vector<std::vector<size_t>> RowUnits::Members() const {
  std::vector<std::vector<size_t>> members(labels.size());
  for (size_t place = 0; place < unit_of_row.size(); ++place) members[unit_of_row[place]].push_back(place);
  return members;
}

RowUnits UnitsOf(const Table& table, const std::string& asked, std::span<const size_t> rows,
                 const FactorRoles& roles) {
  if (asked == "trials") return ByTrial(table, rows);
  if (asked != "auto" && asked != "items") return ByColumn(table, asked, table.At(asked, "unit"), rows);
  const TableColumn* model = table.Find("model");
  if (model == nullptr) {
    RowUnits units = ByTrial(table, rows);
    units.note = SizesNote(table, rows, roles);
    return units;
  }
  RowUnits units = ByColumn(table, "model", *model, rows);
  if (units.size() < 2 || !units.is_clustered()) {
    const bool is_one = units.size() == 1;
    units = ByTrial(table, rows);
    if (is_one) units.note = "all rows are of one model: its rows count as independent, and nothing is said of others";
  }
  return units;
}

}  // namespace bitlaw
