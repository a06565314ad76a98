#include "report/law_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "report/analysis_tables.h"

namespace bitlaw {

namespace {

std::string MethodName(const MethodFit& fit) { return fit.title(); }

std::string FileName(const std::string& prefix, const std::string& law) { return prefix + "_" + law; }

// " over model", where rows belong to units.
std::string ErrorsOver(const std::vector<const LawFit*>& fits) {
  for (const LawFit* fit : fits) {
    for (const MethodFit* method : fit->Methods()) {
      if (method->robust || !method->why_no_robust.empty()) return " over " + method->unit;
    }
  }
  return "";
}

// "gptq (64 rows), rtn (16 rows)"
std::string QuantizerList(const LawFit& fit) {
  std::string list;
  for (const auto& [name, rows] : fit.quantizers)
    list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", name, Counted(rows, "row"));
  return list;
}

// The methods of a fit that a table has rows of.
std::vector<const MethodFit*> Shown(const LawFit& fit, bool all_methods) {
  std::vector<const MethodFit*> methods = fit.Methods();
  if (!all_methods && methods.size() > 1) methods.resize(1);
  return methods;
}

// The exponents: one row a stratum and method.
ReportTable ExponentTable(const std::vector<const LawFit*>& fits, bool all_methods) {
  ReportTable table;
  table.name = FileName("exponents", fits[0]->law);
  table.title = "Exponents (standard error" + ErrorsOver(fits) + ")";
  const LawFit* shaped = nullptr;
  for (const LawFit* fit : fits) {
    if (!fit->Methods().empty()) shaped = fit;
  }
  if (shaped == nullptr) return table;
  const auto& parameters = shaped->Methods()[0]->parameters;
  table.header = {"stratum", "method", "n"};
  for (const ParameterEstimate& parameter : parameters) {
    table.header.push_back(parameter.unit.empty() ? parameter.name : parameter.name + " [" + parameter.unit + "]");
  }
  table.header.emplace_back("adj. R2");
  table.header.emplace_back("AICc");
  for (const LawFit* fit : fits) {
    for (const MethodFit* method : Shown(*fit, all_methods)) {
      std::vector<ReportCell> row = {fit->stratum, MethodName(*method), Whole(static_cast<double>(method->rows))};
      for (const ParameterEstimate& parameter : method->parameters) {
        const bool is_clustered = method->robust != nullptr || !method->why_no_robust.empty();
        row.push_back(Estimate(parameter.value, is_clustered ? parameter.robust_error : parameter.standard_error));
        if (!parameter.note.empty() && parameter.note != "from its logarithm") {
          table.notes.push_back(
              fmt::format("{}, {}: {} is {}.", fit->stratum, MethodName(*method), parameter.name, parameter.note));
        }
      }
      row.push_back(RSquared(method->quality.adjusted_r2, 4));
      row.push_back(Fixed(method->quality.aicc, 1));
      table.rows.push_back(std::move(row));
    }
  }
  const bool is_choice =
      std::any_of(fits.begin(), fits.end(), [](const LawFit* fit) { return fit->Methods().size() > 1; });
  if (is_choice && !all_methods) {
    std::vector<std::string> others;
    for (const LawFit* fit : fits) {
      const std::vector<const MethodFit*> methods = fit->Methods();
      for (size_t i = 1; i < methods.size(); ++i) {
        const std::string name = MethodName(*methods[i]);
        if (std::find(others.begin(), others.end(), name) == others.end()) others.push_back(name);
      }
    }
    table.notes.push_back("Also fitted: " + JoinNames(others) + "; --all-methods prints them, fits.csv has them.");
  } else if (is_choice) {
    table.notes.emplace_back(
        "The first method of a stratum is its headline: intervals, validation, ranking and differences between strata "
        "are "
        "its own.");
  }
  return table;
}

// Whether errors can be given in units of acc_adj.
bool HasAccuracy(const LawFit& fit) {
  for (const MethodFit* method : fit.Methods()) {
    if (method->on_fit.accuracy_rows > 0) return true;
  }
  return std::any_of(fit.nulls.begin(), fit.nulls.end(), HasAccuracy);
}

void AddComparison(ReportTable& table, const LawFit& fit, const std::string& stratum, bool of_accuracy,
                   bool all_methods) {
  const auto count = [](size_t rows) { return Whole(static_cast<double>(rows)); };
  for (const MethodFit* method : Shown(fit, all_methods)) {
    const MethodFit& one = *method;
    const PredictionErrors &near = one.on_fit, &far = one.on_held_out;
    std::vector<ReportCell> row = {stratum,
                                   fit.law,
                                   MethodName(one),
                                   count(one.rows),
                                   RSquared(one.quality.adjusted_r2, 4),
                                   RSquared(one.response_r2, 4),
                                   Fixed(one.quality.aicc, 1),
                                   Fixed(one.quality.bic, 1)};
    const std::vector<ReportCell> errors =
        of_accuracy ? std::vector<ReportCell>{count(near.accuracy_rows), Fixed(near.accuracy_mae, 4),
                                              Fixed(near.accuracy_rmse, 4), count(far.accuracy_rows),
                                              Fixed(far.accuracy_mae, 4), Fixed(far.accuracy_rmse, 4)}
                    : std::vector<ReportCell>{count(near.rows), Significant(near.mae), Significant(near.rmse),
                                              count(far.rows), Significant(far.mae), Significant(far.rmse)};
    row.insert(row.end(), errors.begin(), errors.end());
    table.rows.push_back(std::move(row));
  }
  if (fit.Methods().empty()) {
    table.notes.push_back(fmt::format("{}, {}: not fitted, because {}.", stratum, fit.law, fit.why_no_least_squares));
  }
}

ReportTable ComparisonTable(const std::vector<const LawFit*>& fits, bool all_methods) {
  ReportTable table;
  table.name = FileName("comparison", fits[0]->law);
  table.title = "Beside its nulls, on the same rows";
  const bool of_accuracy = std::any_of(fits.begin(), fits.end(), [](const LawFit* fit) { return HasAccuracy(*fit); });
  const std::string what = of_accuracy ? "acc_adj" : "response";
  table.header = {"stratum",     "law",         "method",       "n",          "adj. R2",      "R2 response", "AICc", "BIC",
                  "n " + what, "MAE " + what, "RMSE " + what, "held-out n", "held-out MAE", "held-out RMSE"};
  for (const LawFit* fit : fits) {
    if (!fit->unusable.empty()) continue;
    AddComparison(table, *fit, fit->stratum, of_accuracy, all_methods);
    for (const LawFit& null : fit->nulls) AddComparison(table, null, fit->stratum, of_accuracy, all_methods);
  }
  if (table.rows.empty() && table.notes.empty()) return table;
  if (of_accuracy) {
    table.notes.emplace_back("n acc_adj counts rows at or below chance too, which the logarithm cannot take.");
  }
  table.notes.emplace_back(
      "AICc and BIC compare fits of one method; OLS on logarithms and least squares square different residuals. R2 of a "
      "binomial fit is the share of deviance explained.");
  return table;
}

// The law of the loss against the unquantized model, whose response is another than the law's.
ReportTable AnchoredTable(const std::vector<const LawFit*>& fits, bool all_methods) {
  std::vector<LawFit> anchored;
  for (const LawFit* fit : fits) {
    for (const LawFit& null : fit->nulls) {
      if (null.response != fit->response) anchored.push_back(null);
    }
  }
  ReportTable table;
  if (anchored.empty()) return table;
  std::vector<const LawFit*> shown;
  for (const LawFit& fit : anchored) shown.push_back(&fit);
  table = ExponentTable(shown, all_methods);
  table.name = FileName("loss_against_16_bits", fits[0]->law);
  table.title = "Loss against 16 bits, " + anchored[0].response + " = " + anchored[0].formula + ": exponents";
  if (table.rows.empty()) return table;
  table.header.insert(table.header.end(), {"MAE response", "RMSE response"});
  size_t at = 0;
  for (const LawFit& fit : anchored) {
    for (const MethodFit* method : Shown(fit, all_methods)) {
      table.rows[at].push_back(Significant(method->on_fit.mae));
      table.rows[at++].push_back(Significant(method->on_fit.rmse));
    }
  }
  return table;
}

// Where the starts that do not agree with the best ended: "2 of 17 starts ended elsewhere, at 0.0011 (random 3), ...".
std::string OtherEnds(const NonlinearResult& detail) {
  std::string ends;
  size_t shown = 0;
  for (const StartStatus& start : detail.starts) {
    if (start.agrees || ++shown > 5) continue;
    const std::string end = std::isfinite(start.final_objective) ? fmt::format("{:.6g}", start.final_objective) : "none";
    ends += (ends.empty() ? "" : ", ") + end + " (" + start.origin + (start.converged ? "" : ", " + start.status) + ")";
  }
  const size_t others = detail.starts.size() - detail.agreeing;
  if (others > 5) ends += fmt::format(" and {} more", others - 5);
  return fmt::format("the objective is {:.9g}; {} of {} starts ended elsewhere, at {}", detail.objective, others,
                     detail.starts.size(), ends);
}

// F, p and condition number of the linearized fits, and how the starts of the iterative ones ended.
ReportTable DiagnosticsTable(const std::vector<const LawFit*>& fits, bool all_methods) {
  ReportTable table;
  table.name = FileName("diagnostics", fits[0]->law);
  table.title = "Diagnostics";
  const std::string of_rows = ErrorsOver(fits).empty() ? "" : ", independent rows";
  table.header = {"stratum",     "method", "F" + of_rows, "p(F)" + of_rows, "condition number",
                  "largest VIF", "starts", "agreeing",    "KKT"};
  for (const LawFit* fit : fits) {
    for (const MethodFit* method : Shown(*fit, all_methods)) {
      double vif = kUnset, f = kUnset, p = kUnset, condition = kUnset;
      if (fit->ols_detail && method->is_ols) {
        for (const OlsCoefficient& coefficient : fit->ols_detail->coefficients) {
          if (!(coefficient.vif <= vif)) vif = std::isnan(coefficient.vif) ? vif : coefficient.vif;
        }
        f = fit->ols_detail->f;
        p = fit->ols_detail->f_p;
        condition = fit->ols_detail->condition_number;
      }
      const NonlinearResult* detail = fit->DetailOf(*method);
      table.rows.push_back({fit->stratum, MethodName(*method), Significant(f), Significant(p, 2),
                            Significant(condition, 3), Significant(vif, 3),
                            Whole(detail ? static_cast<double>(detail->starts.size()) : kUnset),
                            Whole(detail ? static_cast<double>(detail->agreeing) : kUnset),
                            detail != nullptr && detail->kkt < 1e-8 ? ReportCell("< 1e-8")
                                                                    : Significant(detail ? detail->kkt : kUnset, 1)});
      if (detail != nullptr && detail->agreeing < detail->starts.size())
        table.notes.push_back(fit->stratum + ", " + MethodName(*method) + ": " + OtherEnds(*detail) + ".");
    }
  }
  return table;
}

// Spread of the exponents over the strata, and p of the permutation test, by parameter.
std::string SpreadText(const StrataTests& tests, const std::string& parameter) {
  for (const PermutationTest& one : tests.permutation) {
    if (one.parameter == parameter) return fmt::format("{:.3g} (p {:.2g})", one.spread, one.p);
  }
  return "-";
}

// A law on the strata of a grouping below the report's own.
std::vector<ReportTable> GroupingTables(const FitReport& report, const AnalysisReport& analysis,
                                        const GroupingAnalysis& grouping, const std::string& law, bool all_methods) {
  std::vector<LawFit> copies;
  std::vector<const LawFit*> fits;
  for (const LawFit& fit : report.fits) {
    if (fit.law == law) fits.push_back(&fit);
  }
  for (const LawFit& fit : grouping.fits) {
    if (fit.law == law) copies.push_back(fit);
  }
  for (LawFit& fit : copies) {
    fit.stratum = grouping.name + ": " + fit.stratum;
    fits.push_back(&fit);
  }
  std::vector<ReportTable> tables;
  if (copies.empty()) return tables;
  ReportTable exponents = ExponentTable(fits, all_methods);
  exponents.name = "grouping_" + grouping.name + "_" + law;
  exponents.title = law + ": exponents on the report's own strata and on those of " + grouping.name;
  for (const LawFit& fit : copies) {
    if (fit.Methods().empty())
      exponents.notes.push_back(fit.stratum + ": not fitted, because " + fit.why_no_least_squares + ".");
  }
  tables.push_back(std::move(exponents));
  const auto of_law = [&](const std::vector<StrataTests>& all) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& tests) { return tests.law == law; });
    return found == all.end() ? StrataTests() : *found;
  };
  const StrataTests own = of_law(analysis.strata), other = of_law(grouping.strata_tests);
  ReportTable spreads;
  spreads.name = "grouping_spread_" + grouping.name + "_" + law;
  spreads.title = law + ": spread of exponents over the strata (p against random groupings of the same sizes)";
  spreads.header = {"parameter", "own strata", grouping.name};
  for (const PermutationTest& one : other.permutation) {
    spreads.rows.push_back({one.parameter, SpreadText(own, one.parameter), SpreadText(other, one.parameter)});
  }
  if (!other.why_none.empty()) spreads.notes.push_back("None: " + other.why_none + ".");
  if (!other.why_no_permutation.empty()) spreads.notes.push_back("None: " + other.why_no_permutation + ".");
  if (!spreads.rows.empty() || !spreads.notes.empty()) tables.push_back(std::move(spreads));
  return tables;
}

}  // namespace

ReportSection GroupingSection(const FitReport& report, const AnalysisReport& analysis, bool all_methods) {
  ReportSection section;
  section.title = "Other groupings of the tasks";
  for (const GroupingAnalysis& grouping : analysis.groupings) {
    for (const FitReport::Stratum& stratum : grouping.strata) {
      std::string tasks;
      for (const std::string& task : stratum.tasks) tasks += (tasks.empty() ? ": " : ", ") + task;
      section.bullets.push_back(grouping.name + ", " + stratum.name + tasks);
    }
    for (const std::string& note : grouping.notes) section.bullets.push_back(grouping.name + ": " + note);
    for (const std::string& law : LawNames(report)) {
      for (ReportTable& table : GroupingTables(report, analysis, grouping, law, all_methods))
        section.tables.push_back(std::move(table));
    }
  }
  return section;
}

std::vector<std::string> LawNames(const FitReport& report) {
  std::vector<std::string> names;
  for (const LawFit& fit : report.fits) {
    if (std::find(names.begin(), names.end(), fit.law) == names.end()) names.push_back(fit.law);
  }
  return names;
}

namespace {

// How many rows the fits have, and why a method is missing: reasons for rows stand under "What was left out".
void AddFitBullets(const LawFit& fit, ReportSection& section) {
  const auto add = [&](const std::string& text) { section.bullets.push_back(fit.stratum + ": " + text); };
  if (!fit.unusable.empty()) {
    add("not fitted. " + fit.unusable + ".");
    return;
  }
  add(fmt::format("{} of {} usable{}.", fit.used, Counted(fit.incoming, "row"),
                  fit.held_out_incoming > 0 ? fmt::format(", {} held out", fit.held_out_incoming) : ""));
  if (fit.Methods().empty()) {
    add("not fitted: " + fit.why_no_least_squares + ".");
  } else if (!fit.least_squares) {
    add("no least-squares fit: " + fit.why_no_least_squares + ".");
  } else if (!fit.ols) {
    add("no OLS: " + fit.why_no_ols + ".");
  }
  if (fit.at_chance > 0) {
    add(fmt::format("{} at or below chance, which {}.", Counted(fit.at_chance, "row"),
                    fit.binomial ? "only the binomial fit has" : "no fit has"));
    if (!fit.binomial && !fit.Methods().empty()) add("no binomial fit: " + fit.why_no_binomial + ".");
  }
  for (const std::string& warning : fit.warnings) add("warning: " + warning + ".");
  if (!fit.why_no_own.empty()) add("no fit by the law's own procedure: " + fit.why_no_own + ".");
}

}  // namespace

ReportSection LawSection(const FitReport& report, const std::string& law, bool all_methods) {
  ReportSection section;
  section.title = "Law " + law;
  std::vector<const LawFit*> fits;
  for (const LawFit& fit : report.fits) {
    if (fit.law == law) fits.push_back(&fit);
  }
  if (fits.empty()) return section;
  section.paragraphs.push_back(fits[0]->response + " = " + fits[0]->formula);
  if (!fits[0]->citation.empty()) section.paragraphs.push_back(fits[0]->citation);
  if (!fits[0]->inferred_parameters.empty()) {
    section.paragraphs.push_back("Parameters, told by their names: " + JoinNames(fits[0]->inferred_parameters) +
                                 ". The other names are columns.");
  }
  if (!report.controls.empty()) {
    std::string names;
    for (const Control& control : report.controls) {
      const bool is_column = control.expression.empty() || control.expression == QuotedName(control.name);
      names += (names.empty() ? "" : ", ") + control.name + (is_column ? "" : " = " + control.expression) +
               fmt::format(" (mean {:.6g})", control.mean);
    }
    section.paragraphs.push_back(
        "Controlled for: " + names +
        ". Exponents are those at equal values of these; the law itself holds at their means.");
  }
  std::vector<std::pair<std::string, std::string>> pooled;  // What is pooled, and the strata where it is.
  for (const LawFit* fit : fits) {
    if (fit->quantizers.size() < 2) continue;
    const std::string text = fmt::format(
        "ONE LAW OF {} QUANTIZERS: {}. Its exponents are those of their mixture. Below: a test of one law against one "
        "for "
        "each, and each alone. One of them only: --where \"quantizer == '{}'\".",
        fit->quantizers.size(), QuantizerList(*fit), fit->quantizers[0].first);
    if (pooled.empty() || pooled.back().first != text) {
      pooled.emplace_back(text, fit->stratum);
    } else {
      pooled.back().second += ", " + fit->stratum;
    }
  }
  for (const auto& [text, strata] : pooled) section.paragraphs.push_back(strata + ": " + text);
  for (const LawFit* fit : fits) AddFitBullets(*fit, section);
  for (ReportTable table : {ExponentTable(fits, all_methods), ComparisonTable(fits, all_methods), AnchoredTable(fits, all_methods),
                            DiagnosticsTable(fits, all_methods)}) {
    if (!table.rows.empty() || !table.notes.empty()) section.tables.push_back(std::move(table));
  }
  return section;
}

void AddQuantizers(const AnalysisReport& analysis, const std::string& law, ReportSection& section, bool all_methods) {
  std::vector<LawFit> copies;
  for (const LawAnalysis& one : analysis.laws) {
    if (one.law != law) continue;
    for (const LawFit& fit : one.by_quantizer) {
      copies.push_back(fit);
      copies.back().stratum = one.stratum + ", " + fit.stratum;
    }
  }
  std::vector<const LawFit*> fits;
  for (const LawFit& fit : copies) fits.push_back(&fit);
  if (fits.empty()) return;
  ReportTable table = ExponentTable(fits, all_methods);
  table.name = FileName("by_quantizer", law);
  table.title = "Each quantizer alone: exponents (standard error" + ErrorsOver(fits) + ")";
  for (const LawFit* fit : fits) {
    if (fit->Methods().empty())
      table.notes.push_back(fit->stratum + ": not fitted, because " + fit->why_no_least_squares + ".");
  }
  section.tables.push_back(std::move(table));
}

ReportSection ExclusionSection(const FitReport& report) {
  ReportSection section;
  section.title = "What was left out";
  section.paragraphs.push_back("Rule for accuracies at or below chance: " + Name(report.settings.chance_rule) +
                               ". A law fitted to survivors says nothing about the others.");
  ReportTable table;
  table.name = "exclusions";
  table.header = {"law", "stratum", "set", "rows", "reason", "for example"};
  for (const FitReport::Stratum& stratum : report.strata) {
    for (const Exclusion& exclusion : stratum.incomplete) {
      table.rows.push_back({"(all)", stratum.name, "both", Whole(static_cast<double>(exclusion.rows)), exclusion.reason,
                            exclusion.example});
    }
  }
  const auto add = [&](const std::string& law, const LawFit& fit, const std::string& stratum) {
    for (const auto& [set, exclusions] :
         {std::pair{"fit", &fit.excluded}, std::pair{"held out", &fit.held_out_excluded}}) {
      for (const Exclusion& exclusion : *exclusions) {
        table.rows.push_back(
            {law, stratum, set, Whole(static_cast<double>(exclusion.rows)), exclusion.reason, exclusion.example});
      }
    }
  };
  for (const LawFit& fit : report.fits) {
    add(fit.law, fit, fit.stratum);
    // Nulls have the law's rows; only what they leave out beyond those is said.
    for (const LawFit& null : fit.nulls) {
      if (null.used != fit.used) add(fit.law + ", " + null.law, null, fit.stratum);
    }
  }
  if (table.rows.empty()) {
    section.paragraphs.emplace_back("Nothing.");
  } else {
    section.tables.push_back(std::move(table));
  }
  return section;
}

ReportDocument FitDocument(const FitReport& report, const AnalysisReport& analysis, const std::string& title,
                           bool all_methods) {
  ReportDocument document;
  document.title = title;
  for (const std::string& law : LawNames(report)) {
    document.sections.push_back(LawSection(report, law, all_methods));
    AddAnalysis(analysis, law, document.sections.back());
    AddQuantizers(analysis, law, document.sections.back(), all_methods);
  }
  for (ReportSection section :
       {ComparisonSection(analysis), SelectionSection(analysis), StrataSection(analysis), GroupingSection(report, analysis, all_methods)}) {
    if (!section.tables.empty()) document.sections.push_back(std::move(section));
  }
  document.sections.push_back(ExclusionSection(report));
  if (!report.notes.empty()) {
    ReportSection notes;
    notes.title = "Notes";
    notes.bullets = report.notes;
    document.sections.push_back(std::move(notes));
  }
  return document;
}

}  // namespace bitlaw
