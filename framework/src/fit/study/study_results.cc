#include "fit/study/study_results.h"

#include <algorithm>
#include <map>

#include "base/durable_file.h"
#include "fit/data/item_scores.h"
#include "fit/law/restricted_law.h"
#include "records/observations.h"

namespace bitlaw {

std::vector<std::string> ObservationTextColumns() {
  return {"study", "trial", "label",   "model",  "family",      "quantizer", "corpus",
          "dtype", "task",  "stratum", "metric", "metric_kind", "record"};
}

std::vector<std::unique_ptr<Law>> OpenLaws(const std::vector<LawSpec>& specs, const PluginHost& host) {
  std::vector<std::unique_ptr<Law>> laws;
  for (const LawSpec& spec : specs) {
    const Component& component = host.Find(ComponentKind::kLaw, spec.component, spec.mark.Text());
    laws.push_back(host.MakeLaw(component.info.name, spec.name,
                                component.schema.Resolve(spec.options, "law '" + component.info.name + "'")));
  }
  return laws;
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

void Fit(const std::vector<LawSpec>& specs, const Value& given, const PluginHost& host,
         const std::filesystem::path& output, StudyResults& report) {
  FitSettings settings;
  if (!Try(report, "no law was fitted", [&] { settings = ReadFitSettings(given); })) return;
  std::vector<std::unique_ptr<Law>> opened, laws;
  for (const LawSpec& spec : specs) {
    Try(report, "law '" + spec.name + "' was not fitted",
        [&] { opened.push_back(std::move(OpenLaws({spec}, host).front())); });
  }
  // A name that is to be fixed may be that of a law that could not be opened, which is said already.
  if (opened.size() == specs.size() && !Try(report, "no law was fitted", [&] { CheckHeldNames(opened, settings.fix); }))
    return;
  for (std::unique_ptr<Law>& law : opened) {
    const std::string name = law->name();
    Try(report, "law '" + name + "' was not fitted", [&] { laws.push_back(HoldIn(std::move(law), settings.fix)); });
  }
  try {
    report.fits = FitLaws(laws, report.observations, settings);
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
      if (Try(report, "law '" + name + "' was not fitted", [&] { FitLaws(one, report.observations, quick); })) {
        fitted.push_back(std::move(one.front()));
      }
    }
    laws = std::move(fitted);
    if (!Try(report, "no law was fitted", [&] { report.fits = FitLaws(laws, report.observations, settings); })) return;
  }
  AddUnusableLaws(report);
  Try(report, "the fits were not examined further", [&] {
    ItemScores items;
    if (settings.bootstrap_unit == "items") items = ReadItemScores(report.observations, RecordStore(output));
    report.analysis =
        Analyze(laws, report.observations, settings, report.fits, items.tasks.empty() ? nullptr : &items);
  });
}

}  // namespace

StudyResults FitStudy(const Plan& plan, const PluginHost& host, const std::filesystem::path& output) {
  StudyResults report;
  report.description = Describe(plan);
  report.observations = Observations(plan, host, output, &report.warnings);
  Fit(plan.study.laws, plan.study.fit, host, output, report);
  report.failures = ReadFailures(output);
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
  report.observations = ReadCsv(observations, {ObservationTextColumns()});
  Fit(report.description.laws, report.description.fit, host, output, report);
  report.failures = ReadFailures(output);
  return report;
}

}  // namespace bitlaw
