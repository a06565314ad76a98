#include <fmt/format.h>

#include <cmath>

#include "report/analysis_tables.h"

namespace bitlaw {

namespace {

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string Unit(const ValidationResult& errors) {
  if (errors.interval_units < 2) return "-";
  return fmt::format("{} ({})", errors.interval_unit, errors.interval_units);
}

// What was chosen, a row a stratum and outer hold-out.
ReportTable ChoiceTable(const std::vector<NestedSelection>& selections) {
  ReportTable table;
  table.name = "selection";
  table.title = "Law chosen on inner hold-outs, judged on rows that neither its choice nor its fit saw";
  table.header = {"stratum", "outer hold-out", "chosen on",    "law chosen",        "inner MAE", "n held out",
                  "MAE",     "interval",       "interval over", "best afterwards", "its MAE"};
  for (const NestedSelection& one : selections) {
    for (const std::string& why : one.unpredicted)
      table.notes.push_back(fmt::format("{}, {}: no law is judged by a hold-out that none predicts. {}.", one.stratum, one.outer, why));
    const SelectionCandidate *chosen = one.chosen(), *best = one.best_afterwards();
    if (chosen == nullptr) {
      table.notes.push_back(fmt::format("{}, {}: nothing is chosen, because {}.", one.stratum, one.outer,
                                        one.why_none.empty() ? "no law can predict the inner hold-outs" : one.why_none));
      continue;
    }
    const ValidationResult& errors = chosen->outer;
    table.rows.push_back({one.stratum, one.outer, Joined(one.inner), chosen->law, Fixed(chosen->inner_mae, 4),
                          Whole(static_cast<double>(one.outer_rows)), Fixed(errors.accuracy_mae, 4),
                          Between(errors.accuracy_mae_interval.low, errors.accuracy_mae_interval.high), Unit(errors),
                          best == nullptr ? "" : best->law, Fixed(best == nullptr ? kUnset : best->outer.accuracy_mae, 4)});
  }
  table.notes.emplace_back(
      "MAE: mean absolute error of acc_adj on the outer rows. Best afterwards: the law with the least error there, which is "
      "known only to who has looked; its error is too good by as much as the choice helps.");
  return table;
}

// Every law's errors, for whoever wants to see how near the choice was.
ReportTable CandidateTable(const std::vector<NestedSelection>& selections) {
  ReportTable table;
  table.name = "selection_laws";
  table.title = "All laws on inner and outer hold-outs, mean absolute error of acc_adj";
  table.header = {"stratum", "outer hold-out", "law", "inner MAE", "outer MAE", "interval"};
  for (const NestedSelection& one : selections) {
    for (const SelectionCandidate& law : one.candidates) {
      const Interval& interval = law.outer.accuracy_mae_interval;
      table.rows.push_back({one.stratum, one.outer, law.law, Fixed(law.inner_mae, 4), Fixed(law.outer.accuracy_mae, 4),
                            Between(interval.low, interval.high)});
      if (!law.why_none.empty())
        table.notes.push_back(fmt::format("{}, {}, {}: {}.", one.stratum, one.outer, law.law, law.why_none));
    }
  }
  return table;
}

}  // namespace

ReportSection SelectionSection(const AnalysisReport& analysis) {
  ReportSection section;
  section.title = "Nested selection";
  if (analysis.selections.empty()) return section;
  for (ReportTable table : {ChoiceTable(analysis.selections), CandidateTable(analysis.selections)})
    section.tables.push_back(std::move(table));
  return section;
}

}  // namespace bitlaw
