#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/value.h"
#include "cli/common/session.h"
#include "fit/options/fit_settings.h"
#include "plan/plan.h"
#include "records/observations.h"
#include "records/table.h"

namespace bitlaw {

/// A table that laws are fitted to, wherever it came from.
struct StudyTable {
  std::string verb;    ///< Who asked: leads errors.
  std::string source;  ///< The study's file or folder; "" of a CSV file.
  std::string name;  ///< "study quickstart", "table.csv": what titles say after "Fits of" or "Fits to".
  bool is_study = false;
  Table table;  ///< Before `map`.
  std::vector<LawSpec> laws;
  std::vector<ObservationColumn> columns;          ///< What is known of the table's columns.
  std::vector<std::pair<std::string, Value>> map;  ///< The study's.
  Value settings;                                  ///< Its `fit:`.
  std::vector<std::string> warnings;
  std::filesystem::path output;      ///< With the records behind the table; empty if there are none.
  std::shared_ptr<const Plan> plan;  ///< Of a study's file; null for a folder and a CSV file.
};

/// `source`: a study file or its output folder; `data`: a CSV table instead. `verb` leads the error if both or none are
/// given. Error(kIo) for a folder without observations.
StudyTable ReadStudyTable(const std::string& verb, const std::string& source, const std::string& data,
                          Session& session);

/// What is fitted: of `input` the rows for which `where` holds, with the study's and then `map`'s columns. What was
/// left out is noted in input.warnings. Error(kIo) for a table without rows.
Table TableToFit(StudyTable& input, const std::string& map, const std::string& where);

/// The law that --law `given` means: of the study's own one of that name, else what ReadLaw() finds.
LawSpec LawFor(const StudyTable& input, const std::string& given, Session& session);

/// The law of a verb that needs one: `given` (as of LawFor()), else the first of the study. Values that the
/// study's settings fix are held. Error(kSpec) if there is none.
std::unique_ptr<Law> OneLaw(const StudyTable& input, const std::string& given, const FitSettings& settings,
                            Session& session);

}  // namespace bitlaw
