#pragma once

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "fit/output/row_predictions.h"
#include "fit/study/study_results.h"
#include "formula_law.h"

namespace bitlaw {

inline std::unique_ptr<Law> LawOf(const std::string& name, const std::string& formula,
                           const std::vector<std::string>& parameters) {
  Value given, map;
  for (const std::string& parameter : parameters) map.Set(parameter, Value::Map{});
  given.Set("formula", formula);
  given.Set("parameters", map);
  return std::make_unique<FormulaLaw>(name, FormulaLaw::Schema().Resolve(given, "law 'formula'"));
}

// Two models, bits 3, 4, 8 and the unquantized model, one task a stratum.
inline StudyResults SampleReport(double size_of_b = 2e9) {
  StudyResults report;
  report.description.study = "sample";
  report.description.planned_trials = 8;
  report.description.tasks = {"arc", "trivia"};
  report.description.models = {
      {"a", "toy", "llama", "Q4_1", "weights were stored as Q4_1 and are dequantized", false,
       {{"N", 1e9}, {"N_active", 1e9}, {"parameters_total", 1.1e9}}},
      {"b", "toy", "llama", "bfloat16", "", false,
       {{"N", size_of_b}, {"N_active", size_of_b}, {"parameters_total", 2.2e9}}}};
  report.description.axes = {{"quantizer", {"none", "gptq"}}, {"bits", {"3", "4", "8"}}};
  report.description.skipped = {{"b gptq bits=5", "group_size 96 does not divide C_in = 64"}};
  std::string csv =
      "trial,label,model,N,quantizer,B,bits_effective,G,Cb,task,stratum,metric,metric_kind,primary,value,standard_"
      "error,items,chance,"
      "acc_adj,limit,baseline_value,fallbacks\n";
  int id = 0;
  for (const char* model : {"a", "b"}) {
    const double n = model[0] == 'a' ? 1e9 : size_of_b;
    for (const double bits : {16.0, 3.0, 4.0, 8.0}) {
      const std::string quantizer = bits == 16 ? "none" : "gptq";
      for (const char* task : {"arc", "trivia"}) {
        const double chance = task[0] == 'a' ? 0.25 : 0.0;
        // b on trivia at 3 bits: at chance.
        const bool fails = model[0] == 'b' && task[0] == 't' && bits == 3;
        const double adjusted =
            fails ? 0 : std::exp(-30 * std::pow(n, -0.15) / std::log2(bits) * (task[0] == 'a' ? 1 : 1.5));
        csv +=
            fmt::format("{:012d},{} {} bits={},{},{},{},{},{},{},{},{},{},acc,accuracy,1,{},0.02,500,{},{},{},0.5,0\n",
                        id, model, quantizer, bits, model, n, quantizer, bits, bits == 16 ? 16 : bits + 0.15,
                        bits == 16 ? "" : "128", bits == 16 ? "" : "32", task, task[0] == 'a' ? "KA" : "KM",
                        chance + (1 - chance) * adjusted, chance, adjusted, task[0] == 'a' ? "500" : "");
      }
      ++id;
    }
  }
  report.observations = ParseCsv(csv, "observations.csv", {ObservationTextColumns()});
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(LawOf("power_n_b", "A * N^alpha * log2(B)^beta", {"A", "alpha", "beta"}));
  laws.push_back(LawOf("four", "A * N^alpha * log2(B)^beta * log2(Cb)^gamma", {"A", "alpha", "beta", "gamma"}));
  report.fits = FitLaws(laws, report.observations, FitSettings());
  report.predictions = RowPredictions(laws, report.observations, FitSettings(), report.fits);
  report.pictures = PictureLaws(laws, report.observations, FitSettings(), report.fits);
  report.failures = {{"b gptq bits=2", "quantize model.layers.3", "numerical", "the Hessian is indefinite."}};
  report.warnings = {"one file is no record."};
  return report;
}

}  // namespace bitlaw
