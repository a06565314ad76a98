#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/data/item_scores.h"
#include "fit/estimate/fit_laws.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/comparison.h"
#include "fit/examine/nested_tests.h"
#include "fit/examine/selection/nested_selection.h"
#include "fit/examine/strata.h"
#include "fit/examine/uncertainty.h"
#include "fit/examine/validation.h"

namespace bitlaw {

/// What is said of one fitted law beside its estimates, by the first of its methods.
struct BITLAW_EXPORT LawAnalysis {
  std::string law, stratum;
  UncertaintyReport uncertainty;
  std::vector<ValidationResult> validation;
  std::vector<Ablation> ablations;
  ChowTest chow;  ///< groups empty: none was made.
  /// Where the fitted rows are of several quantizers (the unquantized model apart): the test by `quantizer`, and the
  /// law fitted to each alone (LawFit::stratum names it).
  ChowTest quantizers;
  std::vector<LawFit> by_quantizer;
  std::vector<Zone> zones;
  /// Parameters held at given values against the law with them free: those of a law with fixed parameters, and all at
  /// the published values where it has them.
  std::vector<NestedTest> held;
  std::vector<std::string> why_not_held;  ///< Such tests that could not be made.
};

/// The laws on other strata of the same tasks.
struct BITLAW_EXPORT GroupingAnalysis {
  std::string name;
  std::vector<FitReport::Stratum> strata;
  std::vector<std::string> notes;
  std::vector<LawFit> fits;  ///< Law by law, strata in order; without nulls and without the pool of all tasks.
  std::vector<StrataTests> strata_tests;  ///< One a law.
};

struct BITLAW_EXPORT AnalysisReport {
  std::vector<LawAnalysis> laws;             ///< Those that could be fitted, in the order of the fits.
  /// Stratum by stratum, one a response with two laws or more; then, where there are several responses, all laws.
  std::vector<LawComparison> comparisons;
  /// Stratum by stratum, then for all of them (kAllStrata); empty unless settings.select and there are two laws.
  std::vector<NestedSelection> selections;
  std::vector<StrataTests> strata;           ///< One a law, where there are two strata or more.
  std::vector<ChowTest> shared_over_strata;  ///< The law of the same index in `strata`: strata as the groups.
  std::vector<GroupingAnalysis> groupings;   ///< Those of settings.groupings.
};

/// Uncertainty, validation, comparison, strata and zones of `fits`, which is FitLaws() of the same arguments. `items`
/// are those behind the table's accuracies, for a bootstrap over items; null: there are none.
BITLAW_EXPORT AnalysisReport Analyze(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                                     const FitSettings& settings, const FitReport& fits,
                                     const ItemScores* items = nullptr);

}  // namespace bitlaw
