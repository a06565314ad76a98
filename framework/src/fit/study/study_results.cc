#include "fit/study/study_results.h"

#include <algorithm>
#include <map>

#include "base/files/durable_file.h"
#include "fit/data/item_scores.h"
#include "fit/output/row_predictions.h"
#include "fit/study/study_laws.h"
#include "fit/output/trial_costs.h"
#include "fit/table/column_map.h"
#include "fit/table/column_roles.h"
#include "records/observations.h"

namespace bitlaw {

std::vector<std::string> ObservationTextColumns(const std::vector<ObservationColumn>& columns) {
  std::vector<std::string> names = {"study", "trial", "label",   "model",  "family",      "quantizer", "corpus",
                                    "dtype", "task",  "stratum", "metric", "metric_kind", "record"};
  for (const ObservationColumn& column : columns) {
    if (column.is_text && std::find(names.begin(), names.end(), column.name) == names.end()) names.push_back(column.name);
  }
  return names;
}

std::vector<ObservationColumn> ReadColumnsBeside(const std::filesystem::path& observations) {
  const std::filesystem::path file = observations.parent_path() / "columns.json";
  std::error_code status;
  if (!std::filesystem::is_regular_file(file, status)) return {};
  return ReadColumns(ReadWholeFile(file), file.string());
}

FitSettings StudyFitSettings(const Value& fit, const std::vector<ObservationColumn>& columns,
                             const std::vector<std::pair<std::string, Value>>& map) {
  FitSettings settings = ReadFitSettings(fit);
  settings.roles.Add(RolesOf(columns));
  InheritRoles(map, settings.roles);
  return settings;
}

namespace {

// Calls `step`; what it throws becomes a fault of the report, for the rest of a report is not to be lost with one law.
template <class Step>
bool Try(StudyResults& report, const std::string& what, Step&& step) {
  try {
    step();
    return true;
  } catch (const Error& error) {
    report.fit_faults.push_back({error.kind(), what + ": " + error.what()});
    return false;
  }
}

// A law that no stratum's rows suit (a column they lack) is a fault of the study, once, beside what its section says.
void AddUnusableLaws(StudyResults& report) {
  std::map<std::string, std::string> reasons;
  for (const LawFit& fit : report.fits.fits) {
    const auto at = reasons.emplace(fit.law, fit.unusable).first;
    if (fit.unusable.empty()) at->second.clear();
  }
  for (const auto& [law, reason] : reasons) {
    if (!reason.empty()) report.fit_faults.push_back({ErrorKind::kSpec, "law '" + law + "' was not fitted: " + reason + "."});
  }
}

// Which trials have got worse, item by item.
void Judge(const std::filesystem::path& output, StudyResults& report) {
  if (report.observations.rows() == 0) return;
  Try(report, "which trials have got worse was not judged", [&] {
    StudyFlips flips = ReadStudyFlips(report.observations, RecordStore(output));
    report.verdicts = JudgeDegradation(flips.trials);
    report.verdict_notes = std::move(flips.notes);
  });
}

void Fit(const std::filesystem::path& output, const FitSettings& settings, std::vector<std::unique_ptr<Law>> laws,
         StudyResults& report) {
  Table table;  // As fits see it.
  if (!Try(report, "no law was fitted", [&] { table = MapColumns(report.observations, report.description.map); })) return;
  try {
    report.fits = FitLaws(laws, table, settings);
  } catch (const Error&) {
    // Which laws it is that cannot be fitted, at little cost; the others once more, together.
    FitSettings quick = settings;
    quick.random_starts = std::min(1, settings.random_starts);
    quick.bootstrap = quick.k_fold = quick.permutations = 0;
    quick.nulls = quick.compare = quick.profile = quick.leave_one_out = false;
    std::vector<std::unique_ptr<Law>> fitted;
    for (std::unique_ptr<Law>& law : laws) {
      std::vector<std::unique_ptr<Law>> one;
      one.push_back(std::move(law));
      const std::string name = one.front()->name();
      if (Try(report, "law '" + name + "' was not fitted", [&] { FitLaws(one, table, quick); })) {
        fitted.push_back(std::move(one.front()));
      }
    }
    laws = std::move(fitted);
    if (!Try(report, "no law was fitted", [&] { report.fits = FitLaws(laws, table, settings); })) return;
  }
  AddUnusableLaws(report);
  Try(report, "the fits were not examined further", [&] {
    ItemScores items;
    if (settings.bootstrap_unit == "items") items = ReadItemScores(table, RecordStore(output));
    report.analysis = Analyze(laws, table, settings, report.fits, items.tasks.empty() ? nullptr : &items);
  });
  Try(report, "the fits' predictions were not made", [&] {
    report.predictions = RowPredictions(laws, table, settings, report.fits);
    report.pictures = PictureLaws(laws, table, settings, report.fits);
  });
}

// With what the study's description says: one bad law, or one bad setting, costs no more than it must.
void Fit(const PluginHost& host, const std::filesystem::path& output, StudyResults& report) {
  const StudyDescription& study = report.description;
  FitSettings settings;
  if (!Try(report, "no law was fitted", [&] { settings = StudyFitSettings(study.fit, report.columns, study.map); })) return;
  OpenedLaws opened = OpenStudyLaws(study.laws, host, settings.fix);
  for (const OpenedLaws::Fault& fault : opened.faults) {
    const std::string what = fault.law.empty() ? "no law was fitted" : "law '" + fault.law + "' was not fitted";
    report.fit_faults.push_back({fault.error.kind(), what + ": " + fault.error.what()});
  }
  Fit(output, settings, std::move(opened.laws), report);
}

StudyResults Recorded(const Plan& plan, const std::filesystem::path& output, Table observations,
                      std::vector<std::string> warnings) {
  StudyResults report;
  report.description = Describe(plan);
  report.observations = std::move(observations);
  report.warnings = std::move(warnings);
  report.columns = ObservationColumns(plan);
  report.failures = ReadFailures(output);
  report.costs = TrialCosts(report.observations, output);
  Judge(output, report);
  return report;
}

}  // namespace

StudyResults FitStudy(const Plan& plan, const PluginHost& host, const std::filesystem::path& output) {
  std::vector<std::string> warnings;
  Table observations = Observations(plan, host, output, &warnings);
  StudyResults report = Recorded(plan, output, std::move(observations), std::move(warnings));
  Fit(host, output, report);
  return report;
}

StudyResults FitStudy(const Plan& plan, const std::filesystem::path& output, Table observations,
                      std::vector<std::string> warnings, const FitSettings& settings,
                      std::vector<std::unique_ptr<Law>> laws) {
  StudyResults report = Recorded(plan, output, std::move(observations), std::move(warnings));
  Fit(output, settings, std::move(laws), report);
  return report;
}

StudyResults FitStudy(const std::filesystem::path& output, const PluginHost& host) {
  const std::filesystem::path description = output / "study.json", observations = output / "observations.csv";
  for (const auto& file : {description, observations}) {
    if (!std::filesystem::exists(file)) {
      throw Error(ErrorKind::kIo, file.string() +
                                      ": there is no such file. An output folder has it once 'bitlaw run' has "
                                      "ended there; give the study file instead.");
    }
  }
  StudyResults report;
  report.description = ReadStudyDescription(ReadWholeFile(description), description.string());
  report.columns = ReadColumnsBeside(observations);
  report.observations = ReadCsv(observations, {ObservationTextColumns(report.columns)});
  Judge(output, report);
  Fit(host, output, report);
  report.failures = ReadFailures(output);
  report.costs = TrialCosts(report.observations, output);
  return report;
}

}  // namespace bitlaw
