#include "fit/examine/analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/data/controls.h"
#include "fit/law/restricted_law.h"
#include "fit/solve/fit_problem.h"
#include "fit/table/regroup.h"

namespace bitlaw {

namespace {

bool IsOwn(const StratumData& stratum) { return !stratum.is_pool; }

// Rows of all strata but the pool, one under the other.
Table Stacked(const StrataData& strata) {
  std::vector<const Table*> parts;
  for (const StratumData& stratum : strata.strata) {
    if (IsOwn(stratum)) parts.push_back(&stratum.table);
  }
  Table stacked("strata");
  if (parts.empty()) return stacked;
  for (const TableColumn& first : parts[0]->columns()) {
    TableColumn column;
    column.name = first.name;
    column.is_text = first.is_text;
    bool everywhere = true;
    for (const Table* part : parts) {
      const TableColumn* found = part->Find(first.name);
      everywhere = everywhere && found != nullptr && found->is_text == first.is_text;
      if (!everywhere) break;
      column.numbers.insert(column.numbers.end(), found->numbers.begin(), found->numbers.end());
      column.texts.insert(column.texts.end(), found->texts.begin(), found->texts.end());
    }
    if (everywhere) stacked.Add(std::move(column));
  }
  return stacked;
}

std::string GroupColumn(const Table& table, const FitSettings& settings) {
  if (!settings.groups.empty()) return settings.groups;
  const TableColumn* family = table.Find("family");
  if (family == nullptr) return "";
  std::set<std::string> values;
  for (size_t row = 0; row < table.rows(); ++row) values.insert(table.CellText(*family, row));
  return values.size() > 1 ? "family" : "";
}

bool HasParameters(const Law& law, const DerivedQuantity& derived) {
  const auto names = Expression::Parse(derived.expression).names();
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::any_of(law.parameters().begin(), law.parameters().end(),
                       [&](const LawParameter& parameter) { return parameter.name == name; });
  });
}

// Each for the laws that have its parameters; if there are none, for all, whose errors then say which are known.
std::vector<DerivedQuantity> DerivedOf(const Law& law, std::span<const Law* const> laws, const FitSettings& settings) {
  std::vector<DerivedQuantity> derived;
  for (const DerivedQuantity& one : settings.derived) {
    const bool is_of_one = std::any_of(laws.begin(), laws.end(), [&](const Law* l) { return HasParameters(*l, one); });
    if (HasParameters(law, one) || !is_of_one) derived.push_back(one);
  }
  return derived;
}

// One law for several quantizers is a law of their mixture: are they alike, and what does each say alone?
void SplitQuantizers(const Law& law, const Table& table, const FitSettings& settings, const LawFit& fit,
                     LawAnalysis& analysis) {
  if (fit.quantizers.size() < 2) return;
  const TableColumn& column = table.At("quantizer");
  std::vector<size_t> quantized;
  for (size_t row = 0; row < table.rows(); ++row) {
    if (IsQuantizer(table.CellText(column, row))) quantized.push_back(row);
  }
  if (settings.groups != "quantizer") analysis.quantizers = Chow(law, table.Rows(quantized), settings, "quantizer");
  for (const auto& [name, rows] : fit.quantizers) {
    std::vector<size_t> own;
    for (const size_t row : quantized) {
      if (table.CellText(column, row) == name) own.push_back(row);
    }
    analysis.by_quantizer.push_back(FitLaw(law, table.Rows(own), settings));
    analysis.by_quantizer.back().stratum = name;
  }
}

LawAnalysis AnalyzeLaw(const Law& law, const StratumData& stratum, const FitSettings& settings, const LawFit& fit,
                       const ItemScores* items, std::span<const DerivedQuantity> derived) {
  const Table& table = stratum.table;
  LawAnalysis analysis;
  analysis.law = fit.law;
  analysis.stratum = fit.stratum;
  const MethodFit& method = *fit.Methods()[0];
  const FitProblem problem(law, table, settings, method.procedure);
  const Refitter refitter(problem, table, method);
  BootstrapOptions options;
  options.replicates = settings.bootstrap;
  options.unit = settings.bootstrap_unit;
  options.level = settings.confidence;
  options.seed = settings.seed;
  options.threads = settings.threads;
  std::optional<ItemSampler> sampler;
  if (items != nullptr && options.unit == "items") sampler.emplace(*items, stratum);
  options.items = sampler ? &*sampler : nullptr;
  analysis.uncertainty = Bootstrap(refitter, table, method, options, derived);
  if (settings.profile) {
    const std::vector<Interval> profiles = ProfileIntervals(problem, method, settings.confidence, settings.threads);
    for (size_t j = 0; j < profiles.size(); ++j) analysis.uncertainty.quantities[j].profile = profiles[j];
  }
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, refitter.cases(), settings.roles);
  const auto validate = [&](std::string scheme, const std::vector<int>& folds) {
    analysis.validation.push_back(
        Validate(refitter, std::move(scheme), folds, settings.confidence, settings.seed, settings.threads, &units));
  };
  if (settings.k_fold > 1)
    validate(FoldsName(settings.k_fold, units), RandomFolds(refitter, settings.k_fold, settings.seed, &units));
  if (settings.leave_one_out) validate("leave one out", OneByOne(refitter));
  for (const std::string& column : settings.leave_out)
    validate("leave out " + column, FoldsBy(refitter, table, column));
  std::vector<std::string> conditions = UsualHoldOuts(refitter, table, settings.roles);
  conditions.insert(conditions.end(), settings.hold_outs.begin(), settings.hold_outs.end());
  for (const std::string& condition : conditions)
    validate("hold out " + condition, HoldOut(refitter, table, condition));
  if (settings.compare) analysis.ablations = Ablations(law, table, settings);
  const std::string groups = GroupColumn(table, settings);
  if (!groups.empty()) analysis.chow = Chow(law, table, settings, groups);
  analysis.zones = Regimes(law, table, settings);
  SplitQuantizers(law, table, settings, fit, analysis);
  return analysis;
}

// Not for a law that is cleared of controls: what was fixed or published is of the law without them.
std::vector<NestedTest> TestHeld(const Law& law, const Table& table, const FitSettings& settings,
                                 std::vector<std::string>& notes) {
  std::vector<NestedTest> tests;
  const auto test = [&](const Law& whole, const std::vector<double>& fixed) {
    try {
      tests.push_back(TestParameters(whole, table, settings, fixed));
      return true;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kNumerical) throw;
      notes.push_back(std::string("held parameters are not tested: ") + error.what());
      return false;
    }
  };
  const auto* restricted = dynamic_cast<const RestrictedLaw*>(&law);
  const Law& whole = restricted != nullptr ? restricted->law() : law;
  if (restricted != nullptr) test(whole, restricted->fixed());
  std::vector<double> published;
  for (const LawParameter& parameter : whole.parameters()) published.push_back(parameter.published);
  const bool is_published = std::none_of(published.begin(), published.end(), [](double value) { return std::isnan(value); });
  if (is_published && test(whole, published)) tests.back().small = "published values";
  return tests;
}

// What the permutation test wants: a row a trial, and no controls, which belong to tasks.
StrataData Averaged(const Table& table, const FitSettings& settings) {
  return settings.controls.empty() && settings.average_tasks ? StrataData() : SplitStrata(table);
}

StrataTests TestGroups(const Law& plain, const Law& law, const Table& table, const StrataData& strata,
                       const StrataData& averaged, const FitSettings& settings, std::span<const LawFit> fits,
                       const ItemScores* items) {
  StrataTests tests = RankStrata(law, strata, settings, fits, items);
  if (tests.why_none.empty()) PermuteStrata(plain, table, averaged.strata.empty() ? strata : averaged, settings, tests);
  return tests;
}

GroupingAnalysis AnalyzeGrouping(std::span<const std::unique_ptr<Law>> laws, const ControlledStudy& study,
                                 const Table& table, const FitSettings& settings, const FitReport& fits,
                                 const Grouping& grouping) {
  GroupingAnalysis analysis;
  analysis.name = grouping.name;
  const Table regrouped = Regroup(table, grouping);
  StrataData strata = SplitStrata(Regroup(study.table(), grouping), settings.average_tasks);
  const StrataData averaged = Averaged(regrouped, settings);
  analysis.notes = strata.notes;
  for (const StratumData& stratum : strata.strata) {
    if (IsOwn(stratum)) analysis.strata.push_back({stratum.name, stratum.tasks, stratum.incoming, stratum.incomplete});
  }
  for (size_t i = 0; i < laws.size(); ++i) {
    const Law& law = *study.laws()[i];
    // A law that does not suit the table has said so already.
    if (std::any_of(fits.fits.begin(), fits.fits.end(),
                    [&](const LawFit& fit) { return fit.law == law.name() && !fit.unusable.empty(); }))
      continue;
    for (const StratumData& stratum : strata.strata) {
      if (!IsOwn(stratum)) continue;
      analysis.fits.push_back(FitLaw(law, stratum.table, settings));
      analysis.fits.back().stratum = stratum.name;
    }
    analysis.strata_tests.push_back(
        TestGroups(*laws[i], law, regrouped, strata, averaged, settings, analysis.fits, nullptr));
  }
  return analysis;
}

// The laws of each response that has several, and all laws in units of acc_adj where they are of several responses.
std::vector<LawComparison> CompareAll(std::span<const Law* const> laws, const StratumData& stratum,
                                      const FitSettings& settings) {
  std::vector<LawComparison> comparisons;
  std::vector<std::string> responses;
  std::map<std::string, std::vector<const Law*>> by_response;
  for (const Law* law : laws) {
    if (by_response[law->response()].empty()) responses.push_back(law->response());
    by_response[law->response()].push_back(law);
  }
  for (const std::string& response : responses) {
    if (by_response[response].size() > 1)
      comparisons.push_back(CompareLaws(by_response[response], stratum.table, settings));
  }
  if (responses.size() > 1) comparisons.push_back(CompareInAccuracy(laws, stratum.table, settings));
  for (LawComparison& comparison : comparisons) comparison.stratum = stratum.name;
  return comparisons;
}

std::vector<NestedSelection> SelectAll(std::span<const Law* const> laws, const StrataData& strata,
                                       const FitSettings& settings) {
  std::vector<NestedSelection> own, pools;
  for (const StratumData& stratum : strata.strata) {
    for (NestedSelection& one : SelectNested(laws, stratum, settings))
      (stratum.is_pool ? pools : own).push_back(std::move(one));
  }
  std::vector<NestedSelection> shared = SelectForAll(own);
  for (std::vector<NestedSelection>* more : {&pools, &shared})
    std::move(more->begin(), more->end(), std::back_inserter(own));
  return own;
}

}  // namespace

AnalysisReport Analyze(std::span<const std::unique_ptr<Law>> laws, const Table& table, const FitSettings& settings,
                       const FitReport& fits, const ItemScores* items) {
  AnalysisReport report;
  const ControlledStudy study(laws, table, settings.controls);
  const StrataData strata = SplitStrata(study.table(), settings.average_tasks);
  size_t at = 0;
  for (const Law* law : study.laws()) {
    const std::vector<DerivedQuantity> derived = DerivedOf(*law, study.laws(), settings);
    for (const StratumData& stratum : strata.strata) {
      if (at == fits.fits.size()) throw InternalError("Analyze: the fits are of other laws or another table");
      const LawFit& fit = fits.fits[at++];
      if (fit.Methods().empty()) continue;
      report.laws.push_back(AnalyzeLaw(*law, stratum, settings, fit, items, derived));
      LawAnalysis& analysis = report.laws.back();
      if (settings.compare && !study.is_controlled())
        analysis.held = TestHeld(*law, stratum.table, settings, analysis.why_not_held);
    }
  }
  if (settings.compare && laws.size() > 1) {
    for (const StratumData& stratum : strata.strata) {
      for (LawComparison& comparison : CompareAll(study.laws(), stratum, settings))
        report.comparisons.push_back(std::move(comparison));
    }
  }
  if (settings.select && laws.size() > 1) report.selections = SelectAll(study.laws(), strata, settings);
  for (const Grouping& grouping : settings.groupings)
    report.groupings.push_back(AnalyzeGrouping(laws, study, study.plain_table(), settings, fits, grouping));
  const auto own = std::count_if(strata.strata.begin(), strata.strata.end(), IsOwn);
  if (own < 2) return report;
  const Table stacked = Stacked(strata);
  const StrataData averaged = Averaged(study.plain_table(), settings);
  for (size_t i = 0; i < laws.size(); ++i) {
    const Law& law = *study.laws()[i];
    const bool is_fitted = std::any_of(report.laws.begin(), report.laws.end(),
                                       [&](const LawAnalysis& analysis) { return analysis.law == law.name(); });
    if (!is_fitted) continue;
    report.strata.push_back(TestGroups(*laws[i], law, study.plain_table(), strata, averaged, settings, fits.fits, items));
    report.shared_over_strata.push_back(Chow(law, stacked, settings, "stratum"));
  }
  return report;
}

}  // namespace bitlaw
