#include "report/page/front_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bitlaw/base/error.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

namespace {

std::string Named(const std::string& stratum) {
  const std::string spelled = SpelledStratum(stratum);
  return spelled.empty() ? stratum : fmt::format("{} ({})", stratum, spelled);
}

std::string Counted(size_t count, const std::string& what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

// An error on rows that were not fitted, in points of accuracy where it can be; NaN if there is none.
struct HeldOutError {
  double value = kUnset;
  bool of_accuracy = false;
};
HeldOutError ErrorOf(double accuracy_mae, size_t accuracy_rows, double mae) {
  if (accuracy_rows > 0 && std::isfinite(accuracy_mae)) return {100 * accuracy_mae, true};
  return {mae, false};
}

double R2Of(const ValidationResult& held_out) { return held_out.accuracy_rows > 0 ? held_out.accuracy_r2 : held_out.r2; }

// "N == 984448" of "hold out N == 984448".
std::string ConditionOf(const std::string& scheme) {
  constexpr std::string_view kBegin = "hold out ";
  return scheme.starts_with(kBegin) ? scheme.substr(kBegin.size()) : scheme;
}

// "off by 6.5 points of accuracy on the largest size, 14.8 on the fewest bits"; "" if nothing was held out.
std::string ErrorsText(const BestLaw& best) {
  std::string errors, unit;
  const auto add = [&](const HeldOutError& error, const std::string& on) {
    if (!std::isfinite(error.value)) return;
    const std::string own = error.of_accuracy ? " points of accuracy" : " in its response";
    errors += errors.empty() ? "off by " : ", ";
    errors += error.of_accuracy ? fmt::format("{:.1f}", error.value) : fmt::format("{:.3g}", error.value);
    errors += (own == unit ? "" : own) + " on " + on;
    unit = own;
  };
  for (const auto& [held_out, on] : {std::pair{best.sizes, "the largest size"}, std::pair{best.bits, "the fewest bits"}}) {
    if (held_out != nullptr) add(ErrorOf(held_out->accuracy_mae, held_out->accuracy_rows, held_out->mae), on);
  }
  const PredictionErrors declared = best.declared();
  if (declared.rows + declared.accuracy_rows > 0)
    add(ErrorOf(declared.accuracy_mae, declared.accuracy_rows, declared.mae), "what is kept out of all fits");
  return errors;
}

std::string StratumSentence(const BestLaw& best) {
  if (best.fit == nullptr) return Named(best.stratum) + ": no law could be fitted; the appendix says why for each.";
  const std::string errors = ErrorsText(best);
  return fmt::format("{}: {} is {}.{}", Named(best.stratum),
                     best.compared > 1 ? fmt::format("the best of {} laws", best.compared) : "the law", best.fit->law,
                     errors.empty() ? "" : " Fitted without them, it is " + errors + ".");
}

// What the best laws are, each once.
std::vector<std::string> Formulas(const std::vector<BestLaw>& best) {
  std::vector<std::string> formulas;
  for (const BestLaw& one : best) {
    if (one.fit == nullptr) continue;
    std::string text = fmt::format("{} says {} = {}.", one.fit->law, one.fit->response, one.fit->formula);
    if (std::find(formulas.begin(), formulas.end(), text) == formulas.end()) formulas.push_back(std::move(text));
  }
  return formulas;
}

// Which stratum an exponent is largest in, and whether it differs from the one where it is smallest.
void AddRankings(const StudyResults& results, const std::string& law, std::vector<std::string>& bullets) {
  for (const StrataTests& tests : results.analysis.strata) {
    if (tests.law != law) continue;
    for (const SensitivityRanking& ranking : tests.rankings) {
      if (ranking.places.size() < 2) continue;
      const auto& first = ranking.places.front();
      const auto& last = ranking.places.back();
      double p = kUnset;
      for (const SensitivityRanking::Pair& pair : ranking.pairs) {
        if ((pair.a == first.stratum && pair.b == last.stratum) || (pair.b == first.stratum && pair.a == last.stratum))
          p = pair.p_holm;
      }
      const std::string verdict = std::isnan(p)   ? "whether they differ was not tested"
                                  : p < 0.05      ? fmt::format("the two differ (p = {:.2g} after Holm)", p)
                                                  : fmt::format("the two cannot be told apart (p = {:.2g} after Holm)", p);
      bullets.push_back(fmt::format("The exponent {} is furthest from zero in {} ({:.3g}) and nearest in {} ({:.3g}); {}.",
                                    ranking.parameter, first.stratum, first.value, last.stratum, last.value, verdict));
    }
  }
}

std::string Sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

ReportSection SureSection(const StudyResults& results, const std::vector<BestLaw>& best) {
  ReportSection section;
  section.title = "How sure this is";
  std::vector<std::string> said;
  const auto say = [&](std::string text) {
    text = Sentence(std::move(text));
    if (std::find(said.begin(), said.end(), text) == said.end()) said.push_back(text);
  };
  for (const BestLaw& one : best) {
    if (one.analysis == nullptr) continue;
    const UncertaintyReport& of = one.analysis->uncertainty;
    if (!of.independent.empty()) {
      const std::string unit = of.independent == "trials" ? "trial" : of.independent;
      say(fmt::format("Intervals are at {:.3g} %. What counts as independent is a {}: there are {}{}", 100 * of.level, unit,
                      of.independent_units,
                      of.is_clustered && of.independent_units < kFewUnits
                          ? ", which is few, whatever the number of rows: errors of what varies only between them are themselves "
                            "uncertain"
                          : ""));
    }
  }
  std::string scatter;
  for (const LawComparison& comparison : results.analysis.comparisons) {
    if (comparison.dispersion > 2)
      scatter += fmt::format("{}{:.2g} times in {}", scatter.empty() ? "" : ", ", comparison.dispersion, comparison.stratum);
  }
  if (!scatter.empty())
    say("Counts scatter more than items alone would make them, so the laws miss something that differs between trials: " + scatter);
  section.bullets = std::move(said);
  return section;
}

ReportSection LeftOutSection(const StudyResults& results, const std::vector<BestLaw>& best) {
  ReportSection section;
  section.title = "What was left out";
  std::vector<std::pair<std::string, std::string>> reasons;  // Reason, strata with counts.
  for (const BestLaw& one : best) {
    if (one.fit == nullptr) continue;
    for (const Exclusion& exclusion : one.fit->excluded) {
      auto at = std::find_if(reasons.begin(), reasons.end(), [&](const auto& each) { return each.first == exclusion.reason; });
      if (at == reasons.end()) at = reasons.insert(reasons.end(), {exclusion.reason, ""});
      at->second += fmt::format("{}{} {}", at->second.empty() ? "" : ", ", one.stratum, exclusion.rows);
    }
  }
  for (const auto& [reason, counts] : reasons) section.bullets.push_back(fmt::format("Rows not fitted, {}: {}.", reason, counts));
  std::vector<std::string> held_out;
  for (const StudyDescription::Model& model : results.description.models) {
    if (model.hold_out) held_out.push_back(model.name);
  }
  if (!held_out.empty()) section.bullets.push_back("Kept out of every fit by the study: " + JoinNames(held_out) + ".");
  if (!results.failures.empty()) section.bullets.push_back(Counted(results.failures.size(), "trial") + " failed.");
  if (!results.description.skipped.empty())
    section.bullets.push_back(Counted(results.description.skipped.size(), "cell") + " of the grid cannot be: the appendix says why.");
  std::set<std::string> limited;
  for (size_t row = 0; row < results.observations.rows(); ++row) {
    if (results.observations.NumberAt("limit", row) > 0) limited.insert(results.observations.TextAt("task", row));
  }
  if (!limited.empty())
    section.bullets.push_back(fmt::format("Only the first items were scored of {}.", Counted(limited.size(), "task")));
  for (const FitFault& fault : results.fit_faults) section.bullets.push_back(Sentence(fault.text));
  return section;
}

// The range of a covariate over the rows that a law was fitted to.
std::string RangesText(const StudyResults& results, const BestLaw& best) {
  std::string text;
  if (best.picture == nullptr) return text;
  std::vector<std::string> columns = {best.picture->scale, best.picture->precision};
  for (const auto& [column, value] : best.picture->reference) columns.push_back(column);
  for (const std::string& column : columns) {
    const TableColumn* found = column.empty() ? nullptr : results.predictions.Find(column);
    double low = INFINITY, high = -INFINITY;
    for (size_t row = 0; found != nullptr && !found->is_text && row < found->size(); ++row) {
      if (results.predictions.TextAt("law", row) != best.fit->law || results.predictions.TextAt("set", row) == "held out") continue;
      if (std::isfinite(found->numbers[row])) low = std::min(low, found->numbers[row]), high = std::max(high, found->numbers[row]);
    }
    if (!(low <= high)) continue;
    const std::string unit = UnitOf(results, column);
    text += fmt::format("{}{} {} to {}{}", text.empty() ? "" : ", ", column, AxisNumber(low), AxisNumber(high),
                        unit.empty() ? "" : " " + unit);
  }
  return text;
}

ReportSection NotConcludedSection(const StudyResults& results, const std::vector<BestLaw>& best) {
  ReportSection section;
  section.title = "What may not be concluded";
  for (const BestLaw& one : best) {
    const std::string ranges = one.fit == nullptr ? "" : RangesText(results, one);
    if (ranges.empty()) continue;
    section.bullets.push_back("Anything outside of what the laws were fitted to: " + ranges + ".");
    break;
  }
  std::vector<std::string> sizes, bits;
  for (const BestLaw& one : best) {
    if (one.sizes != nullptr && R2Of(*one.sizes) < 0) sizes.push_back(one.stratum);
    if (one.bits != nullptr && R2Of(*one.bits) < 0) bits.push_back(one.stratum);
  }
  const auto condition_of = [&](const ValidationResult* BestLaw::* member) {
    for (const BestLaw& one : best) {
      if (one.*member != nullptr) return ConditionOf((one.*member)->scheme);
    }
    return std::string();
  };
  if (!bits.empty())
    section.bullets.push_back(fmt::format("How accurate fewer bits than those fitted are ({}): without {} the laws predict it worse "
                                          "than its mean would.", JoinNames(bits), condition_of(&BestLaw::bits)));
  if (!sizes.empty())
    section.bullets.push_back(fmt::format("How accurate larger models are ({}): without {} the laws predict it worse than its mean "
                                          "would.", JoinNames(sizes), condition_of(&BestLaw::sizes)));
  std::set<std::string> families, quantizers;
  for (const StudyDescription::Model& model : results.description.models) families.insert(model.family);
  families.erase("");
  for (size_t row = 0; row < results.observations.rows(); ++row) {
    const std::string quantizer = results.observations.TextAt("quantizer", row);
    if (IsQuantizer(quantizer)) quantizers.insert(quantizer);
  }
  if (families.size() == 1) section.bullets.push_back("Other families of models: all of these are " + *families.begin() + ".");
  if (!quantizers.empty())
    section.bullets.push_back("Other quantizers: these are " + JoinNames({quantizers.begin(), quantizers.end()}) + ".");
  if (HeadlineLaw(best).empty() && section.bullets.empty()) return section;
  section.bullets.emplace_back(
      "That a factor causes what an exponent says of it, where settings were not varied one by one: an exponent sums up these "
      "trials.");
  return section;
}

}  // namespace

std::vector<std::string> LostZones(const StudyResults& results, const std::string& law) {
  std::vector<std::string> bullets;
  std::vector<std::pair<std::string, std::string>> flagged;
  for (const LawAnalysis& analysis : results.analysis.laws) {
    if (analysis.law != law) continue;
    for (const Zone& zone : analysis.zones) {
      if (zone.flags.empty()) continue;
      auto at = std::find_if(flagged.begin(), flagged.end(), [&](const auto& one) { return one.first == zone.name; });
      if (at == flagged.end()) at = flagged.insert(flagged.end(), {zone.name, ""});
      const std::string kept = std::isfinite(zone.kept) ? fmt::format("{:.0f} % kept, ", 100 * zone.kept) : "";
      at->second += fmt::format("{}{} ({}{})", at->second.empty() ? "" : ", ", analysis.stratum, kept, JoinNames(zone.flags));
    }
  }
  for (const auto& [zone, strata] : flagged)
    bullets.push_back(fmt::format("Where {} accuracy is lost beyond what the law explains: {}.", zone, strata));
  return bullets;
}

std::string SummaryLine(const BestLaw& best) {
  if (best.fit == nullptr) return best.stratum + ": no law could be fitted";
  const std::string errors = ErrorsText(best);
  return fmt::format("{}: {}{}", best.stratum, best.fit->law, errors.empty() ? "" : ", " + errors);
}

ReportTable BestLawTable(const StudyResults& results) {
  const std::vector<BestLaw> best = BestLaws(results);
  ReportTable table;
  table.name = "best_laws";
  table.title = "The best law of each stratum, and its errors on what it was not fitted to";
  const bool of_accuracy = std::any_of(best.begin(), best.end(), [](const BestLaw& one) {
    return (one.sizes != nullptr && one.sizes->accuracy_rows > 0) || (one.bits != nullptr && one.bits->accuracy_rows > 0) ||
           one.declared().accuracy_rows > 0;
  });
  const std::string error = of_accuracy ? "MAE acc_adj" : "MAE response";
  table.header = {"stratum", "meaning", "law", "method", "rows", "adj. R2", "largest size: " + error,
                  "largest size: R2", "fewest bits: " + error, "fewest bits: R2", "kept out: " + error, "kept-out rows"};
  std::string schemes;
  for (const BestLaw& one : best) {
    if (one.fit == nullptr) {
      table.notes.push_back(one.stratum + ": no law could be fitted.");
      continue;
    }
    const MethodFit& method = *one.fit->Methods().front();
    const auto cells = [&](const ValidationResult* held_out) -> std::vector<ReportCell> {
      if (held_out == nullptr) return {Fixed(kUnset, 4), Fixed(kUnset, 4)};
      return {Fixed(of_accuracy ? held_out->accuracy_mae : held_out->mae, 4), RSquared(R2Of(*held_out), 2)};
    };
    std::vector<ReportCell> row = {one.stratum, SpelledStratum(one.stratum), one.fit->law, method.title(),
                                   Whole(static_cast<double>(method.rows)), RSquared(method.quality.adjusted_r2, 3)};
    for (const ValidationResult* held_out : {one.sizes, one.bits}) {
      for (ReportCell& cell : cells(held_out)) row.push_back(std::move(cell));
      if (held_out != nullptr && schemes.find(ConditionOf(held_out->scheme)) == std::string::npos)
        schemes += (schemes.empty() ? "" : " and ") + ConditionOf(held_out->scheme);
    }
    const PredictionErrors declared = one.declared();
    row.push_back(Fixed(of_accuracy ? declared.accuracy_mae : declared.mae, 4));
    row.push_back(Whole(static_cast<double>(of_accuracy ? declared.accuracy_rows : declared.rows)));
    table.rows.push_back(std::move(row));
  }
  for (const FitReport::Stratum& stratum : results.fits.strata) {
    if (!stratum.tasks.empty() && SpelledStratum(stratum.name) != SpelledStratum(kGeneralStratum))
      table.notes.push_back(fmt::format("{}: {}.", Named(stratum.name), JoinNames(stratum.tasks)));
  }
  if (!schemes.empty()) table.notes.push_back("Fitted without, then predicted: " + schemes + ".");
  if (of_accuracy)
    table.notes.emplace_back("MAE: mean absolute error of acc_adj = (acc - chance) / (1 - chance), where 0.01 is a point of accuracy.");
  return table;
}

ReportSection FindingsSection(const StudyResults& results) {
  ReportSection section;
  section.title = "What was found";
  if (results.observations.rows() == 0) {
    section.paragraphs.emplace_back("Nothing is recorded yet.");
    return section;
  }
  const std::vector<BestLaw> best = BestLaws(results);
  for (const BestLaw& one : best) section.bullets.push_back(StratumSentence(one));
  for (std::string& formula : Formulas(best)) section.bullets.push_back(std::move(formula));
  const std::string headline = HeadlineLaw(best);
  AddRankings(results, headline, section.bullets);
  for (std::string& zone : LostZones(results, headline)) section.bullets.push_back(std::move(zone));
  if (section.bullets.empty()) section.paragraphs.emplace_back("The study names no law: scores are in the appendix.");
  return section;
}

std::vector<ReportSection> FrontPage(const StudyResults& results) {
  std::vector<ReportSection> sections = {FindingsSection(results)};
  const std::vector<BestLaw> best = BestLaws(results);
  if (!HeadlineLaw(best).empty()) sections.front().tables.push_back(BestLawTable(results));
  for (ReportSection section :
       {SureSection(results, best), LeftOutSection(results, best), NotConcludedSection(results, best)}) {
    if (!section.bullets.empty()) sections.push_back(std::move(section));
  }
  return sections;
}

}  // namespace bitlaw
