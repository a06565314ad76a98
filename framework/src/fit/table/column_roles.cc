#include "fit/table/column_roles.h"

namespace bitlaw {

FactorRoles RolesOf(const std::vector<ObservationColumn>& columns) {
  FactorRoles roles;
  for (const ObservationColumn& column : columns) {
    if (column.factor) roles.Declare(*column.factor);
  }
  return roles;
}

std::string FirstColumn(const Table& table, const FactorRoles& roles, FactorRole role) {
  for (const TableColumn& column : table.columns()) {
    if (!column.is_text && roles.Of(column.name) == role) return column.name;
  }
  return "";
}

std::vector<std::string> PrecisionOf(const Law& law, const Table& table, const FactorRoles& roles) {
  std::vector<std::string> names = roles.CovariatesOf(law, FactorRole::kPrecision);
  std::erase_if(names, [&](const std::string& name) {
    const TableColumn* column = table.Find(name);
    return column == nullptr || column->is_text;
  });
  const std::string first = FirstColumn(table, roles, FactorRole::kPrecision);
  if (names.empty() && !first.empty()) names.push_back(first);
  return names;
}

}  // namespace bitlaw
