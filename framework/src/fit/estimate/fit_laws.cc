#include "fit/estimate/fit_laws.h"

#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/data/controls.h"
#include "fit/law/null_law.h"
#include "fit/solve/fit_problem.h"
#include "fit/table/accuracy_checks.h"
#include "fit/table/baseline.h"

namespace bitlaw {

namespace {

bool UsesAccuracy(const Law& law) {
  const std::vector<std::string> names = Expression::Parse(law.response()).names();
  return std::find(names.begin(), names.end(), "acc_adj") != names.end();
}

// The formula of the law for the loss against the unquantized model. A loss of exactly 0 of a quantized one is a row
// like others.
std::optional<LawFit> FitAnchored(const Law& law, const Table& table, const FitSettings& settings) {
  const TableColumn* baseline = table.Find(kBaselineAccuracy);
  if (baseline == nullptr || baseline->is_text || !AnchoredLaw::Fits(law)) return std::nullopt;
  const TableColumn* hold_out = table.Find("hold_out");
  const std::vector<bool> unquantized = UnquantizedRows(table, settings.roles);
  std::vector<size_t> kept;
  std::vector<Exclusion> excluded, held_out_excluded;
  for (size_t row = 0; row < table.rows(); ++row) {
    auto& to = IsHeldOut(hold_out, table, row) ? held_out_excluded : excluded;
    if (!(baseline->numbers[row] > 0)) {
      CountExclusion(to, "no baseline_acc_adj above 0",
                     RowLabel(table, row) + ": baseline_acc_adj = " + ShortestText(baseline->numbers[row]));
    } else if (unquantized[row]) {
      CountExclusion(to, "the unquantized model itself, whose loss is 0 by definition", RowLabel(table, row));
    } else {
      kept.push_back(row);
    }
  }
  if (kept.empty()) return std::nullopt;
  LawFit fit = FitLaw(AnchoredLaw(law), table, settings, kept);
  for (const Exclusion& one : excluded) fit.incoming += one.rows;
  for (const Exclusion& one : held_out_excluded) fit.held_out_incoming += one.rows;
  fit.excluded.insert(fit.excluded.begin(), excluded.begin(), excluded.end());
  fit.held_out_excluded.insert(fit.held_out_excluded.begin(), held_out_excluded.begin(), held_out_excluded.end());
  fit.warnings.clear();  // The law itself says them.
  return fit;
}

// The law's nulls, on exactly its rows.
std::vector<LawFit> FitNulls(const Law& law, const StratumData& stratum, const FitSettings& settings,
                             const ControlledStudy& study) {
  std::vector<LawFit> nulls;
  const FitProblem problem(law, stratum.table, settings, FitProcedure());
  const LawRows& rows = problem.selected();
  const std::vector<size_t>& used = rows.complete_index;
  if (used.empty()) return nulls;
  FitSettings null_settings = settings;
  null_settings.bootstrap_unit = "trials";  // Nothing is said of the errors of a null.
  // A null has a logarithm to start from, unless the law takes responses that have none: then neither takes it.
  const bool positive = std::all_of(rows.fit.y.begin(), rows.fit.y.end(), [](double y) { return y > 0; });
  if (positive) null_settings.random_starts = 0;
  for (const auto& null : NullsOf(law, settings.roles)) {
    null->TakeLog(positive);
    nulls.push_back(study.is_controlled()
                        ? FitLaw(ControlledLaw(*null, study.controls()), stratum.table, null_settings, used)
                        : FitLaw(*null, stratum.table, null_settings, used));
    nulls.back().warnings.clear();
  }
  return nulls;
}

LawFit FitWithNulls(const Law& law, const StratumData& stratum, const FitSettings& settings,
                    const ControlledStudy& study) {
  LawFit fit = FitLaw(law, stratum.table, settings);
  if (settings.nulls) {
    fit.nulls = FitNulls(law, stratum, settings, study);
    if (auto anchored = FitAnchored(law, stratum.table, settings)) fit.nulls.push_back(std::move(*anchored));
  }
  for (LawFit& null : fit.nulls) {
    null.stratum = stratum.name;
    null.is_null = true;
  }
  return fit;
}

}  // namespace

FitReport FitLaws(std::span<const std::unique_ptr<Law>> laws, const Table& table, const FitSettings& settings) {
  FitReport report;
  report.settings = settings;
  const ControlledStudy study(laws, table, settings.controls);
  report.controls = study.controls();
  const auto usual = std::any_of(study.laws().begin(), study.laws().end(), [](const Law* law) { return UsesAccuracy(*law); });
  if (usual) CheckAccuracies(study.table());
  StrataData data = SplitStrata(study.table(), settings.average_tasks);
  report.notes = data.notes;
  for (const StratumData& stratum : data.strata) {
    report.strata.push_back({stratum.name, stratum.tasks, stratum.incoming, stratum.incomplete});
  }
  for (const Law* law : study.laws()) {
    for (const StratumData& stratum : data.strata) {
      LawFit fit;
      try {
        fit = FitWithNulls(*law, stratum, settings, study);
      } catch (const Error& error) {
        // A law that does not suit the table costs its own fit and nothing else.
        if (error.kind() != ErrorKind::kSpec) throw;
        fit = LawFit();
        fit.law = law->name(), fit.formula = law->formula_text();
        fit.response = law->response(), fit.citation = law->citation();
        fit.incoming = stratum.table.rows();
        fit.unusable = error.what();
        if (fit.unusable.ends_with('.')) fit.unusable.pop_back();
        fit.why_no_ols = fit.why_no_least_squares = fit.why_no_binomial = fit.unusable;
      }
      fit.stratum = stratum.name;
      report.fits.push_back(std::move(fit));
    }
  }
  return report;
}

}  // namespace bitlaw
