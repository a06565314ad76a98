#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/base/value.h"
#include "fit/law_fit.h"

namespace bitlaw::json_values {

inline Value Number(double number) { return std::isfinite(number) ? Value(number) : Value(); }
inline Value Count(size_t count) { return Value(static_cast<int64_t>(count)); }

/// A list with make(item) for each item.
template <typename Items, typename Make>
Value ListOf(const Items& items, Make&& make) {
  Value::List list;
  for (const auto& item : items) list.push_back(make(item));
  return Value(std::move(list));
}

inline Value Numbers(const std::vector<double>& numbers) { return ListOf(numbers, Number); }
inline Value Texts(const std::vector<std::string>& texts) {
  return ListOf(texts, [](const std::string& text) { return Value(text); });
}

inline Value Json(const FitQuality& quality) {
  Value json;
  json.Set("rows", Count(quality.rows));
  json.Set("parameters", Count(quality.parameters));
  json.Set("ssr", Number(quality.ssr));
  json.Set("r2", Number(quality.r2));
  json.Set("adjusted_r2", Number(quality.adjusted_r2));
  json.Set("residual_variance", Number(quality.residual_variance));
  json.Set("log_likelihood", Number(quality.log_likelihood));
  json.Set("aic", Number(quality.aic));
  json.Set("aicc", Number(quality.aicc));
  json.Set("bic", Number(quality.bic));
  return json;
}

inline Value Json(const std::vector<Exclusion>& exclusions) {
  return ListOf(exclusions, [](const Exclusion& exclusion) {
    Value one;
    one.Set("reason", exclusion.reason);
    one.Set("rows", Count(exclusion.rows));
    one.Set("example", exclusion.example);
    return one;
  });
}

inline Value Json(const FitReport::Stratum& stratum) {
  Value one;
  one.Set("name", stratum.name);
  one.Set("tasks", Texts(stratum.tasks));
  one.Set("rows", Count(stratum.incoming));
  one.Set("incomplete", Json(stratum.incomplete));
  return one;
}

/// One law on one stratum, with its nulls (fit_output.cc).
Value Json(const LawFit& fit);

}  // namespace bitlaw::json_values
