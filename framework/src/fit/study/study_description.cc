#include "fit/study/study_description.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "spec/figures/figure_options.h"

namespace bitlaw {

namespace {

std::string AxisText(const Value& value) { return value.is_string() ? value.AsString() : value.Text(); }

Value Number(double number) { return std::isfinite(number) ? Value(number) : Value(); }

// Reads the fields of one map of study.json; a missing or mistyped one is an Error(kIo).
class FieldReader {
 public:
  FieldReader(const Value& map, const std::string& origin) : map_(map), origin_(origin) {}

  std::string Text(const char* name) const { return Field(name, "a string", &Value::is_string).AsString(); }
  int64_t Int(const char* name) const { return Field(name, "an integer", &Value::is_int).AsInt(); }
  bool Bool(const char* name) const { return Field(name, "true or false", &Value::is_bool).AsBool(); }
  const Value::List& List(const char* name) const { return Field(name, "a list", &Value::is_list).AsList(); }
  double Number(const char* name) const {
    const Value* value = map_.Find(name);
    if (value != nullptr && value->is_null()) return kUnset;
    return Field(name, "a number", &Value::is_number).AsReal();
  }
  Value Any(const char* name) const {
    const Value* value = map_.Find(name);
    return value == nullptr ? Value() : *value;
  }

 private:
  const Value& Field(const char* name, const char* type, bool (Value::*is)() const) const {
    const Value* value = map_.Find(name);
    if (value == nullptr || !(value->*is)()) {
      throw Error(ErrorKind::kIo,
                  origin_ + ": '" + name + "' " + (value == nullptr ? "is missing" : "is not " + std::string(type)) +
                      ". The file is written by 'bitlaw run' and 'bitlaw report'; make it again from the study.");
    }
    return *value;
  }

  const Value& map_;
  const std::string& origin_;
};

// What the first trial of a model, the unquantized one, has of factors that say how large it is.
std::vector<std::pair<std::string, double>> ScaleOf(const Plan& plan, size_t model) {
  std::vector<std::pair<std::string, double>> scale;
  const auto trial =
      std::find_if(plan.trials.begin(), plan.trials.end(), [&](const Trial& one) { return one.model == model; });
  if (trial == plan.trials.end()) return scale;
  for (const Factor& factor : plan.FactorsOf(*trial)) {
    if (factor.role != FactorRole::kScale) continue;
    scale.emplace_back(factor.column, factor.value.is_number() ? factor.value.AsReal() : kUnset);
  }
  return scale;
}

}  // namespace

StudyDescription Describe(const Plan& plan) {
  StudyDescription description;
  description.study = plan.study.name;
  description.planned_trials = static_cast<int64_t>(plan.trials.size());
  for (const TaskSpec& task : plan.study.tasks) description.tasks.push_back(task.name);
  for (const PlannedModel& model : plan.models) {
    StudyDescription::Model one;
    one.name = model.spec.name;
    one.family = model.spec.family.empty() ? model.summary.architecture : model.spec.family;
    one.architecture = model.summary.architecture;
    one.stored_dtype = model.summary.stored_dtype;
    one.baseline_note = model.summary.baseline_note;
    one.hold_out = model.spec.hold_out;
    one.scale = ScaleOf(plan, description.models.size());
    description.models.push_back(std::move(one));
  }
  for (const Trial& trial : plan.trials) {
    for (const auto& [name, value] : trial.axes) {
      auto axis = std::find_if(description.axes.begin(), description.axes.end(),
                               [&name = name](const auto& one) { return one.name == name; });
      if (axis == description.axes.end()) {
        description.axes.push_back({name, {}});
        axis = description.axes.end() - 1;
      }
      const std::string text = AxisText(value);
      if (std::find(axis->values.begin(), axis->values.end(), text) == axis->values.end()) axis->values.push_back(text);
    }
  }
  for (const SkippedCell& cell : plan.skipped) description.skipped.push_back({cell.label, cell.reason});
  description.laws = plan.study.laws;
  description.map = plan.study.map;
  description.figures = plan.study.figures;
  description.fit = plan.study.fit;
  return description;
}

std::string WriteStudyDescription(const StudyDescription& description) {
  Value json;
  json.Set("format", 1);
  json.Set("study", description.study);
  json.Set("planned_trials", description.planned_trials);
  Value::List tasks, models, axes, skipped, laws;
  for (const std::string& task : description.tasks) tasks.emplace_back(task);
  for (const auto& model : description.models) {
    Value::Map scale;
    for (const auto& [column, value] : model.scale) scale.emplace_back(column, Number(value));
    models.emplace_back(Value::Map{{"name", model.name},
                                   {"family", model.family},
                                   {"architecture", model.architecture},
                                   {"stored_dtype", model.stored_dtype},
                                   {"baseline_note", model.baseline_note},
                                   {"hold_out", model.hold_out},
                                   {"scale", Value(std::move(scale))}});
  }
  for (const auto& axis : description.axes) {
    Value::List values;
    for (const std::string& value : axis.values) values.emplace_back(value);
    axes.emplace_back(Value::Map{{"name", axis.name}, {"values", Value(std::move(values))}});
  }
  for (const auto& cell : description.skipped) {
    skipped.emplace_back(Value::Map{{"label", cell.label}, {"reason", cell.reason}});
  }
  for (const LawSpec& law : description.laws) {
    laws.emplace_back(Value::Map{{"name", law.name}, {"component", law.component}, {"options", law.given}});
  }
  json.Set("tasks", Value(std::move(tasks)));
  json.Set("models", Value(std::move(models)));
  json.Set("axes", Value(std::move(axes)));
  json.Set("skipped", Value(std::move(skipped)));
  json.Set("laws", Value(std::move(laws)));
  json.Set("map", Value(Value::Map(description.map.begin(), description.map.end())));
  if (!description.figures.is_null()) json.Set("figures", description.figures);
  json.Set("fit", description.fit);
  return PrettyJson(json);
}

StudyDescription ReadStudyDescription(const std::string& text, const std::string& origin) {
  const Value json = ParseJson(text, origin);
  const FieldReader top(json, origin);
  StudyDescription description;
  description.study = top.Text("study");
  description.planned_trials = top.Int("planned_trials");
  const auto strings = [&](const Value::List& list) {
    std::vector<std::string> texts;
    for (const Value& value : list) {
      if (!value.is_string()) throw Error(ErrorKind::kIo, origin + ": a list of texts holds " + value.Text() + ".");
      texts.push_back(value.AsString());
    }
    return texts;
  };
  description.tasks = strings(top.List("tasks"));
  for (const Value& value : top.List("models")) {
    const FieldReader reader(value, origin);
    StudyDescription::Model model;
    model.name = reader.Text("name");
    model.family = reader.Text("family");
    model.architecture = reader.Text("architecture");
    model.stored_dtype = reader.Text("stored_dtype");
    model.baseline_note = reader.Text("baseline_note");
    model.hold_out = reader.Bool("hold_out");
    // Files of before have two numbers by other names.
    const Value scale = reader.Any("scale");
    if (!scale.is_map()) {
      model.scale = {{"N", reader.Number("parameters_non_embedding")},
                     {"parameters_total", reader.Number("parameters_total")}};
    } else {
      const FieldReader values(scale, origin);
      for (const auto& [column, unused] : scale.AsMap()) model.scale.emplace_back(column, values.Number(column.c_str()));
    }
    description.models.push_back(std::move(model));
  }
  for (const Value& value : top.List("axes")) {
    const FieldReader reader(value, origin);
    description.axes.push_back({reader.Text("name"), strings(reader.List("values"))});
  }
  for (const Value& value : top.List("skipped")) {
    const FieldReader reader(value, origin);
    description.skipped.push_back({reader.Text("label"), reader.Text("reason")});
  }
  for (const Value& value : top.List("laws")) {
    const FieldReader reader(value, origin);
    LawSpec law;
    law.name = reader.Text("name");
    law.component = reader.Text("component");
    law.given = reader.Any("options");
    description.laws.push_back(std::move(law));
  }
  // Files of before have none.
  if (const Value map = top.Any("map"); map.is_map()) description.map = map.AsMap();
  if (const Value* figures = json.Find("figures"); figures != nullptr) {
    ReadFigureOptions(*figures);
    description.figures = *figures;
  }
  description.fit = top.Any("fit");
  return description;
}

std::vector<FailureLine> ReadFailures(const std::filesystem::path& output) {
  std::vector<FailureLine> failures;
  const std::filesystem::path folder = output / "failures";
  if (!std::filesystem::is_directory(folder)) return failures;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    try {
      const std::string origin = entry.path().string();
      const Value json = ParseJson(ReadWholeFile(entry.path()), origin);
      const FieldReader reader(json, origin);
      failures.push_back({reader.Text("label"), reader.Text("stage"), reader.Text("kind"), reader.Text("reason")});
    } catch (const Error& error) {
      failures.push_back({entry.path().stem().string(), "", std::string(Name(error.kind())), error.what()});
    }
  }
  std::sort(failures.begin(), failures.end(), [](const auto& a, const auto& b) {
    return std::tie(a.label, a.stage, a.reason) < std::tie(b.label, b.stage, b.reason);
  });
  return failures;
}

}  // namespace bitlaw
