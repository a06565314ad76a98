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
#include "fit/study/study_description.h"
#include "plan/plan.h"
#include "plugin/host.h"
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
  FitReport fits;
  AnalysisReport analysis;
  std::vector<FailureLine> failures;
  std::vector<FitFault> fit_faults;  ///< The other laws are fitted all the same.
  std::vector<std::string> warnings;
};

/// The laws of a study, opened as their files say. Error(kSpec) of the law's own.
BITLAW_EXPORT std::vector<std::unique_ptr<Law>> OpenLaws(const std::vector<LawSpec>& laws, const PluginHost& host);

/// Reads what is recorded for a plan and fits the study's laws to it.
BITLAW_EXPORT StudyResults FitStudy(const Plan& plan, const PluginHost& host, const std::filesystem::path& output);

/// The same from an output folder alone, by its study.json and observations.csv. Error(kIo) that names the missing
/// file.
BITLAW_EXPORT StudyResults FitStudy(const std::filesystem::path& output, const PluginHost& host);

/// Columns of observations.csv that are texts whatever stands in them, for ReadCsv().
BITLAW_EXPORT std::vector<std::string> ObservationTextColumns();

}  // namespace bitlaw
