#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"
#include "plan/factor_columns.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// One model x one quantization configuration.
struct BITLAW_EXPORT Trial {
  std::string id;                        ///< 12 hex digits over `identity`; stable across machines and file orders.
  std::string label;                     ///< "SmolLM2-135M gptq bits=3 group_size=32 sequences=8"
  size_t model = 0;                      ///< Index into Plan::models.
  std::string quantizer;                 ///< "gptq"; "none" for the unquantized model, "keep" for its weights.
  std::string quantizer_version;         ///< Of the plugin; "" for none.
  Options quantizer_options;             ///< Resolved.
  /// What is done beside the quantizer (spec/quantize/recipe.h); null: nothing.
  Value recipe{};
  std::optional<CalibrationSpec> calibration;  ///< Empty if the quantizer needs none.
  CalibrationNeeds needs;                ///< Of the quantizer; not among what workers are told.
  ComputeSetting compute;
  /// Column name -> value, for tables: every option that is an axis anywhere in the study, in the same order for every
  /// trial; calibration's are "calibration.sequences" etc. Null where the trial's quantizer has no such option.
  std::vector<std::pair<std::string, Value>> axes;
  double bits_requested = 16;            ///< Mean over quantizable weights; 16 for none.
  double bits_per_weight = 16;           ///< Effective, over quantizable weights.
  /// One value for each of Plan::factors; null: the trial has none.
  std::vector<Value> factors;
  /// Everything above that determines the trial's numbers, except file contents: model name is not in it, the
  /// model's headers digest is.
  Value identity;
};

/// A grid cell that cannot be a trial, and why.
struct BITLAW_EXPORT SkippedCell {
  std::string label;
  std::string reason;
};

struct BITLAW_EXPORT PlannedModel {
  ModelSpec spec;                        ///< With family filled in.
  ModelSummary summary;
  std::string headers_digest;            ///< HeadersDigest() of model_headers.h.
};

struct BITLAW_EXPORT Plan {
  StudySpec study;
  std::vector<PlannedModel> models;
  /// What trials are told apart by: what models, quantizers, corpora and the study's own columns say, in that order. B and
  /// bits_effective are among them.
  std::vector<FactorColumn> factors;
  /// What tasks are told apart by: a record has the values.
  std::vector<FactorColumn> task_factors;
  std::vector<Trial> trials;             ///< Baselines first, then in spec order; duplicates merged.
  std::vector<SkippedCell> skipped;
  size_t left_out = 0;                   ///< Cells a model that `where` or `skip` left out.
  size_t merged = 0;                     ///< Cells that said the same as an earlier one.
  std::vector<std::string> notes;        ///< What was done that the study did not ask for, for people.

  /// The columns of Trial::axes.
  std::vector<std::string> axis_names() const;
  /// The factors of a trial with their values.
  std::vector<Factor> FactorsOf(const Trial& trial) const;
  /// A trial's value of one column; null if there is none.
  const Value& FactorValue(const Trial& trial, std::string_view column) const;
};

/// Expands the grid. Reads model headers and calibration text (never a weight), asks every quantizer about every layer.
/// Trials come model by model, and within a model in the order of `quantize:`, the last axis fastest.
/// Two factors of one name, or an axis or a factor with a name of a column of the observations, are faults.
/// Errors: Error(kSpec) for a quantizer that needs calibration and has none; Error(kIo / kUnsupported) for models and
/// texts that cannot be read. All faults of all models come in one Error.
BITLAW_EXPORT Plan MakePlan(const StudySpec& study, const PluginHost& host);

}  // namespace bitlaw
