#include "fit/options/factor_roles.h"

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {
namespace {

constexpr double kFullPrecisionBits = 16;

double AnchorNumber(const Factor& factor) { return factor.anchor.is_number() ? factor.anchor.AsReal() : std::nan(""); }

}  // namespace

void FactorRoles::Declare(const std::string& column, FactorRole role, double anchor) {
  declared_.insert_or_assign(column, Declared{role, anchor});
}

void FactorRoles::Declare(const Factor& factor) { Declare(factor.column, factor.role, AnchorNumber(factor)); }

void FactorRoles::Add(const FactorRoles& others) { declared_.insert(others.declared_.begin(), others.declared_.end()); }

FactorRole FactorRoles::Of(std::string_view column) const {
  const auto found = declared_.find(column);
  if (found != declared_.end()) return found->second.role;
  const Factor* standard = FindStandardFactor(column);
  return standard == nullptr ? FactorRole::kOther : standard->role;
}

double FactorRoles::AnchorOf(std::string_view column) const {
  double anchor = std::nan("");
  if (const auto found = declared_.find(column); found != declared_.end()) {
    anchor = found->second.anchor;
  } else if (const Factor* standard = FindStandardFactor(column)) {
    anchor = AnchorNumber(*standard);
  }
  return std::isnan(anchor) && Of(column) == FactorRole::kPrecision ? kFullPrecisionBits : anchor;
}

std::vector<std::string> FactorRoles::CovariatesOf(const Law& law, FactorRole role) const {
  std::vector<std::string> names;
  for (const std::string& name : law.covariates()) {
    if (!IsTextTest(name) && Of(name) == role) names.push_back(name);
  }
  return names;
}

std::vector<std::string> FactorRoles::DeclaredOthers(const Law& law) const {
  std::vector<std::string> names = CovariatesOf(law, FactorRole::kOther);
  std::erase_if(names, [&](const std::string& name) { return !IsDeclared(name); });
  return names;
}

void InheritRoles(const std::vector<std::pair<std::string, Value>>& map, FactorRoles& roles) {
  for (const auto& [name, from] : map) {
    const std::string source = from.is_string() ? UnquotedName(from.AsString()) : "";
    const bool is_known = roles.IsDeclared(name) || FindStandardFactor(name) != nullptr;
    const bool is_factor = roles.IsDeclared(source) || FindStandardFactor(source) != nullptr;
    if (!is_known && is_factor) roles.Declare(name, roles.Of(source), roles.AnchorOf(source));
  }
}

std::vector<std::string> FactorRoles::Texts() const {
  std::vector<std::string> texts;
  for (const auto& [column, declared] : declared_) {
    texts.push_back(QuotedName(column) + " = " + std::string(Name(declared.role)));
  }
  return texts;
}

void DeclareRole(const std::string& text, FactorRoles& roles) {
  const size_t equals = FindUnquoted(text, "=");
  const std::string column = UnquotedName(Trim(std::string_view(text).substr(0, equals)));
  if (equals == std::string::npos || column.empty()) {
    throw Error(ErrorKind::kSpec,
                "fit: the role '" + text + "' is not of the form 'column = role', such as 'P = precision'.");
  }
  try {
    roles.Declare(column, ParseFactorRole(Trim(std::string_view(text).substr(equals + 1))), std::nan(""));
  } catch (const Error& error) {
    throw Error(ErrorKind::kSpec, "fit: the role of '" + column + "': " + error.what());
  }
}

}  // namespace bitlaw
