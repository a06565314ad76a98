#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// What the columns of a table are to a fit. A column's role is the one that was declared (by who reported the factor, or
/// by `roles:` of a study's fit), else that of the standard factor of its name, else FactorRole::kOther.
class BITLAW_EXPORT FactorRoles {
 public:
  /// `anchor`: the value for the unquantized model; NaN: none.
  void Declare(const std::string& column, FactorRole role, double anchor);
  void Declare(const Factor& factor);
  /// Declares what `others` declares and this does not.
  void Add(const FactorRoles& others);

  FactorRole Of(std::string_view column) const;
  /// The value of a column for the unquantized model; NaN: none. Of precision without one: 16.
  double AnchorOf(std::string_view column) const;
  std::vector<std::string> Texts() const;  ///< What was declared, as DeclareRole() reads it.
  bool IsDeclared(std::string_view column) const { return declared_.contains(std::string(column)); }

  /// The covariates of a law with one role, in the law's order; comparisons with a text are none.
  std::vector<std::string> CovariatesOf(const Law& law, FactorRole role) const;
  /// The same of role kOther: only those that were declared, for any column may be a covariate.
  std::vector<std::string> DeclaredOthers(const Law& law) const;

 private:
  struct Declared {
    FactorRole role;
    double anchor;
  };
  std::map<std::string, Declared, std::less<>> declared_;
};

/// `map` of a study's file as far as it renames: a column that is made of another as it is gets its role, unless it has one.
BITLAW_EXPORT void InheritRoles(const std::vector<std::pair<std::string, Value>>& map, FactorRoles& roles);

/// Declares what a text says, "G2 = granularity": a column and a word of FactorRole. Error(kSpec).
BITLAW_EXPORT void DeclareRole(const std::string& text, FactorRoles& roles);

}  // namespace bitlaw
