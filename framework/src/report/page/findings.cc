#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "report/page/front_page.h"
#include "report/page/sentences.h"

namespace bitlaw {

namespace {

std::string Amount(const HeldOutError& error) {
  return error.of_accuracy ? fmt::format("{:.1f} points", error.value)
                           : fmt::format("{:.3g} (of its response)", error.value);
}

// Why the first law of a stratum has no fit; "" if nothing says.
std::string WhyNone(const StudyResults& results, const std::string& stratum) {
  for (const LawFit& fit : results.fits.fits) {
    const std::string why = fit.stratum == stratum ? WhyNotFitted(fit) : "";
    if (!why.empty()) return fit.law + ": " + why;
  }
  return "";
}

std::string StratumSentence(const StudyResults& results, const StratumLaw& best) {
  if (best.fit == nullptr) {
    std::string why = WhyNone(results, best.stratum);
    if (!why.empty() && why.back() != '.') why += '.';
    return Named(best.stratum) + ": no law could be fitted. " + (why.empty() ? "The appendix says why for each." : why);
  }
  const MethodFit& method = *best.fit->Methods().front();
  const bool is_compared = !best.within.empty() || !best.across.empty();
  std::string text = fmt::format(
      "{}: {} is {} (adjusted R2 {} over {}).", Named(best.stratum), best.fit->law,
      best.compared < 2 ? "the law"
      : is_compared     ? fmt::format("the best of {}{}", Counted(best.compared, "law"), ChoiceText(best))
                        : fmt::format("the first of {}, which were not compared", Counted(best.compared, "law")),
      RSquared(method.quality.adjusted_r2, 2).text, Counted(method.rows, "row"));
  const std::vector<HeldOutError> errors = ErrorsOf(results, best);
  for (size_t i = 0; i < errors.size(); ++i) {
    text += i == 0 ? " Of what it was not fitted to, it is off by " : i + 1 < errors.size() ? ", by " : " and by ";
    text += fmt::format("{} on {}{}", Amount(errors[i]), errors[i].on,
                        errors[i].which.empty() ? "" : " (" + errors[i].which + ")");
  }
  return text + (errors.empty() ? "" : ".");
}

// What the best laws are, each once.
std::vector<std::string> Formulas(const std::vector<StratumLaw>& best) {
  std::vector<std::string> formulas;
  for (const StratumLaw& one : best) {
    if (one.fit == nullptr) continue;
    std::string text = fmt::format("{} says {} = {}.", one.fit->law, one.fit->response, one.fit->formula);
    for (const std::string& column : ColumnsOf(one)) {
      const Factor* standard = FindStandardFactor(column);
      if (standard != nullptr && !standard->doc.empty()) text += fmt::format(" {}: {}", column, standard->doc);
    }
    if (std::find(formulas.begin(), formulas.end(), text) == formulas.end()) formulas.push_back(std::move(text));
  }
  return formulas;
}

// Which stratum an exponent is largest in, and whether it differs from the one where it is smallest.
void AddRankings(const StudyResults& results, const std::string& law, std::vector<std::string>& bullets) {
  for (const StrataTests& tests : results.analysis.strata) {
    if (tests.law != law) continue;
    if (!tests.why_none.empty())
      bullets.push_back(
          fmt::format("Whether strata differ in the parameters of {} was not tested: {}.", law, tests.why_none));
    for (const SensitivityRanking& ranking : tests.rankings) {
      if (ranking.places.size() < 2) continue;
      const auto& first = ranking.places.front();
      const auto& last = ranking.places.back();
      double p = kUnset;
      for (const SensitivityRanking::Pair& pair : ranking.pairs) {
        if ((pair.a == first.stratum && pair.b == last.stratum) || (pair.b == first.stratum && pair.a == last.stratum))
          p = pair.p_holm;
      }
      const std::string verdict = std::isnan(p) ? "whether they differ was not tested"
                                  : p < 0.05 ? fmt::format("the two differ (p = {:.2g} after Holm)", p)
                                             : fmt::format("the two cannot be told apart (p = {:.2g} after Holm)", p);
      bullets.push_back(
          fmt::format("The exponent {} is furthest from zero in {} ({:.3g}) and nearest to it in {} ({:.3g}); {}.",
                      ranking.parameter, first.stratum, first.value, last.stratum, last.value, verdict));
    }
  }
}

// "KA 32 % (precision collapse: ...)"
std::string LostText(const std::string& stratum, const Zone& zone) {
  const auto is_flagged = [&](const char* flag) {
    return std::find(zone.flags.begin(), zone.flags.end(), flag) != zone.flags.end();
  };
  std::string text = stratum;
  if (std::isfinite(zone.kept)) text += fmt::format(" keeps {:.0f} % of the unquantized accuracy", 100 * zone.kept);
  if (is_flagged("structural collapse"))
    return text + " (structural collapse: no factor of the law explains what is left)";
  if (is_flagged("precision collapse")) return text + " (precision collapse: smaller groups do not visibly help)";
  return text;
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
      at->second += (at->second.empty() ? "" : ", ") + LostText(analysis.stratum, zone);
    }
  }
  for (const auto& [zone, strata] : flagged)
    bullets.push_back(
        fmt::format("At {} accuracy is lost beyond what {} explains: {}.", ConditionText(results, zone), law, strata));
  return bullets;
}

std::string SummaryLine(const StudyResults& results, const StratumLaw& best) {
  if (best.fit == nullptr) return best.stratum + ": no law could be fitted";
  std::string text = fmt::format("{}: {}", best.stratum, best.fit->law), unit;
  for (const HeldOutError& error : ErrorsOf(results, best)) {
    const std::string own = error.of_accuracy ? " points of accuracy" : " in its response";
    text += unit.empty() ? ", off by " : ", ";
    text += error.of_accuracy ? fmt::format("{:.1f}", error.value) : fmt::format("{:.3g}", error.value);
    text += (own == unit ? "" : own) + " on " + error.on;
    unit = own;
  }
  return text;
}

ReportSection FindingsSection(const StudyResults& results) {
  ReportSection section;
  section.title = "What was found";
  if (results.observations.rows() == 0) {
    section.paragraphs.emplace_back("Nothing is recorded yet.");
    return section;
  }
  section.bullets = VerdictSentences(results);
  const std::string at_chance = BaselinesAtChance(results);
  if (!at_chance.empty()) section.bullets.push_back(at_chance);
  const std::vector<StratumLaw> best = BestLaws(results);
  for (const StratumLaw& one : best) section.bullets.push_back(StratumSentence(results, one));
  for (std::string& formula : Formulas(best)) section.bullets.push_back(std::move(formula));
  const std::string headline = HeadlineLaw(best);
  AddRankings(results, headline, section.bullets);
  for (std::string& zone : LostZones(results, headline)) section.bullets.push_back(std::move(zone));
  if (best.empty())
    section.paragraphs.emplace_back("The study names no law, so none was fitted: scores are in the appendix.");
  const bool has_points = std::any_of(best.begin(), best.end(), [&](const StratumLaw& one) {
    const std::vector<HeldOutError> errors = ErrorsOf(results, one);
    return std::any_of(errors.begin(), errors.end(), [](const HeldOutError& error) { return error.of_accuracy; });
  });
  if (has_points)
    section.paragraphs.emplace_back(
        "Accuracy is adjusted for guessing, acc_adj = (acc - chance) / (1 - chance): 0 is guessing, 1 is all right, a "
        "point is "
        "0.01. Errors are mean absolute ones.");
  return section;
}

}  // namespace bitlaw
