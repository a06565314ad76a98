#include "report/study_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "fit/output/fit_output.h"
#include "fit/table/strata_data.h"
#include "fit/table/task_signal.h"
#include "records/observations.h"
#include "report/analysis_tables.h"
#include "report/law_tables.h"
#include "report/page/front_page.h"
#include "report/page/study_page.h"
#include "report/paired_table.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

namespace {

bool IsPrimary(const Table& observations, size_t row) {
  const TableColumn* primary = observations.Find("primary");
  return primary == nullptr || observations.Flag(*primary, row, true);
}

// Rows of the primary metrics, by task and by trial, in order of first appearance.
struct ScoreIndex {
  std::vector<std::string> tasks, trials;
  std::map<std::string, size_t> first_row;                    // trial
  std::map<std::pair<std::string, std::string>, size_t> row;  // trial, task
};

ScoreIndex IndexScores(const Table& observations) {
  ScoreIndex index;
  for (size_t row = 0; row < observations.rows(); ++row) {
    if (!IsPrimary(observations, row)) continue;
    const std::string trial = observations.TextAt("trial", row), task = observations.TextAt("task", row);
    if (index.first_row.emplace(trial, row).second) index.trials.push_back(trial);
    if (std::find(index.tasks.begin(), index.tasks.end(), task) == index.tasks.end()) index.tasks.push_back(task);
    index.row.emplace(std::pair(trial, task), row);
  }
  return index;
}

ReportSection SummarySection(const StudyResults& report, const ScoreIndex& index) {
  ReportSection section;
  section.title = "Study";
  const size_t pairs = index.row.size();
  const auto planned = static_cast<size_t>(report.description.planned_trials);
  const size_t planned_pairs = planned * report.description.tasks.size();
  section.bullets.push_back(fmt::format("{}, {}, {} planned", Counted(report.description.models.size(), "model"),
                                        Counted(report.description.tasks.size(), "task"), Counted(planned, "trial")));
  section.bullets.push_back(fmt::format("{} of {} scores recorded (a trial on a task), of {}", pairs, planned_pairs,
                                        Counted(index.trials.size(), "trial")));
  if (!report.failures.empty()) section.bullets.push_back(Counted(report.failures.size(), "trial") + " failed");
  if (!report.description.skipped.empty()) {
    section.bullets.push_back(Counted(report.description.skipped.size(), "grid cell") + " skipped");
  }
  return section;
}

double ScaleOf(const StudyDescription::Model& model, const std::string& column) {
  const auto found = std::find_if(model.scale.begin(), model.scale.end(), [&](const auto& one) { return one.first == column; });
  return found == model.scale.end() ? kUnset : found->second;
}

// Factors of scale that some model has, but for those that say the same of every model as one before them (N_active of
// dense models is N).
std::vector<std::string> ScaleColumns(const std::vector<StudyDescription::Model>& models) {
  std::vector<std::string> columns;
  const auto repeats = [&](const std::string& column, const std::string& other) {
    return std::all_of(models.begin(), models.end(), [&](const auto& model) {
      return ScaleOf(model, column) == ScaleOf(model, other);
    });
  };
  for (const auto& model : models) {
    for (const auto& [column, value] : model.scale) {
      const bool is_known = std::any_of(columns.begin(), columns.end(), [&, &name = column](const std::string& other) {
        return name == other || repeats(name, other);
      });
      if (!is_known && !std::isnan(value)) columns.push_back(column);
    }
  }
  return columns;
}

ReportSection ModelSection(const StudyResults& report) {
  ReportSection section;
  section.title = "Models";
  ReportTable table;
  table.name = "models";
  const std::vector<std::string> scale = ScaleColumns(report.description.models);
  table.header = {"model", "family", "architecture"};
  table.header.insert(table.header.end(), scale.begin(), scale.end());
  table.header.insert(table.header.end(), {"stored as", "held out"});
  for (const auto& model : report.description.models) {
    std::vector<ReportCell> row = {model.name, model.family, model.architecture};
    for (const std::string& column : scale) row.push_back(Whole(ScaleOf(model, column)));
    row.insert(row.end(), {model.stored_dtype, model.hold_out ? "yes" : "no"});
    table.rows.push_back(std::move(row));
    if (!model.baseline_note.empty()) table.notes.push_back(model.name + ": " + model.baseline_note + ".");
  }
  for (const std::string& column : scale) {
    const Factor* standard = FindStandardFactor(column);
    if (standard != nullptr) table.notes.push_back(column + ": " + standard->doc);
  }
  section.tables.push_back(std::move(table));
  return section;
}

// The factors that differ between rows, with their values.
ReportTable FactorTable(const StudyResults& report) {
  constexpr size_t kFewValues = 8;
  ReportTable table;
  table.name = "factors";
  table.title = "Factors";
  table.header = {"column", "role", "unit", "values", "reported by"};
  for (const ObservationColumn& described : report.columns) {
    const TableColumn* column = report.observations.Find(described.name);
    if (!described.factor || column == nullptr) continue;
    std::set<double> numbers;
    std::set<std::string> texts;
    for (size_t row = 0; row < column->size(); ++row) {
      if (column->is_text && !column->texts[row].empty()) texts.insert(column->texts[row]);
      if (!column->is_text && !std::isnan(column->numbers[row])) numbers.insert(column->numbers[row]);
    }
    if (numbers.size() + texts.size() < 2) continue;
    std::vector<std::string> shown(texts.begin(), texts.end());
    for (const double number : numbers) shown.push_back(ShortestText(number));
    const std::string values = shown.size() <= kFewValues ? JoinNames(shown)
                                                          : shown.front() + " to " + shown.back() + " (" +
                                                                std::to_string(shown.size()) + " values)";
    table.rows.push_back({described.name, std::string(Name(described.factor->role)), described.factor->unit, values,
                          described.origin});
  }
  return table;
}

ReportSection GridSection(const StudyResults& report) {
  ReportSection section;
  section.title = "Grid";
  ReportTable table;
  table.name = "grid";
  table.header = {"axis", "values"};
  for (const auto& axis : report.description.axes) table.rows.push_back({axis.name, JoinNames(axis.values)});
  if (!table.rows.empty()) section.tables.push_back(std::move(table));
  ReportTable factors = FactorTable(report);
  if (!factors.rows.empty()) section.tables.push_back(std::move(factors));
  if (!report.description.skipped.empty()) {
    ReportTable skipped;
    skipped.name = "skipped";
    skipped.title = "Skipped cells";
    skipped.header = {"cell", "reason"};
    for (const auto& cell : report.description.skipped) skipped.rows.push_back({cell.label, cell.reason});
    section.tables.push_back(std::move(skipped));
  }
  return section;
}

ReportSection TaskSection(const StudyResults& report, const ScoreIndex& index) {
  ReportSection section;
  section.title = "Tasks";
  ReportTable table;
  table.name = "tasks";
  table.header = {"task", "stratum", "metric", "items", "chance", "limited to", "signal to noise"};
  const Table& observations = report.observations;
  std::map<std::string, double> signal_of;
  for (const std::string& task : index.tasks) signal_of[task] = kUnset;
  for (const TaskSignal& one : TaskSignals(observations)) signal_of[one.task] = one.signal_to_noise;
  table.notes.emplace_back(
      "Signal to noise: variance of acc_adj over trials beyond that of the items, over that of the items. Fits have it as "
      "the column signal_to_noise.");
  for (const std::string& task : index.tasks) {
    for (const auto& [key, row] : index.row) {
      if (key.second != task) continue;
      table.rows.push_back({task, observations.TextAt("stratum", row), observations.TextAt("metric", row),
                            Whole(observations.NumberAt("items", row)),
                            Fixed(observations.NumberAt("chance", row), 3),
                            Whole(observations.NumberAt("limit", row)), Significant(signal_of[task], 3)});
      break;
    }
  }
  section.tables.push_back(std::move(table));
  return section;
}

ReportCell Score(double value, double standard_error) {
  const int places = std::fabs(value) < 2 ? 4 : 3;
  ReportCell cell = Fixed(value, places);
  if (!std::isnan(standard_error)) cell.text += fmt::format(" ±{:.{}f}", standard_error, places);
  return cell;
}

ReportSection ScoreSection(const StudyResults& report, const ScoreIndex& index) {
  const Table& observations = report.observations;
  ReportSection section;
  section.title = "Scores";
  ReportTable table;
  table.name = "scores";
  table.title = "Primary metric of each task ± standard error";
  table.header = {"trial", "bits/weight"};
  for (const std::string& task : index.tasks) table.header.push_back(task);
  for (const std::string& trial : index.trials) {
    const size_t first = index.first_row.at(trial);
    const std::string label = observations.TextAt("label", first);
    std::vector<ReportCell> row = {label.empty() ? trial : label,
                                   Fixed(observations.NumberAt("bits_effective", first), 3)};
    for (const std::string& task : index.tasks) {
      const auto found = index.row.find({trial, task});
      row.push_back(found == index.row.end() ? Fixed(kUnset, 4)
                                             : Score(observations.NumberAt("value", found->second),
                                                     observations.NumberAt("standard_error", found->second)));
    }
    table.rows.push_back(std::move(row));
  }
  section.tables.push_back(std::move(table));

  const StrataData strata = SplitStrata(observations);
  ReportTable means;
  means.name = "strata";
  means.title = "Mean chance-adjusted accuracy of each stratum ± standard error";
  means.header = {"trial"};
  std::map<std::string, std::vector<ReportCell>> cells;  // By trial.
  for (const StratumData& stratum : strata.strata) {
    means.header.push_back(stratum.name);
    for (size_t row = 0; row < stratum.table.rows(); ++row) {
      auto& of_trial = cells[stratum.table.TextAt("trial", row)];
      of_trial.resize(means.header.size() - 2, Fixed(kUnset, 4));
      of_trial.push_back(
          Score(stratum.table.NumberAt("acc_adj", row), stratum.table.NumberAt("standard_error", row)));
    }
  }
  for (const std::string& trial : index.trials) {
    const auto found = cells.find(trial);
    if (found == cells.end()) continue;
    found->second.resize(means.header.size() - 1, Fixed(kUnset, 4));
    const std::string label = observations.TextAt("label", index.first_row.at(trial));
    std::vector<ReportCell> row = {label.empty() ? trial : label};
    row.insert(row.end(), found->second.begin(), found->second.end());
    means.rows.push_back(std::move(row));
  }
  for (const StratumData& stratum : strata.strata)
    means.notes.push_back(stratum.name + ": " + JoinNames(stratum.tasks) + ".");
  if (!means.rows.empty()) section.tables.push_back(std::move(means));
  return section;
}

// Tasks whose items stand in calibration text, each with the corpus and the largest share of any trial.
void AddOverlaps(const StudyResults& report, const ScoreIndex& index, ReportSection& section) {
  const Table& observations = report.observations;
  if (observations.Find("overlap") == nullptr) return;
  std::map<std::pair<std::string, std::string>, double> largest;
  for (const auto& [key, row] : index.row) {
    const double share = observations.NumberAt("overlap", row);
    if (share > 0) {
      double& most = largest[{key.second, observations.TextAt("corpus", row)}];
      most = std::max(most, share);
    }
  }
  for (const auto& [key, share] : largest) {
    section.bullets.push_back(fmt::format("{}: up to {:.1f} % of its items have words in a row that the calibration text of "
                                          "corpus '{}' has too. Scores of trials that calibrate on it may owe something to it.",
                                          key.first, 100 * share, key.second));
  }
}

// Whatever a reader must know before believing a number.
ReportSection WarningSection(const StudyResults& report, const ScoreIndex& index) {
  ReportSection section;
  section.title = "Warnings";
  const Table& observations = report.observations;
  for (const auto& model : report.description.models) {
    if (!model.baseline_note.empty())
      section.bullets.push_back("Baseline of " + model.name + ": " + model.baseline_note + ".");
  }
  for (const std::string& task : index.tasks) {
    for (const auto& [key, row] : index.row) {
      const double limit = observations.NumberAt("limit", row);
      if (key.second != task || std::isnan(limit)) continue;
      section.bullets.push_back(fmt::format("{}: only the first {:.0f} items were scored.", task, limit));
      break;
    }
  }
  for (const std::string& trial : index.trials) {
    const size_t row = index.first_row.at(trial);
    const double fallbacks = observations.NumberAt("fallbacks", row);
    if (fallbacks > 0) {
      section.bullets.push_back(
          fmt::format("{}: the quantizer fell back on {:.0f} layers.", observations.TextAt("label", row), fallbacks));
    }
  }
  AddOverlaps(report, index, section);
  for (const FailureLine& failure : report.failures) {
    section.bullets.push_back(
        fmt::format("Failed: {}, at {} ({}): {}", failure.label, failure.stage, failure.kind, failure.reason));
  }
  for (const FitFault& fault : report.fit_faults) section.bullets.push_back(fault.text);
  section.bullets.insert(section.bullets.end(), report.warnings.begin(), report.warnings.end());
  section.bullets.insert(section.bullets.end(), report.fits.notes.begin(), report.fits.notes.end());
  return section;
}

}  // namespace

ReportDocument StudyDocument(const StudyResults& report, bool all_methods) {
  const ScoreIndex index = IndexScores(report.observations);
  ReportDocument document;
  document.title = "Study " + report.description.study;
  document.sections = {SummarySection(report, index), ModelSection(report), GridSection(report)};
  if (index.row.empty()) {
    ReportSection none;
    none.title = "Scores";
    none.paragraphs.emplace_back("Nothing is recorded yet.");
    document.sections.push_back(std::move(none));
  } else {
    document.sections.push_back(TaskSection(report, index));
    document.sections.push_back(ScoreSection(report, index));
    ReportSection verdicts = VerdictSection(report.verdicts, report.verdict_notes);
    if (!verdicts.tables.empty() || !verdicts.bullets.empty()) document.sections.push_back(std::move(verdicts));
    for (const std::string& law : LawNames(report.fits)) {
      document.sections.push_back(LawSection(report.fits, law, all_methods));
      AddAnalysis(report.analysis, law, document.sections.back());
      AddQuantizers(report.analysis, law, document.sections.back(), all_methods);
    }
    for (ReportSection section : {ComparisonSection(report.analysis), SelectionSection(report.analysis),
                                  StrataSection(report.analysis), GroupingSection(report.fits, report.analysis, all_methods)}) {
      if (!section.tables.empty()) document.sections.push_back(std::move(section));
    }
    if (!report.fits.fits.empty()) document.sections.push_back(ExclusionSection(report.fits));
  }
  ReportSection warnings = WarningSection(report, index);
  if (!warnings.bullets.empty()) document.sections.push_back(std::move(warnings));
  return document;
}

std::vector<std::string> SummaryLines(const StudyResults& report) {
  constexpr size_t kMostStrata = 6, kMostZones = 2;
  const ScoreIndex index = IndexScores(report.observations);
  std::vector<std::string> lines;
  if (index.row.empty()) return {"Nothing is recorded yet."};
  const std::vector<StratumLaw> best = BestLaws(report);
  if (!report.verdicts.empty()) {
    const auto degraded = std::count_if(report.verdicts.begin(), report.verdicts.end(),
                                        [](const DegradationVerdict& one) { return one.degraded; });
    lines.push_back(
        fmt::format("{} of {} quantized trials got worse by more than chance", degraded, report.verdicts.size()));
  }
  for (size_t i = 0; i < std::min(kMostStrata, best.size()); ++i) lines.push_back(SummaryLine(report, best[i]));
  if (best.size() > kMostStrata) lines.push_back(fmt::format("... and {} more strata", best.size() - kMostStrata));
  std::vector<std::string> zones = LostZones(report, HeadlineLaw(best));
  if (zones.size() > kMostZones) {
    zones[kMostZones] = fmt::format("... and {} more, in the report", zones.size() - kMostZones);
    zones.resize(kMostZones + 1);
  }
  lines.insert(lines.end(), zones.begin(), zones.end());
  const size_t warnings = WarningSection(report, index).bullets.size();
  if (warnings > 0) lines.push_back(Counted(warnings, "warning") + ", listed in the report");
  return lines;
}

std::vector<std::filesystem::path> WriteStudyReport(const StudyResults& report, const ReportDocument& page,
                                                    const DrawnFigures& drawn, const std::filesystem::path& output) {
  Value fits = FitReportJson(report.fits);
  fits.Set("analysis", AnalysisJson(report.analysis));
  std::vector<std::pair<std::string, std::string>> files = {
      {"study.json", WriteStudyDescription(report.description)},
      {"observations.csv", WriteCsv(report.observations)},
      {"columns.json", WriteColumns(report.columns)},
      {"fits.json", PrettyJson(fits)},
      {"fits.csv", WriteCsv(FitReportTable(report.fits, report.analysis))}};
  for (auto& file : ReportFiles(report, page, drawn)) files.push_back(std::move(file));
  std::vector<std::filesystem::path> written;
  for (const auto& [name, bytes] : files) {
    WriteDurably(output / name, bytes);
    written.push_back(output / name);
  }
  return written;
}

}  // namespace bitlaw
