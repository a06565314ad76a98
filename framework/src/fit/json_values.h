#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/base/value.h"
#include "fit/least_squares.h"

namespace bitlaw::json_values {

inline Value Number(double number) { return std::isfinite(number) ? Value(number) : Value(); }
inline Value Count(size_t count) { return Value(static_cast<int64_t>(count)); }

inline Value Numbers(const std::vector<double>& numbers) {
  Value::List list;
  for (const double number : numbers) list.push_back(Number(number));
  return Value(std::move(list));
}

inline Value Texts(const std::vector<std::string>& texts) {
  Value::List list;
  for (const std::string& text : texts) list.emplace_back(text);
  return Value(std::move(list));
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

}  // namespace bitlaw::json_values
