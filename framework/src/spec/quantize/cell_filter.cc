#include "spec/quantize/cell_filter.h"

#include <algorithm>
#include <limits>

#include "bitlaw/base/error.h"
#include "spec/study_reader.h"

namespace bitlaw {
namespace {

constexpr char kModel[] = "model";
constexpr const char* kCalibrationNames[] = {"corpus", "sequences", "tokens", "seed"};

std::optional<ExpressionType> TypeOf(OptionType type) {
  switch (type) {
    case OptionType::kBool: return ExpressionType::kBool;
    case OptionType::kInt:
    case OptionType::kReal: return ExpressionType::kNumber;
    case OptionType::kString:
    case OptionType::kPath:
    case OptionType::kChoice: return ExpressionType::kText;
    default: return std::nullopt;
  }
}

}  // namespace

CellFilter::CellFilter(const QuantizeSpec& entry, const OptionSchema& schema) {
  std::vector<ExpressionVariable> scope;
  for (size_t i = 0; i < schema.fields().size(); ++i) {
    const OptionField& field = schema.fields()[i];
    const auto type = TypeOf(field.type);
    if (!type) continue;
    names_.push_back({field.name, &field, i});
    scope.push_back({field.name, *type});
  }
  for (size_t i = 0; i < 4; ++i) {
    const auto type = i == 0 ? ExpressionType::kText : ExpressionType::kNumber;
    names_.push_back({std::string(kCalibrationPrefix) + kCalibrationNames[i], nullptr, i});
    scope.push_back({names_.back().name, type});
    if (i == 0 || schema.Find(kCalibrationNames[i]) != nullptr) continue;
    names_.push_back({kCalibrationNames[i], nullptr, i});
    scope.push_back({kCalibrationNames[i], type});
  }
  if (!entry.where.empty()) {
    where_ = Expression::Parse(entry.where, entry.where_mark).Compile(scope, ExpressionType::kBool, "option");
  }
  std::vector<std::string> known, faults;
  for (const Name& name : names_) known.push_back(name.name);
  const bool takes_models = schema.Find(kModel) == nullptr;
  if (takes_models) known.emplace_back(kModel);
  for (const Value& map : entry.skip) {
    Agreement agreement;
    std::vector<std::string> models;
    for (const auto& [key, value] : map.AsMap()) {
      if (takes_models && key == kModel) {
        for (const Value& one : value.is_list() ? value.AsList() : Value::List{value}) {
          if (!one.is_string()) {
            faults.push_back(one.mark().Text() + ": 'model' of 'skip' is " + one.Text() +
                             ". It must be the name of a model of the study, or a list of them.");
            continue;
          }
          models.push_back(one.AsString());
          models_.push_back(one);
        }
        continue;
      }
      const auto found = std::find(known.begin(), known.end(), key);
      if (found == known.end()) {
        faults.push_back(value.key_mark().Text() + ": '" + key + "' is not an option that 'skip' can compare." +
                         DidYouMean(key, known) + " Options: " + JoinNames(known) + ".");
        continue;
      }
      const Name& name = names_[found - known.begin()];
      const OptionField& field =
          name.field != nullptr ? *name.field : *CalibrationSchema().Find(kCalibrationNames[name.index]);
      std::vector<Value> values;
      for (const Value& one : value.is_list() ? value.AsList() : Value::List{value}) {
        values.push_back(OptionSchema::ResolveOne(field, one, "skip", &faults));
      }
      agreement.emplace_back(found - known.begin(), std::move(values));
    }
    if (takes_models && map.Find(kModel) != nullptr) {
      skip_of_models_.emplace_back(std::move(models), std::move(agreement));
    } else {
      skip_.push_back(std::move(agreement));
    }
  }
  if (faults.empty()) return;
  std::string text;
  for (const std::string& fault : faults) text += (text.empty() ? "" : "\n") + fault;
  throw Error(ErrorKind::kSpec, text);
}

Value CellFilter::ValueOf(const Name& name, const Value& options, const CalibrationSpec* calibration) {
  if (name.field != nullptr) return options.AsMap()[name.index].second;
  if (calibration == nullptr) return Value();
  switch (name.index) {
    case 0: return calibration->corpus;
    case 1: return calibration->sequences;
    case 2: return calibration->tokens;
    default: return static_cast<int64_t>(calibration->seed);
  }
}

bool CellFilter::Agrees(const Agreement& entries, const Value& options, const CalibrationSpec* calibration) const {
  return std::all_of(entries.begin(), entries.end(), [&](const auto& entry) {
    const Value value = ValueOf(names_[entry.first], options, calibration);
    return std::find(entry.second.begin(), entry.second.end(), value) != entry.second.end();
  });
}

bool CellFilter::KeepsOf(const std::string& model, const Value& options, const CalibrationSpec* calibration) const {
  return std::none_of(skip_of_models_.begin(), skip_of_models_.end(), [&](const auto& map) {
    return std::find(map.first.begin(), map.first.end(), model) != map.first.end() &&
           Agrees(map.second, options, calibration);
  });
}

bool CellFilter::Keeps(const Value& options, const CalibrationSpec* calibration) const {
  for (const Agreement& entries : skip_) {
    if (Agrees(entries, options, calibration)) return false;
  }
  if (!where_) return true;
  std::vector<double> numbers(names_.size(), std::numeric_limits<double>::quiet_NaN());
  std::vector<std::string> texts(names_.size());
  for (size_t i = 0; i < names_.size(); ++i) {
    const Value value = ValueOf(names_[i], options, calibration);
    if (value.is_string()) texts[i] = value.AsString();
    if (value.is_bool()) numbers[i] = value.AsBool();
    if (!value.is_number()) continue;
    const bool is_word = names_[i].field != nullptr &&
                         std::any_of(names_[i].field->named_ints.begin(), names_[i].field->named_ints.end(),
                                     [&](const auto& word) { return Value(word.second) == value; });
    if (!is_word) numbers[i] = value.AsReal();
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  return where_->Truth(numbers, views);
}

}  // namespace bitlaw
