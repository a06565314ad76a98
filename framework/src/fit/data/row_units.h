#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/options/factor_roles.h"
#include "records/table.h"

namespace bitlaw {

/// Below this number of units their scatter is itself so uncertain that reports say so.
inline constexpr size_t kFewUnits = 8;

/// Which rows count as one observation: those of a unit may deviate together, units do not.
struct BITLAW_EXPORT RowUnits {
  std::string name;                 ///< "model", "trials" or another column.
  std::vector<std::string> labels;  ///< Of the units, in order of appearance.
  std::vector<size_t> unit_of_row;  ///< Of the rows that were asked for.
  std::string note;                 ///< What a reader must know about the choice; "" for nothing.
  size_t size() const { return labels.size(); }
  /// Whether a unit has several of the rows.
  bool is_clustered() const { return labels.size() < unit_of_row.size(); }
  std::vector<std::vector<size_t>> Members() const;  ///< Places in unit_of_row, unit by unit.
};

/// Units of some rows of a table.
///
/// `asked`: "trials" (column `trial`; without one, every row is a unit), or a column, whose equal values are of one
/// unit (an empty cell is a unit of its own). "auto" and "items" (which says what the bootstrap draws and nothing of
/// rows): `model` where the table has such a column and several of the rows are of one model, else trials.
/// Error(kSpec) for a column that the table lacks.
BITLAW_EXPORT RowUnits UnitsOf(const Table& table, const std::string& asked, std::span<const size_t> rows,
                                const FactorRoles& roles = {});

}  // namespace bitlaw
