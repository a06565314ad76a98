// What a worker reads: the study's work file, and orders, a line a trial.
#include <cmath>
#include <optional>

#include "bitlaw/base/error.h"
#include "fuzz/target.h"
#include "plan/work_study.h"
#include "run/worker_message.h"

namespace bitlaw::fuzz {
namespace {

// Reads what was written of what was read.
template <class Read>
auto Again(const char* what, Read&& read) {
  try {
    return read();
  } catch (const Error& error) {
    Require(false, std::string(what) + ": " + error.what());
    throw;
  }
}

WorkStudy Work(std::string_view input) {
  WorkStudy work = ReadWorkStudy(std::string(input), "work.json");
  const std::string text = WriteWorkStudy(work.plan, work.evaluate);
  const WorkStudy again = Again("work file: what is written reads", [&] { return ReadWorkStudy(text, "written"); });
  Require(WriteWorkStudy(again.plan, again.evaluate) == text, "work file: what is written stays the same");
  for (const FactorColumn& column : work.plan.factors) {
    Require(column.source >= FactorSource::kModel && column.source <= FactorSource::kTask, "work file: a source");
  }
  return work;
}

// What the steps of a trial read of it without looking whether it is there.
void Use(const Trial& trial, const Plan& plan) {
  Require(trial.model < plan.models.size() && trial.factors.size() == plan.factors.size(), "order: it fits the study");
  if (trial.recipe.is_null()) return;
  if (const Value* activations = trial.recipe.Find("activations")) activations->Find("symmetric")->AsBool();
  if (const Value* cache = trial.recipe.Find("kv_cache")) cache->Find("symmetric")->AsBool();
  if (const Value* grid = trial.recipe.Find("grid")) grid->Find("name")->AsString();
  if (const Value* transforms = trial.recipe.Find("transforms")) {
    for (const Value& transform : transforms->AsList()) transform.Find("name")->AsString();
  }
}

// Input: work.json, then orders, one a line. A worker ends at a work file that it cannot read; here the orders are read
// all the same.
void WorkerInput(std::string_view input) {
  const auto parts = Parts(input, 2);
  std::optional<WorkStudy> work;
  std::optional<Error> refused;
  const auto attempt = [&](auto&& act) {
    try {
      act();
    } catch (const Error& error) {
      refused = error;
    }
  };
  attempt([&] { work = Work(parts[0]); });
  std::string_view rest = parts[1];
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    attempt([&, line = std::string(rest.substr(0, end))] {
      const TrialOrder order = FromOrderLine(line);
      const std::string sent = ToOrderLine(order);
      const TrialOrder again = Again("order: what is sent reads back", [&] { return FromOrderLine(sent); });
      Require(ToOrderLine(again) == sent, "order: what is sent on stays the same");
      if (!work) return;
      CheckTrial(order.trial, work->plan);
      Use(order.trial, work->plan);
    });
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (refused) throw *refused;
}

std::vector<std::string> Samples() {
  Plan plan;
  plan.study.name = "small";
  plan.study.evaluate = Value::Map{{"batch_tokens", 64}};
  plan.study.corpora = {{"c4", "text", Options(Value::Map{{"path", "/data/c4.txt"}}), {}, {}}};
  Value data("arc.jsonl");
  data.set_mark({"/study/arc.yaml", 7, 3});
  TaskSpec task;
  task.name = "arc";
  task.component = "multiple_choice";
  task.options = Options(Value::Map{{"bounds", Value::List{-INFINITY, 0.5, std::nan("")}}, {"data", data}});
  task.context = {"arc", {"/data", "/more\xff"}};
  plan.study.tasks = {task};
  PlannedModel model;
  model.spec.name = "tiny";
  model.spec.path = "/models/\xc3\xa9 \xff";
  model.spec.backend = "hf";
  model.spec.backend_options = Options(Value::Map{{"$odd", Value::Map{{"\xff", 1}}}});
  plan.models = {model};
  FactorColumn bits;
  bits.factor.column = "B";
  bits.factor.unit = "bits";
  bits.factor.role = FactorRole::kPrecision;
  bits.source = FactorSource::kQuantizer;
  bits.origin = kOwnOrigin;
  plan.factors = {bits};
  const std::string work = WriteWorkStudy(plan, EvaluateOptions());

  Trial trial;
  trial.id = "0123456789ab";
  trial.label = "tiny gptq bits=3";
  trial.quantizer = "gptq";
  trial.quantizer_version = "1.2.0";
  trial.quantizer_options = Options(Value::Map{{"damp", 1.0}, {"bits", 3}, {"clip", Value()}});
  const Value part = Value::Map{{"name", "nf4"}, {"options", Value::Map{{"block", 64}}}, {"version", "1"}};
  trial.recipe = Value::Map{{"activations", Value::Map{{"bits", 8}, {"per", "token"}, {"symmetric", true}}},
                            {"grid", part},
                            {"kv_cache", Value::Map{{"key_bits", 8}, {"value_bits", Value()}, {"symmetric", false}}},
                            {"transforms", Value::List{part}}};
  trial.calibration = CalibrationSpec{"c4", 8, 512, 7};
  trial.compute = {Dtype::kFloat32, "cpu"};
  trial.axes = {{"bits", int64_t{3}}, {"act_order", Value()}};
  trial.factors = {3.5};
  const auto order = [](const Trial& one) { return ToOrderLine({one, "aa", "bb", "cc"}); };
  Trial plain = trial;
  plain.recipe = Value();
  plain.calibration.reset();
  return {Join({work, order(trial)}), Join({work, order(plain) + "\n" + order(trial)})};
}

const Register kWorkerInput("worker_input", WorkerInput, Samples);

}  // namespace
}  // namespace bitlaw::fuzz
