// How the cells of a grid are called, and what their columns of options hold.
#include "bitlaw/base/error.h"
#include "plan/grid.h"

namespace bitlaw {
namespace {

// A value as labels show it: words for numbers, texts without quotes.
std::string LabelText(const Value& value, const OptionField* field) {
  if (field != nullptr) {
    for (const auto& [word, number] : field->named_ints)
      if (value == Value(number)) return word;
  }
  return value.is_string() ? value.AsString() : value.Text();
}

Value WithoutMark(Value value) {
  value.set_mark({});
  return value;
}

Value CalibrationValue(const CalibrationSpec& calibration, std::string_view name) {
  if (name == "corpus") return calibration.corpus;
  if (name == "sequences") return calibration.sequences;
  if (name == "tokens") return calibration.tokens;
  if (name == "seed") return static_cast<int64_t>(calibration.seed);
  throw InternalError("a calibration has no '" + std::string(name) + "'");
}

}  // namespace

std::string TrialLabel(const std::string& model, const QuantizeSpec& spec, const std::vector<std::string>& varying,
                       const Value& options, const CalibrationSpec* calibration) {
  std::string label = model + " " + spec.component;
  for (const std::string& name : varying) {
    if (name.starts_with(kCalibrationPrefix)) {
      if (calibration == nullptr) continue;
      const std::string short_name(name.substr(kCalibrationPrefix.size()));
      label += " " + short_name + "=" + LabelText(CalibrationValue(*calibration, short_name), nullptr);
    } else {
      const Value* value = options.Find(name);
      if (value == nullptr) continue;  // Of another entry's recipe, or it does not count in this cell.
      label += " " + name + "=" + LabelText(*value, spec.schema.Find(name));
    }
  }
  return label;
}

Value AxisValue(const std::string& name, const Value& options, const CalibrationSpec* calibration) {
  if (name.starts_with(kCalibrationPrefix)) {
    return calibration == nullptr ? Value() : CalibrationValue(*calibration, name.substr(kCalibrationPrefix.size()));
  }
  const Value* value = options.is_null() ? nullptr : options.Find(name);
  return value == nullptr ? Value() : WithoutMark(*value);
}

}  // namespace bitlaw
