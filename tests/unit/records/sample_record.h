#pragma once

#include "records/record.h"

namespace bitlaw {

/// A record with something in every field, and numbers that a reader can follow.
inline TaskRecord SampleRecord() {
  TrialContent trial;
  trial.weights_digest = std::string(64, 'a');
  trial.backend = "hf";
  trial.backend_version = "1.0.0";
  trial.quantizer = "rtn";
  trial.quantizer_version = "1.0.0";
  trial.quantizer_options = Value::Map{{"bits", 3}, {"damp", 0.01}};
  trial.calibration_digest = std::string(64, 'b');
  TaskContent task;
  task.name = "arc_easy";
  task.component = "multiple_choice";
  task.component_version = "1.0.0";
  task.digest = std::string(64, 'c');

  TaskRecord record;
  record.key = TaskKey(trial, task);
  record.trial = {"0123456789ab", "tiny rtn bits=3", {{"bits", 3}}};
  record.model.name = "tiny";
  record.model.architecture = "llama";
  record.model.parameters_total = 1000;
  record.model.parameters_embedding = 100;
  record.quantization = QuantizationHeader{std::string(64, 'd'), std::string(64, 'e'), 3, 3.25, {{"q_proj", "round_to_nearest"}}};
  record.calibration = CalibrationHeader{"wiki", 8, 128, 7, std::string(64, 'b')};
  record.factors = {{"N", "weights", FactorRole::kScale, 900},
                    {"outliers", "", FactorRole::kOther, 0.5},
                    {"rotation", "", FactorRole::kOther, "hadamard"},
                    {"steps", "steps", FactorRole::kOther, Value()}};
  record.card.name = "arc_easy";
  record.card.version = "2";
  record.card.stratum = "KM";
  record.card.metrics = {{"acc", MetricKind::kAccuracy, true}, {"perplexity", MetricKind::kPerplexity, false}};
  record.card.limit = 2;
  record.card.factors = {{.column = "answers", .doc = "Answers to choose from.", .value = 4}};
  record.metrics = {{"acc", 0.5, std::numeric_limits<double>::quiet_NaN(), 2, 0.25}, {"perplexity", 12.5, 0.5, 2, 0}};
  record.counts = {{"requests", 8}};
  return record;
}

inline std::vector<ItemScore> SampleItems() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  return {{"Mercury, 1", {{1, 1}, {2.5, 511}}, 0.25}, {"say \"b\"", {{0, 1}, {kNaN, 511}}, 1.0 / 3}};
}

}  // namespace bitlaw
