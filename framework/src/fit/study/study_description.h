#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/table/unset.h"
#include "plan/plan.h"

namespace bitlaw {

/// What a report says of a study beside its observations: the plan without its trials. It is written to study.json, so
/// that a report can be made again from the output folder alone.
struct BITLAW_EXPORT StudyDescription {
  struct Model {
    std::string name, family, architecture, stored_dtype, baseline_note;
    bool hold_out = false;
    std::vector<std::pair<std::string, double>> scale{};  ///< Its factors of that role: column and value; missing is NaN.
  };
  struct Axis {
    std::string name;
    std::vector<std::string> values;
  };
  struct Skipped {
    std::string label, reason;
  };
  std::string study;
  int64_t planned_trials = 0;
  std::vector<std::string> tasks;
  std::vector<Model> models;
  std::vector<Axis> axes;  ///< Values in order of first appearance.
  std::vector<Skipped> skipped;
  std::vector<LawSpec> laws;
  std::vector<std::pair<std::string, Value>> map;  ///< StudySpec::map
  Value figures;                                   ///< StudySpec::figures
  Value fit;
};

BITLAW_EXPORT StudyDescription Describe(const Plan& plan);
BITLAW_EXPORT std::string WriteStudyDescription(const StudyDescription& description);
/// Error(kIo) with `origin` for a text that WriteStudyDescription() did not write.
BITLAW_EXPORT StudyDescription ReadStudyDescription(const std::string& text, const std::string& origin);

/// A trial that did not finish, as failures/<trial>.json tells.
struct BITLAW_EXPORT FailureLine {
  std::string label, stage, kind, reason;
};
/// Every failure of an output folder, in order of labels. A file that cannot be read is itself a line.
BITLAW_EXPORT std::vector<FailureLine> ReadFailures(const std::filesystem::path& output);

}  // namespace bitlaw
