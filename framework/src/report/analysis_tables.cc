#include "report/analysis_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/text/counted.h"

namespace bitlaw {

namespace {

std::string Level(double level) { return fmt::format("{:.3g} %", 100 * level); }

ReportCell Between(const Interval& interval) { return bitlaw::Between(interval.low, interval.high); }

// A p-value; one that the replicates could not show is printed as that.
ReportCell PValue(double p, int replicates) {
  ReportCell cell = Significant(p, 2);
  if (replicates > 0 && p * (replicates + 1) < 1) cell.text = fmt::format("< 1/{}", replicates + 1);
  return cell;
}

// "over model (5 units)"
std::string Over(const std::string& unit, size_t units) {
  return fmt::format("over {} ({})", unit, Counted(units, "unit"));
}

// Each text once, led by the strata that say it.
void AddWarnings(const std::vector<const LawAnalysis*>& analyses, ReportTable& table) {
  std::vector<std::pair<std::string, std::string>> strata_of;
  for (const LawAnalysis* analysis : analyses) {
    for (const std::string& text : analysis->uncertainty.warnings) {
      const auto found =
          std::find_if(strata_of.begin(), strata_of.end(), [&](const auto& one) { return one.first == text; });
      if (found == strata_of.end()) {
        strata_of.emplace_back(text, analysis->stratum);
      } else {
        found->second += ", " + analysis->stratum;
      }
    }
  }
  for (const auto& [text, strata] : strata_of) table.notes.push_back(strata + ": " + text + ".");
}

ReportCell Size(size_t count) { return Whole(static_cast<double>(count)); }

void AddTable(ReportSection& section, ReportTable table) {
  if (!table.rows.empty() || !table.notes.empty()) section.tables.push_back(std::move(table));
}

ReportTable IntervalTable(const std::vector<const LawAnalysis*>& analyses) {
  ReportTable table;
  table.name = "intervals_" + analyses[0]->law;
  table.title = "Intervals, " + Level(analyses[0]->uncertainty.level);
  bool has_profile = false, has_bootstrap = false, is_clustered = false;
  for (const LawAnalysis* analysis : analyses) {
    has_bootstrap = has_bootstrap || !analysis->uncertainty.unit.empty();
    is_clustered = is_clustered || analysis->uncertainty.is_clustered;
    for (const Uncertainty& one : analysis->uncertainty.quantities)
      has_profile = has_profile || !std::isnan(one.profile.low);
  }
  table.header = {"stratum", "quantity", "value", "error", "df", "interval"};
  if (has_bootstrap) table.header.insert(table.header.end(), {"bootstrap", "BCa", "bias"});
  if (has_profile) table.header.emplace_back("profile");
  if (is_clustered) table.header.emplace_back("were all rows independent");
  for (const LawAnalysis* analysis : analyses) {
    const UncertaintyReport& report = analysis->uncertainty;
    for (const Uncertainty& one : report.quantities) {
      std::vector<ReportCell> row = {analysis->stratum,
                                     one.name,
                                     Significant(one.value),
                                     Significant(one.delta_error, 2),
                                     Fixed(one.degrees_of_freedom, 1),
                                     Between(one.delta)};
      if (has_bootstrap) {
        row.push_back(Between(one.percentile));
        row.push_back(Between(one.bca));
        row.push_back(Significant(one.bias, 2));
      }
      if (has_profile) row.push_back(Between(one.profile));
      if (is_clustered) row.push_back(Between(one.independent));
      table.rows.push_back(std::move(row));
    }
    std::string note = analysis->stratum + ": " + report.title;
    if (report.is_clustered) note += ", errors " + Over(report.independent, report.independent_units) + " by CR2";
    if (!report.unit.empty()) {
      note += fmt::format("; bootstrap: {} replicates over {} ({}), {} failed", report.replicates, report.unit,
                          report.units, report.failed);
    }
    if (!report.note.empty()) note += "; " + report.note;
    table.notes.push_back(note + ".");
  }
  AddWarnings(analyses, table);
  return table;
}

// Errors of the accuracy; of the response where it has none (a law of a loss).
std::vector<ReportCell> ErrorCells(const ValidationResult& one, bool of_accuracy) {
  if (!of_accuracy)
    return {Size(one.fit_rows), Size(one.validation_rows), Fixed(one.mae, 4), Fixed(one.rmse, 4), RSquared(one.r2, 4)};
  return {Size(one.fit_rows),          Size(one.validation_rows),
          Fixed(one.accuracy_mae, 4),  Between(one.accuracy_mae_interval),
          Fixed(one.accuracy_rmse, 4), RSquared(one.accuracy_r2, 4),
          Fixed(one.rmse, 4)};
}

std::vector<std::string> ErrorHeader(bool of_accuracy) {
  if (!of_accuracy) return {"n fit", "n held out", "MAE response", "RMSE response", "R2 response"};
  return {"n fit", "n held out", "MAE acc_adj", "interval", "RMSE acc_adj", "R2 acc_adj", "RMSE response"};
}

std::string FailedFits(const ValidationResult& one) {
  return fmt::format("{}: {} of {} fits failed ({}).", one.scheme, one.failed, one.fits, one.failures[0]);
}

ReportTable ValidationTable(const std::vector<const LawAnalysis*>& analyses) {
  ReportTable table;
  table.name = "validation_" + analyses[0]->law;
  table.title = "Validation: errors on rows that the fit did not see";
  std::string unit;
  bool is_single = false;
  bool of_accuracy = false;
  for (const LawAnalysis* analysis : analyses) {
    for (const ValidationResult& one : analysis->validation) of_accuracy = of_accuracy || one.accuracy_rows > 0;
  }
  table.header = {"stratum", "scheme"};
  for (const std::string& name : ErrorHeader(of_accuracy)) table.header.push_back(name);
  for (const LawAnalysis* analysis : analyses) {
    for (const ValidationResult& one : analysis->validation) {
      if (!one.why_none.empty()) {
        table.notes.push_back(analysis->stratum + ", " + one.scheme + ": none, because " + one.why_none + ".");
        continue;
      }
      std::vector<ReportCell> row = {analysis->stratum, one.scheme};
      const std::vector<ReportCell> errors = ErrorCells(one, of_accuracy);
      row.insert(row.end(), errors.begin(), errors.end());
      table.rows.push_back(std::move(row));
      if (one.failed > 0) table.notes.push_back(analysis->stratum + ", " + FailedFits(one));
      if (one.interval_unit == "trials") continue;
      unit = one.interval_unit;
      is_single = is_single || one.interval_units < 2;
    }
  }
  if (!unit.empty()) {
    table.notes.push_back("Intervals of the MAE: over " + unit +
                          (is_single ? "; none where the rows held out are of one." : "."));
  }
  return table;
}

ReportTable AblationTable(const std::vector<const LawAnalysis*>& analyses) {
  ReportTable table;
  table.name = "ablations_" + analyses[0]->law;
  table.title = "Factors added one after the other (OLS)";
  table.header = {"stratum", "factors", "parameters", "adj. R2", "AICc", "F of the last", "p"};
  std::string unit;
  for (const LawAnalysis* analysis : analyses) {
    for (const Ablation& step : analysis->ablations) unit = step.added.unit.empty() ? unit : step.added.unit;
  }
  if (!unit.empty()) {
    table.header.back() = "p, independent rows";
    table.header.insert(table.header.end(), {"F over " + unit, "p over " + unit});
  }
  for (const LawAnalysis* analysis : analyses) {
    for (const Ablation& step : analysis->ablations) {
      table.rows.push_back({analysis->stratum, step.factors, Size(step.quality.parameters),
                            RSquared(step.quality.adjusted_r2, 4), Fixed(step.quality.aicc, 1),
                            Significant(step.added.value), Significant(step.added.p, 2)});
      if (unit.empty()) continue;
      table.rows.back().push_back(Significant(step.added.over_units.f));
      table.rows.back().push_back(Significant(step.added.over_units.p, 2));
    }
  }
  return table;
}

void AddChow(ReportTable& table, const std::string& label, const ChowTest& test) {
  if (!test.why_none.empty()) {
    table.notes.push_back(label + ": no test, because " + test.why_none + ".");
    return;
  }
  std::string why;
  for (const auto& [what, one] : {std::pair{"Chow: one law or one for each", &test.chow},
                                  std::pair{"own amplitudes, shared exponents", &test.amplitudes},
                                  std::pair{"own exponents too", &test.exponents}}) {
    if (std::isnan(one->df1)) continue;
    table.rows.push_back({label, test.groups, what, Significant(one->value), Size(static_cast<size_t>(one->df1)),
                          Size(static_cast<size_t>(one->df2)), Significant(one->p, 2), RSquared(one->small_adjusted_r2, 4),
                          RSquared(one->large_adjusted_r2, 4), Significant(one->over_units.f),
                          Significant(one->over_units.p, 2)});
    if (!one->over_units.why_none.empty() && why != one->over_units.why_none) {
      why = one->over_units.why_none;
      table.notes.push_back(fmt::format("{}, {}: no test over {}, because {}.", label, what, one->unit, why));
    }
  }
  if (!test.why_no_separate.empty())
    table.notes.push_back(label + ": no separate fits, because " + test.why_no_separate + ".");
  if (!test.why_no_shared.empty()) {
    table.notes.push_back(label + ": no own amplitudes with shared exponents, because " + test.why_no_shared + ".");
    return;
  }
  if (!test.dropped.empty()) {
    std::string names;
    for (const std::string& name : test.dropped) names += (names.empty() ? "" : ", ") + name;
    table.notes.push_back(label + ": " + names + " left out of the shared exponents, which own amplitudes take up.");
  }
  const bool is_clustered = !test.shared_errors.empty();
  std::string shared = label + ", shared exponents" + (is_clustered ? " (errors over " + test.shared_unit + "):" : ":");
  for (size_t j = 0; j < test.shared_coefficients.size(); ++j) {
    const OlsCoefficient& one = test.shared_coefficients[j];
    if (one.name.rfind("1 [", 0) == 0) continue;
    const double error = is_clustered ? test.shared_errors[j].error : one.standard_error;
    shared += fmt::format(" {} {:.4g} ({})", one.name, one.value, std::isnan(error) ? "-" : fmt::format("{:.2g}", error));
  }
  table.notes.push_back(shared + ".");
}

ReportTable HeldTable(const std::vector<const LawAnalysis*>& analyses) {
  ReportTable table;
  table.name = "held_" + analyses[0]->law;
  table.title = "Values held, against all parameters free";
  table.header = {"stratum", "held", "chi2", "df", "p", "objective held", "objective free"};
  for (const LawAnalysis* analysis : analyses) {
    for (const NestedTest& one : analysis->held) {
      table.rows.push_back({analysis->stratum, one.small, Significant(one.value),
                            Size(static_cast<size_t>(one.df1)), Significant(one.p, 2),
                            Significant(one.small_objective, 9), Significant(one.large_objective, 9)});
    }
    for (const std::string& why : analysis->why_not_held) table.notes.push_back(analysis->stratum + ": " + why);
  }
  return table;
}

ReportTable ChowTable(const std::string& name, const std::string& title) {
  ReportTable table;
  table.name = name;
  table.title = title;
  table.header = {"stratum",       "groups",        "test",         "F",           "df1", "df2", "p",
                  "adj. R2 small", "adj. R2 large", "F over units", "p over units"};
  return table;
}

// Why zones are not judged, each reason with its zones: "KM (B == 2, B == 3), KA (B == 2)".
std::vector<std::pair<std::string, std::string>> NotJudged(const std::vector<const LawAnalysis*>& analyses) {
  std::vector<std::string> reasons;
  for (const LawAnalysis* analysis : analyses) {
    for (const Zone& zone : analysis->zones) {
      if (!zone.why_not_judged.empty() && std::find(reasons.begin(), reasons.end(), zone.why_not_judged) == reasons.end())
        reasons.push_back(zone.why_not_judged);
    }
  }
  std::vector<std::pair<std::string, std::string>> found;
  for (const std::string& reason : reasons) {
    std::string all;
    for (const LawAnalysis* analysis : analyses) {
      std::string zones;
      for (const Zone& zone : analysis->zones) {
        if (zone.why_not_judged == reason) zones += (zones.empty() ? "" : ", ") + zone.name;
      }
      if (!zones.empty()) all += (all.empty() ? "" : ", ") + analysis->stratum + " (" + zones + ")";
    }
    found.emplace_back(reason, all);
  }
  return found;
}

ReportTable ZoneTable(const std::vector<const LawAnalysis*>& analyses) {
  ReportTable table;
  table.name = "zones_" + analyses[0]->law;
  table.title = "Zones (OLS): exponents (standard error), times the value in all zones";
  std::vector<std::string> parameters;
  for (const LawAnalysis* analysis : analyses) {
    for (const Zone& zone : analysis->zones) {
      for (const auto& exponent : zone.exponents) {
        if (std::find(parameters.begin(), parameters.end(), exponent.parameter) == parameters.end())
          parameters.push_back(exponent.parameter);
      }
    }
  }
  table.header = {"stratum", "zone", "n", "at chance", "kept", "adj. R2"};
  table.header.insert(table.header.end(), parameters.begin(), parameters.end());
  table.header.emplace_back("flags");
  for (const LawAnalysis* analysis : analyses) {
    for (const Zone& zone : analysis->zones) {
      std::vector<ReportCell> row = {analysis->stratum,    zone.name,           Size(zone.rows),
                                     Size(zone.at_chance), Fixed(zone.kept, 3), RSquared(zone.adjusted_r2, 4)};
      for (const std::string& parameter : parameters) {
        ReportCell cell("-");
        for (const auto& exponent : zone.exponents) {
          if (exponent.parameter != parameter) continue;
          cell = Estimate(exponent.value, exponent.standard_error);
          if (!std::isnan(exponent.amplification)) cell.text += fmt::format(" x{:.2g}", exponent.amplification);
        }
        row.push_back(std::move(cell));
      }
      std::string flags;
      for (const std::string& flag : zone.flags) flags += (flags.empty() ? "" : ", ") + flag;
      row.emplace_back(flags);
      table.rows.push_back(std::move(row));
      if (!zone.why_none.empty())
        table.notes.push_back(analysis->stratum + ", " + zone.name + ": " + zone.why_none + ".");
    }
  }
  for (const auto& [why, zones] : NotJudged(analyses)) table.notes.push_back(zones + ": not judged: " + why + ".");
  return table;
}

}  // namespace

void AddAnalysis(const AnalysisReport& analysis, const std::string& law, ReportSection& section) {
  std::vector<const LawAnalysis*> analyses;
  for (const LawAnalysis& one : analysis.laws) {
    if (one.law == law) analyses.push_back(&one);
  }
  if (analyses.empty()) return;
  AddTable(section, IntervalTable(analyses));
  AddTable(section, ValidationTable(analyses));
  AddTable(section, AblationTable(analyses));
  AddTable(section, HeldTable(analyses));
  ReportTable chow = ChowTable("chow_" + law, "Groups");
  for (const LawAnalysis* one : analyses) {
    if (!one->chow.groups.empty()) AddChow(chow, one->stratum, one->chow);
  }
  AddTable(section, std::move(chow));
  ReportTable quantizers = ChowTable("quantizers_" + law, "Quantizers: one law for all?");
  for (const LawAnalysis* one : analyses) {
    if (!one->quantizers.groups.empty()) AddChow(quantizers, one->stratum, one->quantizers);
  }
  AddTable(section, std::move(quantizers));
  AddTable(section, ZoneTable(analyses));
}

namespace {

// What a law's row says of it before its errors; of laws of several responses, which have no likelihood in common.
std::vector<ReportCell> LawCells(const LawComparison& comparison, const ComparedLaw& one) {
  if (comparison.has_several_responses) return {one.law, one.response, one.method, Size(one.parameters)};
  return {one.law,
          Size(one.parameters),
          RSquared(one.adjusted_r2, 4),
          Fixed(comparison.dispersion > 1 ? one.qaicc : one.aicc, 1),
          Fixed(one.delta_aicc, 1),
          Fixed(one.weight, 3),
          Fixed(one.bic, 1)};
}

// The errors of a law, in the order of its rows.
std::vector<const ValidationResult*> ErrorsOf(const ComparedLaw& one) {
  std::vector<const ValidationResult*> errors = {&one.in_sample, &one.folds};
  for (const ValidationResult& held_out : one.hold_outs) errors.push_back(&held_out);
  errors.push_back(&one.declared);
  std::erase_if(errors, [](const ValidationResult* each) { return each->scheme.empty(); });
  return errors;
}

std::string ComparisonTitle(const LawComparison& comparison) {
  const std::string rows = fmt::format("{}: {} that every law can use ({} left out)", comparison.stratum,
                                       Counted(comparison.rows, "row"), Counted(comparison.left_out, "other"));
  if (comparison.has_several_responses) return rows + ", laws of several responses in units of acc_adj";
  const bool of_counts = comparison.procedure.loss == FitProcedure::Loss::kBinomial;
  return rows + fmt::format(", {} by {}", comparison.response,
                            of_counts ? "likelihood of counts" : "squares of the " + SpaceName(comparison.procedure));
}

std::string NestedNote(const NestedTest& test) {
  const std::string note = fmt::format("{} within {}: F = {:.4g} on {} and {}, p = {:.2g}", test.small, test.large,
                                       test.value, test.df1, test.df2, test.p);
  if (test.unit.empty()) return note;
  const ClusterRobust::Test& over = test.over_units;
  return note + (over.why_none.empty() ? fmt::format("; over {}: F = {:.4g} on {} and {:.1f}, p = {:.2g}", test.unit,
                                                     over.f, over.df1, over.df2, over.p)
                                       : fmt::format("; over {}: none, because {}", test.unit, over.why_none));
}

ReportTable ComparisonTable(const LawComparison& comparison) {
  ReportTable table;
  table.name = "laws_" + comparison.stratum;
  table.title = ComparisonTitle(comparison);
  const bool several = comparison.has_several_responses, is_quasi = comparison.dispersion > 1;
  const std::string criterion = comparison.criterion();
  if (several) {
    table.header = {"law", "response", "method", "parameters"};
  } else {
    table.header = {"law", "parameters", "adj. R2", criterion, "delta " + criterion, "weight", "BIC"};
  }
  const size_t of_law = table.header.size();
  table.header.emplace_back("errors");
  if (is_quasi) {
    table.notes.push_back(fmt::format("The counts scatter {:.3g} times as much as binomial ones: laws are weighed by "
                                      "QAICc, the log likelihood over that.",
                                      comparison.dispersion));
  }
  bool of_accuracy = several;
  for (const ComparedLaw& one : comparison.laws) {
    for (const ValidationResult* errors : ErrorsOf(one)) of_accuracy = of_accuracy || errors->accuracy_rows > 0;
  }
  for (const std::string& name : ErrorHeader(of_accuracy)) table.header.push_back(name);
  for (const ComparedLaw& one : comparison.laws) {
    if (!one.why_none.empty()) {
      table.notes.push_back(one.law + (several ? ": not compared, because " : ": not fitted, because ") + one.why_none +
                            ".");
      continue;
    }
    std::vector<ReportCell> row = LawCells(comparison, one);
    for (const ValidationResult* errors : ErrorsOf(one)) {
      if (!errors->why_none.empty()) {
        table.notes.push_back(one.law + ", " + errors->scheme + ": none, because " + errors->why_none + ".");
        continue;
      }
      row.emplace_back(errors->scheme);
      for (ReportCell& cell : ErrorCells(*errors, of_accuracy)) row.push_back(std::move(cell));
      table.rows.push_back(std::move(row));
      if (errors->failed > 0) table.notes.push_back(one.law + ", " + FailedFits(*errors));
      // The law is said once, in the first of its rows.
      row.assign(of_law, Fixed(kUnset, 0));
      row[0] = ReportCell("");
    }
  }
  for (const NestedTest& test : comparison.nested) table.notes.push_back(NestedNote(test));
  if (comparison.is_clustered && !several) {
    table.notes.push_back(
        fmt::format("{}, its weights and BIC take the {} rows for independent; they are of {} units of '{}', over "
                    "which folds and intervals of the MAE are: read the held-out errors.",
                    criterion, comparison.rows, comparison.units, comparison.unit));
  }
  if (several) {
    table.notes.emplace_back(
        "AICc and BIC compare laws of one response only. Here predictions are mapped back to acc_adj; rows at or below "
        "chance count, whether a law's fit could take them or not. The lowest RMSE of the folds comes first.");
  }
  if (comparison.declared_rows > 0) {
    table.notes.push_back(fmt::format("rows of hold_out: the {} that the study keeps out of all fits.",
                                      comparison.declared_rows));
  }
  return table;
}

}  // namespace

ReportSection ComparisonSection(const AnalysisReport& analysis) {
  ReportSection section;
  section.title = "Laws against each other";
  std::map<std::string, int> times;  // A stratum has several tables where laws are of several responses.
  for (const LawComparison& comparison : analysis.comparisons) {
    ReportTable table = ComparisonTable(comparison);
    if (comparison.has_several_responses) {
      table.name += "_accuracy";
    } else if (const int before = times[comparison.stratum]++; before > 0) {
      table.name += fmt::format("_{}", before + 1);
    }
    AddTable(section, std::move(table));
  }
  return section;
}

namespace {

// In place of a ranking: the parameters of each stratum with their intervals, and why they are not ranked.
ReportTable UnrankedTable(const AnalysisReport& analysis, const StrataTests& tests) {
  ReportTable table;
  table.name = "ranking_" + tests.law;
  table.title = tests.law + ": parameters of each stratum, which are not ranked";
  table.header = {"parameter", "stratum", "value", "interval"};
  std::vector<std::string> names;
  for (const LawAnalysis& one : analysis.laws) {
    for (const Uncertainty& quantity : one.uncertainty.quantities) {
      if (one.law == tests.law && std::find(names.begin(), names.end(), quantity.name) == names.end())
        names.push_back(quantity.name);
    }
  }
  for (const std::string& name : names) {
    for (const LawAnalysis& one : analysis.laws) {
      for (const Uncertainty& quantity : one.uncertainty.quantities) {
        if (one.law == tests.law && quantity.name == name)
          table.rows.push_back(
              {name, one.stratum, Estimate(quantity.value, quantity.delta_error), Between(quantity.delta)});
      }
    }
  }
  table.notes.push_back("Not ranked, and not tested against each other: " + tests.why_none + ".");
  return table;
}

}  // namespace

ReportSection StrataSection(const AnalysisReport& analysis) {
  ReportSection section;
  section.title = "Strata against each other";
  for (size_t i = 0; i < analysis.strata.size(); ++i) {
    const StrataTests& tests = analysis.strata[i];
    ReportTable ranks, pairs, permutation;
    ranks.name = "ranking_" + tests.law;
    ranks.title = tests.law + ": exponents, the most sensitive stratum first";
    ranks.header = {"parameter", "rank", "stratum", "value", "interval", "bootstrap error"};
    pairs.name = "pairs_" + tests.law;
    pairs.title = tests.law + ": differences between strata";
    pairs.header = {"parameter", "a", "b", "a - b", "interval", "df", "bootstrap error", "p (t)", "p (Holm)"};
    if (!tests.why_none.empty()) ranks = UnrankedTable(analysis, tests);
    for (const SensitivityRanking& ranking : tests.rankings) {
      for (size_t place = 0; place < ranking.places.size(); ++place) {
        const auto& one = ranking.places[place];
        ranks.rows.push_back({ranking.parameter, Size(place + 1), one.stratum, Estimate(one.value, one.standard_error),
                              Between(one.interval), Significant(one.bootstrap_error, 2)});
      }
      for (const auto& pair : ranking.pairs) {
        pairs.rows.push_back({ranking.parameter, pair.a, pair.b, Estimate(pair.difference, pair.standard_error),
                              Between(pair.interval), Fixed(pair.degrees_of_freedom, 1),
                              Significant(pair.bootstrap_error, 2), PValue(pair.p, tests.replicates),
                              PValue(pair.p_holm, tests.replicates)});
      }
    }
    if (!pairs.rows.empty()) {
      std::string methods;
      for (const StrataTests::Method& one : tests.methods)
        methods += (methods.empty() ? "" : "; ") + one.stratum + ": " + one.title;
      pairs.notes.push_back(methods + ".");
      pairs.notes.push_back(
          fmt::format("Errors, degrees of freedom and p: {}, by CR2 and Student's t; what strata share of a unit "
                      "cancels. The t is an "
                      "approximation far out: a p that {} replicates could not show is printed as such.",
                      Over(tests.unit, tests.units), tests.replicates));
      if (tests.replicates > 0) {
        pairs.notes.push_back(fmt::format(
            "Bootstrap: {} replicates over {}, {}, {} failed.", tests.replicates, tests.drawn,
            tests.drawn == "items" ? "of each stratum by itself" : "drawn jointly in all strata", tests.failed));
      }
      if (!tests.note.empty()) pairs.notes.push_back(tests.note + ".");
      if (tests.units < kFewUnits) {
        pairs.notes.push_back(
            fmt::format("{} units of '{}' are few: what varies only between them (N, say) has few degrees "
                        "of freedom, whatever the number of rows and replicates.",
                        tests.units, tests.unit));
      }
    }
    permutation.name = "permutation_" + tests.law;
    permutation.title = tests.law + ": spread of exponents (OLS) over the strata against random groupings of the tasks";
    permutation.header = {"parameter", "spread", "median of random groupings", "p"};
    for (const PermutationTest& one : tests.permutation) {
      permutation.rows.push_back(
          {one.parameter, Significant(one.spread, 3), Significant(one.typical_spread, 3), Significant(one.p, 2)});
    }
    if (tests.why_none.empty() && !tests.why_no_permutation.empty())
      permutation.notes.push_back("None: " + tests.why_no_permutation + ".");
    if (!permutation.rows.empty()) permutation.notes.push_back(fmt::format("{} groupings.", tests.permutations));
    ReportTable shared = ChowTable("shared_" + tests.law, tests.law + ": one law for all strata?");
    AddChow(shared, "all", analysis.shared_over_strata[i]);
    if (!shared.rows.empty())
      shared.notes.emplace_back(
          "Strata share their trials: F and p take their rows for independent, those over units do not.");
    AddTable(section, std::move(ranks));
    AddTable(section, std::move(pairs));
    AddTable(section, std::move(permutation));
    AddTable(section, std::move(shared));
  }
  return section;
}

}  // namespace bitlaw
