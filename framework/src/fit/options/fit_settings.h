#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/options/control.h"
#include "fit/options/derived_quantity.h"
#include "fit/options/factor_roles.h"
#include "fit/options/grouping.h"
#include "fit/options/held_value.h"

namespace bitlaw {

/// What is done with accuracies at or below chance, for which -log(acc_adj) has no value.
enum class ChanceRule {
  kLikelihood,  ///< They enter a binomial likelihood of the counts, which has a value for them. Fits to the response
                ///< itself still lack them, and count them.
  kExclude,     ///< Rows with acc_adj <= 0 or >= 1 are left out of every fit and counted: only survivors are left.
};
BITLAW_EXPORT std::string Name(ChanceRule rule);

/// How laws are fitted: the `fit:` of a study.
struct BITLAW_EXPORT FitSettings {
  ChanceRule chance_rule = ChanceRule::kLikelihood;
  std::string weights;  ///< RowOptions::weights
  int random_starts = 16;
  uint64_t seed = 0;
  int threads = 0;    ///< 0: one a core. Results are the same for any number.
  bool nulls = true;  ///< Fit NullsOf() and the law of the loss against 16 bits beside every law.

  double confidence = 0.9;  ///< Level of all intervals.
  int bootstrap = 500;      ///< Replicates; 0: none.
  /// What counts as independent in every section, and what the bootstrap draws: UnitsOf().
  std::string bootstrap_unit = "auto";
  bool profile = false;  ///< Profile intervals of the parameters.
  std::vector<DerivedQuantity> derived;
  int k_fold = 5;  ///< 0: none.
  bool leave_one_out = false;
  std::vector<std::string> leave_out;  ///< Columns: "model".
  std::vector<std::string> hold_outs;  ///< Conditions, beside UsualHoldOuts().
  bool compare = true;                 ///< Laws against each other, ablations.
  bool select = false;                 ///< Nested selection among the laws: SelectNested().
  std::string groups;                  ///< Column of a Chow test; "" : `family` if it varies.
  int permutations = 1000;             ///< Of the tasks over the strata; 0: none.
  std::vector<std::string> zones;      ///< Conditions; empty: the values of the law's factors of precision.
  bool average_tasks = true;           ///< A row is a trial; false: a trial and task.
  std::vector<Control> controls;
  std::vector<Grouping> groupings;  ///< Strata beside the table's own.
  FactorRoles roles;                ///< What columns are: nulls, zones, hold-outs and ablations go by it.
  std::vector<HeldValue> fix;       ///< For whoever opens the laws: FitLaws() takes them as they are.
};

/// Error(kSpec) by the schema, and for a text that cannot be read. Null: defaults.
BITLAW_EXPORT FitSettings ReadFitSettings(const Value& given);

}  // namespace bitlaw
