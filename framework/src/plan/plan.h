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
#include "bitlaw/base/export.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// One model x one quantization configuration.
struct BITLAW_EXPORT Trial {
  std::string id;                        ///< 12 hex digits over `identity`; stable across machines and file orders.
  std::string label;                     ///< "SmolLM2-135M gptq bits=3 group_size=32 sequences=8"
  size_t model = 0;                      ///< Index into Plan::models.
  std::string quantizer;                 ///< "gptq"; "none" for the unquantized model.
  std::string quantizer_version;         ///< Of the plugin; "" for none.
  Options quantizer_options;             ///< Resolved.
  std::optional<CalibrationSpec> calibration;  ///< Empty if the quantizer needs none.
  ComputeSetting compute;
  /// Column name -> value, for tables: every option that is an axis anywhere in the study.
  std::vector<std::pair<std::string, Value>> axes;
  double bits_requested = 16;            ///< Mean over quantizable weights; 16 for none.
  double bits_per_weight = 16;           ///< Effective, over quantizable weights.
  int64_t group_size_effective = 0;      ///< Smallest over layers; 0 for none.
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
  ModelSpec spec;
  ModelSummary summary;
};

struct BITLAW_EXPORT Plan {
  StudySpec study;
  std::vector<PlannedModel> models;
  std::vector<Trial> trials;             ///< Baselines first, then in spec order; duplicates merged.
  std::vector<SkippedCell> skipped;
};

/// Expands the grid. Reads model headers (never a weight), asks every quantizer about every layer shape.
BITLAW_EXPORT Plan MakePlan(const StudySpec& study, const PluginHost& host);

}  // namespace bitlaw
