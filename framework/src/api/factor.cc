#include "bitlaw/api/factor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

constexpr std::pair<FactorRole, std::string_view> kRoles[] = {{FactorRole::kScale, "scale"},
                                                              {FactorRole::kPrecision, "precision"},
                                                              {FactorRole::kGranularity, "granularity"},
                                                              {FactorRole::kCalibration, "calibration"},
                                                              {FactorRole::kOther, "other"}};

bool IsColumnName(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
  });
}

bool IsCell(const Value& value) {
  if (value.is_number()) return std::isfinite(value.AsReal());
  return value.is_null() || value.is_bool() || value.is_string();
}

}  // namespace

std::string_view Name(FactorRole role) {
  for (const auto& [known, name] : kRoles)
    if (known == role) return name;
  throw InternalError("FactorRole out of range");
}

FactorRole ParseFactorRole(std::string_view name) {
  for (const auto& [role, known] : kRoles)
    if (known == name) return role;
  throw Error(ErrorKind::kSpec, "'" + std::string(name) +
                                    "' is not the role of a factor. Use scale, precision, granularity, calibration or "
                                    "other.");
}

std::string ExplainFactor(const Factor& factor) {
  if (!IsColumnName(factor.column)) {
    return "'" + factor.column + "' is not the name of a column: a letter, then letters, digits and _";
  }
  for (const Value* value : {&factor.value, &factor.anchor}) {
    if (!IsCell(*value)) {
      const bool is_list = value->is_list() || value->is_map();
      return "the " + std::string(value == &factor.value ? "value" : "anchor") + " of '" + factor.column + "' is " +
             (is_list ? std::string(Article(value->type())) : "not a finite number") +
             ". It must be a number, a text, true, false or null";
    }
  }
  return "";
}

}  // namespace bitlaw
