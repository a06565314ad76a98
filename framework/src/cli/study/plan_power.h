#pragma once

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/value.h"
#include "fit/study/item_statistics.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "report/document.h"

namespace bitlaw {

struct PowerArguments {
  /// Shares of items on which two models disagree, assumed; empty: measured where trials are recorded, else three.
  std::vector<double> discordance;
  double effect = std::numeric_limits<double>::quiet_NaN();  ///< Wanted difference of accuracies; NaN: none.
  PairedSettings paired;                                     ///< Its confidence and power.
};

/// What the items of a plan can show before it is run: the smallest difference between a quantized model and the
/// unquantized one that is found, by benchmark, stratum, and for the verdict over all of them.
struct PlanPower {
  struct Row {
    std::string kind;   ///< "task", "stratum" or "verdict"
    std::string name;
    size_t benchmarks = 1;
    int64_t items = 0;  ///< Of all its benchmarks; 0 where their data are not here.
    /// Of tasks, where it was measured: the median over recorded trials, and the least and the most.
    double discordance = std::numeric_limits<double>::quiet_NaN(), least = discordance, most = discordance;
    std::vector<double> detectable;              ///< [columns of discordance]; NaN: unknown.
    std::vector<int64_t> items_for_effect;       ///< Items a benchmark; 0: unknown. Empty without an effect.
  };
  std::vector<Row> rows;
  std::vector<double> assumed;  ///< The columns of discordance; empty: one column, as measured.
  size_t measured_trials = 0, quantized_trials = 0;
  std::vector<std::string> notes;
};

/// Opens the tasks' data, and at most 40 recorded trials of `output`. A task that cannot be opened here leaves its items
/// unknown, with a note.
PlanPower PowerOf(const Plan& plan, const PluginHost& host, const std::filesystem::path& output,
                  const PowerArguments& arguments);

ReportTable PowerTable(const PlanPower& power, const PowerArguments& arguments);
Value PowerJson(const PlanPower& power, const PowerArguments& arguments);

}  // namespace bitlaw
