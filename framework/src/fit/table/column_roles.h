#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/options/factor_roles.h"
#include "records/observations.h"
#include "records/table.h"

namespace bitlaw {

/// The roles of the factors among the columns of a study's observations.
BITLAW_EXPORT FactorRoles RolesOf(const std::vector<ObservationColumn>& columns);

/// The first column of numbers with this role; "" if the table has none.
BITLAW_EXPORT std::string FirstColumn(const Table& table, const FactorRoles& roles, FactorRole role);

/// The columns of precision that a law has; of a law without any the table's first.
BITLAW_EXPORT std::vector<std::string> PrecisionOf(const Law& law, const Table& table, const FactorRoles& roles);

}  // namespace bitlaw
