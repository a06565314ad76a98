#include "report/pictures/best_laws.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "fit/table/column_map.h"

namespace bitlaw {

namespace {

// "hold out B == 2": the column; "" for another scheme.
std::string HeldOutColumn(const std::string& scheme) {
  constexpr std::string_view kBegin = "hold out ", kEquals = " == ";
  const size_t at = scheme.find(kEquals);
  if (!scheme.starts_with(kBegin) || at == std::string::npos) return "";
  return scheme.substr(kBegin.size(), at - kBegin.size());
}

// What the report has of a fitted law.
StratumLaw Found(const StudyResults& results, const LawFit& fit) {
  StratumLaw one;
  one.stratum = fit.stratum, one.law = fit.law, one.fit = &fit;
  for (const LawAnalysis& analysis : results.analysis.laws) {
    if (analysis.law == fit.law && analysis.stratum == fit.stratum) one.analysis = &analysis;
  }
  for (const LawPicture& picture : results.pictures) {
    if (picture.law == fit.law && picture.stratum == fit.stratum) one.picture = &picture;
  }
  for (size_t i = 0; one.analysis != nullptr && i < one.analysis->validation.size(); ++i) {
    const ValidationResult& held_out = one.analysis->validation[i];
    const std::string column = HeldOutColumn(held_out.scheme);
    if (column.empty() || !held_out.why_none.empty()) continue;
    const FactorRole role = RoleOf(results, column);
    if (role == FactorRole::kScale && one.sizes == nullptr) one.sizes = &held_out;
    if (role == FactorRole::kPrecision && one.bits == nullptr) one.bits = &held_out;
  }
  return one;
}

// Laws in the order of what they are ranked by; those without it stay behind.
void SortRanked(std::vector<StratumLaw>& laws) {
  std::stable_sort(laws.begin(), laws.end(), [](const StratumLaw& a, const StratumLaw& b) {
    return std::isnan(b.above_best) ? !std::isnan(a.above_best) : a.above_best < b.above_best;
  });
}

// Sets what the laws of one response are ranked by, and sorts them.
void RankWithin(const LawComparison& comparison, std::vector<StratumLaw>& laws) {
  for (StratumLaw& one : laws) {
    for (const ComparedLaw& compared : comparison.laws) {
      if (compared.law != one.law || std::isnan(compared.delta_aicc)) continue;
      one.within = comparison.criterion();
      one.above_best = compared.delta_aicc;
    }
  }
  SortRanked(laws);
}

// The same of the best laws of several responses, each the first of its group.
void RankAcross(const LawComparison& comparison, std::vector<std::vector<StratumLaw>>& groups) {
  double least = INFINITY;
  std::vector<std::pair<double, size_t>> errors;
  for (size_t i = 0; i < groups.size(); ++i) {
    double error = INFINITY;
    for (const ComparedLaw& compared : comparison.laws) {
      const ValidationResult& judged = compared.judged_in_accuracy();
      if (compared.law != groups[i].front().law || std::isnan(judged.accuracy_rmse)) continue;
      error = judged.accuracy_rmse;
      groups[i].front().across = "RMSE of acc_adj, " + judged.scheme;
    }
    errors.emplace_back(error, i);
    least = std::min(least, error);
  }
  std::stable_sort(errors.begin(), errors.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::vector<StratumLaw>> sorted;
  for (const auto& [error, i] : errors) {
    groups[i].front().above_best = std::isfinite(error) ? error - least : kUnset;
    sorted.push_back(std::move(groups[i]));
  }
  groups = std::move(sorted);
}

}  // namespace

std::vector<StratumLaw> RankedLaws(const StudyResults& results, const std::string& stratum) {
  std::vector<std::vector<StratumLaw>> groups;  // By response, in the order of the fits.
  size_t fitted = 0;
  for (const LawFit& fit : results.fits.fits) {
    if (fit.stratum != stratum || fit.Methods().empty()) continue;
    ++fitted;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& laws) { return laws.front().fit->response == fit.response; });
    if (group == groups.end()) group = groups.emplace(groups.end());
    group->push_back(Found(results, fit));
  }
  for (const LawComparison& comparison : results.analysis.comparisons) {
    if (comparison.stratum != stratum) continue;
    for (auto& group : groups) {
      if (!comparison.has_several_responses && group.front().fit->response == comparison.response)
        RankWithin(comparison, group);
    }
  }
  // All laws together are compared after those of each response.
  for (const LawComparison& comparison : results.analysis.comparisons) {
    if (comparison.stratum == stratum && comparison.has_several_responses && groups.size() > 1)
      RankAcross(comparison, groups);
  }
  std::vector<StratumLaw> laws;
  for (auto& group : groups) {
    for (StratumLaw& one : group) laws.push_back(std::move(one));
  }
  for (StratumLaw& one : laws) one.compared = fitted;
  return laws;
}

std::vector<StratumLaw> BestLaws(const StudyResults& results) {
  std::vector<StratumLaw> best;
  if (results.description.laws.empty() && results.fits.fits.empty()) return best;
  for (const FitReport::Stratum& stratum : results.fits.strata) {
    std::vector<StratumLaw> laws = RankedLaws(results, stratum.name);
    if (laws.empty()) {
      laws.emplace_back();
      laws.front().stratum = stratum.name;
    }
    best.push_back(std::move(laws.front()));
  }
  return best;
}

std::vector<StratumLaw> LawInStrata(const StudyResults& results, const std::string& law) {
  std::vector<StratumLaw> found;
  for (const FitReport::Stratum& stratum : results.fits.strata) {
    found.emplace_back();
    found.back().stratum = stratum.name;
    for (StratumLaw& one : RankedLaws(results, stratum.name)) {
      if (one.law == law) found.back() = std::move(one);
    }
  }
  return found;
}

Interval ShownInterval(const Uncertainty& quantity) {
  const bool has_delta = std::isfinite(quantity.delta.low) && std::isfinite(quantity.delta.high);
  return has_delta ? quantity.delta : quantity.percentile;
}

std::string HeadlineLaw(const std::vector<StratumLaw>& best) {
  std::map<std::string, size_t> times;
  std::string headline;
  for (const StratumLaw& one : best) {
    if (one.fit != nullptr) ++times[one.fit->law];
  }
  for (const StratumLaw& one : best) {
    if (one.fit != nullptr && (headline.empty() || times[one.fit->law] > times[headline])) headline = one.fit->law;
  }
  return headline;
}

std::string SpelledStratum(const std::string& stratum) {
  static const std::map<std::string, std::string> kSpelled = {{"KM", "knowledge memorization"},
                                                              {"KA", "knowledge application"},
                                                              {"KR", "knowledge reasoning"},
                                                              {kGeneralStratum, "all tasks together"},
                                                              {kAllRows, "all rows together"}};
  const auto found = kSpelled.find(stratum);
  return found == kSpelled.end() ? "" : found->second;
}

std::string UnitOf(const StudyResults& results, const std::string& column) {
  for (const ObservationColumn& one : results.columns) {
    if (one.name == column && one.factor) return one.factor->unit;
  }
  const Factor* standard = FindStandardFactor(column);
  return standard == nullptr ? "" : standard->unit;
}

FactorRole RoleOf(const StudyResults& results, const std::string& column) {
  return results.fits.settings.roles.Of(column);
}

StrataData MappedStrata(const StudyResults& results) {
  return SplitStrata(MapColumns(results.observations, results.description.map));
}

}  // namespace bitlaw
