#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/analysis.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "records/table.h"
#include "report/document.h"

namespace bitlaw {

/// What a report says of a study beside its observations: the plan without its trials. It is written to study.json, so
/// that a report can be made again from the output folder alone.
struct BITLAW_EXPORT StudyDescription {
  struct Model {
    std::string name, family, architecture, stored_dtype, baseline_note;
    double parameters_non_embedding = kUnset, parameters_total = kUnset;
    bool hold_out = false;
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

/// Why a law is not in a report, or its examination is not.
struct BITLAW_EXPORT FitFault {
  ErrorKind kind;
  std::string text;
};

/// Everything that a study's report is made of. Same inputs, same bytes: no dates, no machine.
struct BITLAW_EXPORT StudyReport {
  StudyDescription description;
  Table observations;
  FitReport fits;
  AnalysisReport analysis;
  std::vector<FailureLine> failures;
  std::vector<FitFault> fit_faults;  ///< The other laws are fitted all the same.
  std::vector<std::string> warnings;
};

/// The laws of a study, opened as their files say. Error(kSpec) of the law's own.
BITLAW_EXPORT std::vector<std::unique_ptr<Law>> OpenLaws(const std::vector<LawSpec>& laws, const PluginHost& host);

/// Reads what is recorded for a plan and fits the study's laws to it.
BITLAW_EXPORT StudyReport MakeStudyReport(const Plan& plan, const PluginHost& host,
                                          const std::filesystem::path& output);

/// The same from an output folder alone, by its study.json and observations.csv. Error(kIo) that names the missing
/// file.
BITLAW_EXPORT StudyReport MakeStudyReport(const std::filesystem::path& output, const PluginHost& host);

/// Header, models, grid, scores, strata, laws, exclusions, warnings.
BITLAW_EXPORT ReportDocument StudyDocument(const StudyReport& report);

/// What a run prints at its end: the laws' coefficients and how they compare. The rest is in the files.
BITLAW_EXPORT ReportDocument SummaryDocument(const StudyReport& report);

/// Writes into `output`: study.json, observations.csv, fits.json, fits.csv, report.txt, report.md. Returns their paths.
BITLAW_EXPORT std::vector<std::filesystem::path> WriteStudyReport(const StudyReport& report,
                                                                  const std::filesystem::path& output);

/// Columns of observations.csv that are texts whatever stands in them, for ReadCsv().
BITLAW_EXPORT std::vector<std::string> ObservationTextColumns();

}  // namespace bitlaw
