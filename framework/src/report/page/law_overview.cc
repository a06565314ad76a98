#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "report/page/front_page.h"
#include "report/page/sentences.h"

namespace bitlaw {

namespace {

// Every stratum's laws, the best first.
std::vector<std::vector<StratumLaw>> AllRanked(const StudyResults& results) {
  std::vector<std::vector<StratumLaw>> strata;
  for (const FitReport::Stratum& stratum : results.fits.strata) strata.push_back(RankedLaws(results, stratum.name));
  return strata;
}

bool IsOfAccuracy(const StratumLaw& law) {
  return (law.sizes != nullptr && law.sizes->accuracy_rows > 0) ||
         (law.bits != nullptr && law.bits->accuracy_rows > 0) || law.declared().accuracy_rows > 0;
}

// "KM, KA: within_model is not fitted: G does not vary.", the strata of one law and reason together.
void AddNotFitted(const StudyResults& results, std::vector<std::string>& notes) {
  std::vector<std::pair<std::string, std::string>> strata_of;
  for (const LawFit& fit : results.fits.fits) {
    if (!fit.Methods().empty()) continue;
    std::string why = WhyNotFitted(fit);
    while (why.ends_with('.')) why.pop_back();
    const std::string text = fit.law + " is not fitted" + (why.empty() ? "" : ": " + why) + ".";
    auto at = std::find_if(strata_of.begin(), strata_of.end(), [&](const auto& one) { return one.first == text; });
    if (at == strata_of.end()) {
      strata_of.emplace_back(text, fit.stratum);
    } else {
      at->second += ", " + fit.stratum;
    }
  }
  for (const auto& [text, strata] : strata_of) notes.push_back(strata + ": " + text);
}

// How the order came about, in the words of the column "ranked by".
void AddRankingNotes(const std::vector<std::vector<StratumLaw>>& strata, std::vector<std::string>& notes) {
  std::vector<std::string> within;
  bool across = false, rows_differ = false;
  for (const std::vector<StratumLaw>& laws : strata) {
    for (const StratumLaw& one : laws) {
      if (!one.within.empty() && std::find(within.begin(), within.end(), one.within) == within.end())
        within.push_back(one.within);
      across = across || !one.across.empty();
      rows_differ = rows_differ || one.fit->Methods().front()->rows != laws.front().fit->Methods().front()->rows;
    }
  }
  std::sort(within.begin(), within.end());
  if (!within.empty())
    notes.push_back(fmt::format("Laws of one response are ranked by {}, the lowest first{}.", fmt::join(within, " or "),
                                within.back() == "QAICc" ? " (QAICc: counts scatter more than binomial ones)" : ""));
  if (across)
    notes.emplace_back(
        "Likelihoods of different responses cannot be compared: the best law of each response is ranked by its RMSE of "
        "acc_adj against those of the others, and the other laws of its response follow it.");
  if (rows_differ)
    notes.emplace_back(
        "The laws of a stratum were fitted to different rows: they are ranked on the rows that all can use, whose "
        "errors "
        "are in the appendix (Laws against each other).");
}

const Uncertainty* QuantityOf(const LawAnalysis& analysis, const std::string& name) {
  for (const Uncertainty& one : analysis.uncertainty.quantities) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

std::string WhyNoError(const MethodFit& method) {
  return method.why_no_robust.empty()
             ? "the fit gives no error of it"
             : fmt::format("there is no error over {}, for {}", method.unit, method.why_no_robust);
}

}  // namespace

ReportTable LawsTable(const StudyResults& results) {
  const std::vector<std::vector<StratumLaw>> strata = AllRanked(results);
  ReportTable table;
  table.name = "laws";
  table.title = "Laws of each stratum, the best first, and their errors on what they were not fitted to";
  bool of_accuracy = false, several_responses = false, several_laws = false;
  for (const std::vector<StratumLaw>& laws : strata) {
    several_laws = several_laws || laws.size() > 1;
    for (const StratumLaw& one : laws) {
      of_accuracy = of_accuracy || IsOfAccuracy(one);
      several_responses = several_responses || one.fit->response != laws.front().fit->response;
    }
  }
  const std::string error = of_accuracy ? "MAE acc_adj" : "MAE response";
  table.header = {"stratum", "law"};
  if (several_responses) table.header.emplace_back("response");
  table.header.insert(table.header.end(), {"method", "rows", "adj. R2"});
  if (several_laws) table.header.insert(table.header.end(), {"ranked by", "above the best"});
  table.header.insert(table.header.end(), {"largest size: " + error, "largest size: R2", "fewest bits: " + error,
                                           "fewest bits: R2", "kept out: " + error, "kept-out rows"});
  std::string schemes;
  for (const std::vector<StratumLaw>& laws : strata) {
    for (const StratumLaw& one : laws) {
      const MethodFit& method = *one.fit->Methods().front();
      std::vector<ReportCell> row = {one.stratum, one.law};
      if (several_responses) row.emplace_back(one.fit->response);
      row.insert(row.end(),
                 {method.title(), Whole(static_cast<double>(method.rows)), RSquared(method.quality.adjusted_r2, 3)});
      if (several_laws) {
        row.emplace_back(!one.across.empty() ? one.across : one.within.empty() ? "-" : one.within);
        row.push_back(one.across.empty() ? Fixed(one.above_best, 1) : Fixed(one.above_best, 4));
      }
      for (const ValidationResult* held_out : {one.sizes, one.bits}) {
        const bool is_there = held_out != nullptr;
        row.push_back(Fixed(is_there ? of_accuracy ? held_out->accuracy_mae : held_out->mae : kUnset, 4));
        row.push_back(RSquared(is_there ? R2Of(*held_out) : kUnset, 2));
        if (is_there && schemes.find(ConditionText(results, held_out->scheme)) == std::string::npos)
          schemes += (schemes.empty() ? "" : ", ") + ConditionText(results, held_out->scheme);
      }
      const PredictionErrors declared = one.declared();
      row.push_back(Fixed(of_accuracy ? declared.accuracy_mae : declared.mae, 4));
      row.push_back(Whole(static_cast<double>(of_accuracy ? declared.accuracy_rows : declared.rows)));
      table.rows.push_back(std::move(row));
    }
  }
  for (const FitReport::Stratum& stratum : results.fits.strata) {
    if (!stratum.tasks.empty() && SpelledStratum(stratum.name) != SpelledStratum(kGeneralStratum))
      table.notes.push_back(fmt::format("{}: {}.", Named(stratum.name), JoinNames(stratum.tasks)));
  }
  AddNotFitted(results, table.notes);
  AddRankingNotes(strata, table.notes);
  if (!schemes.empty()) table.notes.push_back("Each left out of a fit and then predicted by it: " + schemes + ".");
  if (of_accuracy)
    table.notes.emplace_back("MAE acc_adj: mean absolute error of the adjusted accuracy, where 0.01 is a point.");
  return table;
}

std::vector<ReportTable> ParameterTables(const StudyResults& results) {
  std::vector<ReportTable> tables;
  for (const StratumLaw& best : BestLaws(results)) {
    if (best.fit == nullptr) continue;
    const MethodFit& method = *best.fit->Methods().front();
    auto table = std::find_if(tables.begin(), tables.end(),
                              [&](const auto& one) { return one.name == "parameters_" + best.law; });
    if (table == tables.end()) {
      table = tables.emplace(tables.end());
      table->name = "parameters_" + best.law;
      table->title = fmt::format("Parameters of {} where it is the best law, with {:.3g} % intervals", best.law,
                                 100 * results.fits.settings.confidence);
      table->header = {"stratum"};
      for (const ParameterEstimate& one : method.parameters)
        table->header.push_back(one.unit.empty() ? one.name : one.name + " [" + one.unit + "]");
    }
    std::vector<ReportCell> row = {best.stratum};
    std::string without, by_bootstrap;
    for (const ParameterEstimate& one : method.parameters) {
      const Uncertainty* quantity = best.analysis == nullptr ? nullptr : QuantityOf(*best.analysis, one.name);
      const Interval interval = quantity == nullptr ? Interval() : ShownInterval(*quantity);
      ReportCell cell = Significant(one.value, 3);
      if (std::isfinite(interval.low) && std::isfinite(interval.high)) {
        cell.text += fmt::format(" [{:.3g}, {:.3g}]", interval.low, interval.high);
        if (std::isnan(quantity->delta.low)) by_bootstrap += (by_bootstrap.empty() ? "" : ", ") + one.name;
      } else {
        without += (without.empty() ? "" : ", ") + one.name + (one.note.empty() ? "" : " (" + one.note + ")");
      }
      cell.parts = {{"low", interval.low}, {"high", interval.high}};
      row.push_back(std::move(cell));
    }
    table->rows.push_back(std::move(row));
    if (!by_bootstrap.empty())
      table->notes.push_back(
          fmt::format("{}: intervals of {} are the bootstrap's: {}.", best.stratum, by_bootstrap, WhyNoError(method)));
    if (!without.empty()) {
      const std::string why = best.analysis == nullptr ? "the fit was not examined" : WhyNoError(method);
      table->notes.push_back(fmt::format("{}: no interval of {}: {}.", best.stratum, without, why));
    }
  }
  return tables;
}

}  // namespace bitlaw
