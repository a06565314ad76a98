#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formula_law.h"

namespace bitlaw {

/// A formula law whose parameters are given as (name, {min, max}) pairs; equal bounds mean none, and
/// an infinite upper one is left out.
inline std::unique_ptr<FormulaLaw> MakeFormula(
    const std::string& formula, const std::vector<std::pair<std::string, std::pair<double, double>>>& parameters,
    const std::string& response = "-log(acc_adj)") {
  Value given, map;
  for (const auto& [name, bounds] : parameters) {
    Value one = Value::Map{};
    if (bounds.first != bounds.second) {
      one.Set("min", bounds.first);
      if (std::isfinite(bounds.second)) one.Set("max", bounds.second);
    }
    map.Set(name, std::move(one));
  }
  given.Set("formula", formula);
  given.Set("response", response);
  given.Set("parameters", std::move(map));
  return std::make_unique<FormulaLaw>("test", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
}

inline std::unique_ptr<FormulaLaw> TwoFactors() {
  return MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 1e300}}, {"alpha", {0, 0}}, {"beta", {0, 0}}});
}

inline std::unique_ptr<FormulaLaw> FourFactorLaw() {
  return MakeFormula("A * N^alpha * log2(B)^beta * log2(Cb)^gamma * G^delta",
                     {{"A", {0, 1e300}}, {"alpha", {0, 0}}, {"beta", {0, 0}}, {"gamma", {0, 0}}, {"delta", {0, 0}}});
}

}  // namespace bitlaw
