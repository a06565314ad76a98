#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"
#include "fit/estimate/fit_laws.h"
#include "fit/examine/analysis.h"
#include "fit/study/degradation.h"
#include "fit/study/law_pictures.h"
#include "fit/study/study_description.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "records/observations.h"
#include "records/table.h"

namespace bitlaw {

/// Why a law is not in a report, or its examination is not.
struct BITLAW_EXPORT FitFault {
  ErrorKind kind;
  std::string text;
};

/// What a study says: everything that its report is made of. Same inputs, same bytes: no dates, no machine.
struct BITLAW_EXPORT StudyResults {
  StudyDescription description;
  Table observations;
  std::vector<ObservationColumn> columns;  ///< Of the observations; empty if a folder does not tell them.
  FitReport fits;
  AnalysisReport analysis;
  Table predictions;                  ///< RowPredictions(); empty where no law was fitted.
  std::vector<LawPicture> pictures;   ///< PictureLaws()
  Table costs;                        ///< TrialCosts()
  /// JudgeDegradation() of the quantized trials whose records are here, by its defaults; empty where there are none.
  std::vector<DegradationVerdict> verdicts;
  std::vector<std::string> verdict_notes;  ///< Results that are no part of them, and why.
  std::vector<FailureLine> failures;
  std::vector<FitFault> fit_faults;  ///< The other laws are fitted all the same.
  std::vector<std::string> warnings;
};

/// The columns of observations.csv as columns.json beside it tells them; none if there is no such file. Error(kIo).
BITLAW_EXPORT std::vector<ObservationColumn> ReadColumnsBeside(const std::filesystem::path& observations);

/// The settings of a study's fits, as its `fit:` gives them, with the roles of its columns and of those that `map` makes.
BITLAW_EXPORT FitSettings StudyFitSettings(const Value& fit, const std::vector<ObservationColumn>& columns,
                                           const std::vector<std::pair<std::string, Value>>& map);

/// Reads what is recorded for a plan and fits the study's laws to it.
BITLAW_EXPORT StudyResults FitStudy(const Plan& plan, const PluginHost& host, const std::filesystem::path& output);
/// The same with Observations(), its warnings, settings and laws as they were read already: records of 10,000 trials have
/// many items.
BITLAW_EXPORT StudyResults FitStudy(const Plan& plan, const std::filesystem::path& output, Table observations,
                                    std::vector<std::string> warnings, const FitSettings& settings,
                                    std::vector<std::unique_ptr<Law>> laws);

/// The same from an output folder alone, by its study.json and observations.csv. Error(kIo) that names the missing
/// file.
BITLAW_EXPORT StudyResults FitStudy(const std::filesystem::path& output, const PluginHost& host);

/// Columns of observations.csv that are texts whatever stands in them, for ReadCsv(): the framework's own, and those of
/// `columns` that hold texts.
BITLAW_EXPORT std::vector<std::string> ObservationTextColumns(const std::vector<ObservationColumn>& columns = {});

}  // namespace bitlaw
