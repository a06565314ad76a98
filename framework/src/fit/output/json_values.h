#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/value.h"
#include "fit/estimate/fit_laws.h"

namespace bitlaw {

/// Json(x) of plain values, of lists and of what may be missing; Json() of a struct stands with the others of its kind,
/// in fit_output.cc and analysis_output.cc. A number that is not finite is null.
inline Value Json(Value value) { return value; }
inline Value Json(double number) { return std::isfinite(number) ? Value(number) : Value(); }
inline Value Json(bool flag) { return Value(flag); }
inline Value Json(int number) { return Value(number); }
inline Value Json(uint64_t count) { return Value(static_cast<int64_t>(count)); }
inline Value Json(const std::string& text) { return Value(text); }

Value Json(const Exclusion& exclusion);
Value Json(const FitQuality& quality);
Value Json(const OlsCoefficient& coefficient);
Value Json(const FitReport::Stratum& stratum);
Value Json(const LawFit& fit);

template <typename T>
Value Json(const std::vector<T>& items) {
  Value::List list;
  for (const T& item : items) list.push_back(Json(item));
  return Value(std::move(list));
}
template <typename T>
Value Json(const std::optional<T>& item) {
  return item ? Json(*item) : Value();
}

/// One entry of an object: {"rows", errors.rows}.
struct JsonField {
  template <typename T>
  JsonField(const char* the_name, const T& content) : name(the_name), value(Json(content)) {}
  const char* name;
  Value value;
};

/// Adds entries, in this order.
inline void AddFields(Value& object, std::initializer_list<JsonField> fields) {
  for (const JsonField& field : fields) object.Set(field.name, field.value);
}
inline Value JsonObject(std::initializer_list<JsonField> fields) {
  Value object;
  AddFields(object, fields);
  return object;
}

}  // namespace bitlaw
