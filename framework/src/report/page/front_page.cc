#include "report/page/front_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "bitlaw/base/error.h"
#include "report/page/sentences.h"

namespace bitlaw {

namespace {

std::string Sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

ReportSection SureSection(const StudyResults& results, const std::vector<StratumLaw>& best) {
  ReportSection section;
  section.title = "How sure this is";
  std::vector<std::string> said;
  const auto say = [&](std::string text) {
    text = Sentence(std::move(text));
    if (std::find(said.begin(), said.end(), text) == said.end()) said.push_back(text);
  };
  for (const StratumLaw& one : best) {
    if (one.analysis == nullptr) continue;
    const UncertaintyReport& of = one.analysis->uncertainty;
    if (!of.independent.empty()) {
      const std::string unit = of.independent == "trials" ? "trial" : of.independent;
      say(fmt::format(
          "Intervals of exponents are at {:.3g} % and count each {} as one independent observation, of which there are "
          "{}{}",
          100 * of.level, unit, of.independent_units,
          of.is_clustered && of.independent_units < kFewUnits
              ? ". That is few, whatever the number of rows: errors of what differs only between them are themselves "
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
    say("The variance around the laws is larger than the choice of items makes it, so they miss something that differs "
        "between "
        "trials: " +
        scatter);
  section.bullets = std::move(said);
  return section;
}

ReportSection LeftOutSection(const StudyResults& results, const std::vector<StratumLaw>& best) {
  ReportSection section;
  section.title = "What was left out";
  std::vector<std::pair<std::string, std::vector<std::pair<size_t, std::string>>>> reasons;  // With rows by stratum.
  std::vector<std::string> examples;
  for (const StratumLaw& one : best) {
    if (one.fit == nullptr) continue;
    for (const Exclusion& exclusion : one.fit->excluded) {
      auto at = std::find_if(reasons.begin(), reasons.end(), [&](const auto& each) { return each.first == exclusion.reason; });
      if (at == reasons.end()) {
        at = reasons.insert(reasons.end(), {exclusion.reason, {}});
        examples.push_back(exclusion.example);
      }
      at->second.emplace_back(exclusion.rows, one.stratum);
    }
  }
  for (size_t i = 0; i < reasons.size(); ++i) {
    const auto& [reason, counts] = reasons[i];
    std::string text;
    const bool is_alike = counts.size() > 1 && std::all_of(counts.begin(), counts.end(), [&](const auto& one) {
                            return one.first == counts.front().first;
                          });
    if (is_alike) {
      std::vector<std::string> strata;
      for (const auto& one : counts) strata.push_back(one.second);
      text = Counted(counts.front().first, "row") + " in each of " + JoinNames(strata);
    } else {
      for (const auto& [rows, stratum] : counts)
        text += fmt::format("{}{} in {}", text.empty() ? "" : ", ", Counted(rows, "row"), stratum);
    }
    section.bullets.push_back(fmt::format("Not fitted, {}: {}{}.", reason, text,
                                          examples[i].empty() ? "" : " (the first: " + examples[i] + ")"));
  }
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
std::string RangesText(const StudyResults& results, const StratumLaw& best) {
  std::string text;
  if (best.picture == nullptr) return text;
  for (const std::string& column : ColumnsOf(best)) {
    const TableColumn* found = results.predictions.Find(column);
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

ReportSection NotConcludedSection(const StudyResults& results, const std::vector<StratumLaw>& best) {
  ReportSection section;
  section.title = "What may not be concluded";
  for (const StratumLaw& one : best) {
    const std::string ranges = one.fit == nullptr ? "" : RangesText(results, one);
    if (ranges.empty()) continue;
    section.bullets.push_back("Anything outside of what the laws were fitted to: " + ranges + ".");
    break;
  }
  std::vector<std::string> sizes, bits;
  for (const StratumLaw& one : best) {
    if (one.sizes != nullptr && R2Of(*one.sizes) < 0) sizes.push_back(one.stratum);
    if (one.bits != nullptr && R2Of(*one.bits) < 0) bits.push_back(one.stratum);
  }
  const auto condition_of = [&](const ValidationResult* StratumLaw::*member) {
    for (const StratumLaw& one : best) {
      if (one.*member != nullptr) return ConditionText(results, (one.*member)->scheme);
    }
    return std::string();
  };
  if (!bits.empty())
    section.bullets.push_back(
        fmt::format("How accurate models are at fewer bits than were fitted ({}): laws fitted without {} are "
                    "further off there than the mean accuracy of those rows is.",
                    JoinNames(bits), condition_of(&StratumLaw::bits)));
  if (!sizes.empty())
    section.bullets.push_back(
        fmt::format("How accurate larger models are ({}): laws fitted without {} are further off there than the "
                    "mean accuracy of those rows is.",
                    JoinNames(sizes), condition_of(&StratumLaw::sizes)));
  std::set<std::string> families, quantizers;
  for (const StudyDescription::Model& model : results.description.models) families.insert(model.family);
  families.erase("");
  // Of those that were measured the ones that the laws saw, if there are laws: by the names of rows, RowLabel().
  std::set<std::string> fitted;
  for (size_t row = 0; row < results.predictions.rows(); ++row) {
    if (results.predictions.TextAt("set", row) == "fit") fitted.insert(results.predictions.TextAt("name", row));
  }
  for (size_t row = 0; row < results.observations.rows(); ++row) {
    const std::string quantizer = results.observations.TextAt("quantizer", row);
    if (!fitted.empty() && !fitted.contains(results.observations.TextAt("label", row)) &&
        !fitted.contains(results.observations.TextAt("trial", row)))
      continue;
    if (IsQuantizer(quantizer)) quantizers.insert(quantizer);
  }
  if (families.size() == 1) section.bullets.push_back("Other families of models: all of these are " + *families.begin() + ".");
  if (!quantizers.empty())
    section.bullets.push_back(
        "Other quantizers: " + std::string(fitted.empty() ? "these are " : "the laws were fitted to ") +
        JoinNames({quantizers.begin(), quantizers.end()}) + ".");
  if (HeadlineLaw(best).empty()) return section;
  section.bullets.emplace_back(
      "That a factor causes what an exponent says of it, where settings were not varied one by one: an exponent sums up these "
      "trials.");
  return section;
}

}  // namespace

std::vector<ReportSection> FrontPage(const StudyResults& results) {
  std::vector<ReportSection> sections = {FindingsSection(results)};
  const std::vector<StratumLaw> best = BestLaws(results);
  if (!HeadlineLaw(best).empty()) {
    sections.front().tables.push_back(LawsTable(results));
    for (ReportTable& table : ParameterTables(results)) sections.front().tables.push_back(std::move(table));
  }
  for (ReportSection section :
       {SureSection(results, best), LeftOutSection(results, best), NotConcludedSection(results, best)}) {
    if (!section.bullets.empty()) sections.push_back(std::move(section));
  }
  return sections;
}

}  // namespace bitlaw
